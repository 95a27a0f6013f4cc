// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Entries that are sent late, or not at all, as their calls are over before.
 */
#pragma once

#include "filtered.bpf.h"
#include "live_calls.bpf.h"
#include "losses.bpf.h"
#include "send.bpf.h"

/* Entries that one event can bring to be sent. */
#if WAIT_NS > 0
#define MOST_SENT 64
#else
#define MOST_SENT 8
#endif

#ifdef WAIT_NS
static __always_inline void copy_kept(u64 *to, const struct live_call *call)
{
#if MAX_ARGS > 0
	__builtin_memcpy(to, call->args, sizeof(call->args));
#endif
}

/* Send the entries that wait below level `upto` and are old enough by `now`, outermost first: each row of a
 * thread comes after those that happened before it. False where some of them must wait on. */
static __always_inline bool send_waiting(const struct sender *by, struct live_stack *stack, u32 upto, u64 now)
{
	for (int i = 0; i < MOST_SENT; i++) {
		struct func_trace_event *event;
		struct live_call *call;

		if (stack->sent >= upto)
			return true;
		call = call_at(by->pid, stack->sent);
		if (!call || now - call->start < WAIT_NS)
			return true;
		event = reserve_event(by, EVENT_ENTRY, call->function, call->frame);
		if (!event)
			return false;
		event->timestamp = call->start;
		copy_kept(event->args, call);
		submit(by, event);
		stack->sent++;
	}
	return stack->sent >= upto;
}

/* A call whose entry waits, and whose exit is this. */
static __always_inline void send_span(const struct sender *by, struct pt_regs *ctx, enum event_type type,
				      const struct live_call *call, u64 now)
{
	enum event_type span = type == EVENT_TAIL ? EVENT_TAIL_SPAN : EVENT_SPAN;
	struct func_trace_event *event = begin_event(by, span, call->function, call->frame, call->start, 2);

	if (!event)
		return;
	event->timestamp = call->start;
	event->end = now;
	event->ret_val = ctx->REG_RETURN;
	copy_kept(event->args, call);
	submit(by, event);
}
#endif

/* Calls from `level` on are gone. Those that still wait although they are old enough are lost: `all_old_sent`, which
 * send_waiting said, tells whether there are any. */
static __always_inline void drop_to(const struct sender *by, struct live_stack *stack, u32 level, bool all_old_sent,
				    u64 frame)
{
#ifdef WAIT_NS
	u32 kept = stack->sent > level ? stack->sent : level;

	if (stack->level > kept) {
		struct live_call *first = call_at(by->pid, kept);

		if (all_old_sent)
			LEAVE_OUT(brief, stack->level - kept);
		else
			note_loss(by->count, by->pid, by->tgid, frame, first ? first->start : 0,
				  stack->level - kept);
	}
#endif
	stack->level = level;
	if (stack->sent > level)
		stack->sent = level;
}
