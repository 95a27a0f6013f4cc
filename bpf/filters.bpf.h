// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Events that are sent late, or not at all, by what call they are of.
 *
 *   WAIT_NS    an entry waits until its call has lasted this long; a call that returns before is left out. With 0
 *              it waits for what comes next in its thread: a call in which no other is seen is one event.
 *   MAX_DEPTH  calls inside so many others are left out
 *   SAMPLE     of the calls that no other is around, one in so many is recorded, with all that is inside
 *   BUDGET     so many calls of each function are recorded
 */
#pragma once

#include "filtered.bpf.h"
#include "live_calls.bpf.h"
#include "send.bpf.h"
#include "turn.bpf.h"
#include "waiting.bpf.h"
#ifdef BUDGET
#include "budget.bpf.h"
#endif

/* What a thread leaves behind; the recorder clears away what is deeper. */
#define MOST_CLEARED 64

/* There is no room to keep this call, so it is lost. */
static __always_inline bool lose_call(const struct sender *by, u64 frame)
{
	LEAVE_OUT(untracked, 1);
	note_loss(by->count, by->pid, by->tgid, frame, 0, 1);
	return false;
}

#ifdef SAMPLE
/* One in SAMPLE of a thread's outermost calls, at a place in each round that is drawn anew. */
static __always_inline bool draw(struct live_stack *stack)
{
	bool chosen;

	if (!stack->round)
		stack->drawn = snoop_get_prandom_u32() % SAMPLE;
	chosen = stack->round == stack->drawn;
	stack->round = stack->round + 1 < SAMPLE ? stack->round + 1 : 0;
	LEAVE_OUT(roots, 1);
	if (chosen)
		LEAVE_OUT(sampled_roots, 1);
	return chosen;
}
#endif

/* A function is entered. Whether the call's exit is wanted. */
static __always_inline bool enter_call(const struct sender *by, struct pt_regs *ctx, u64 cookie, u64 frame)
{
	u64 function = COOKIE_FUNCTION(cookie);
	bool all_old_sent = true, wanted = true;
	struct live_stack *stack = stack_of(by->pid, by->tgid);
	struct live_call *call;

	if (!stack)
		return lose_call(by, frame);
#ifdef WAIT_NS
	all_old_sent = send_waiting(by, stack, stack->level, snoop_ktime_get_ns());
#endif
	drop_to(by, stack, levels_around(by->pid, stack->level, frame), all_old_sent, frame);
#ifdef SAMPLE
	if (!stack->level)
		stack->unsampled = !draw(stack);
	if (stack->unsampled) {
		LEAVE_OUT(unsampled, 1);
		if (stack->level || cookie & COOKIE_ENTRY_ONLY)
			return false;
		wanted = false;
	}
#endif
#ifdef MAX_DEPTH
	if (stack->level >= MAX_DEPTH) {
		LEAVE_OUT(deep, 1);
		return false;
	}
#endif
#ifdef BUDGET
	if (!within_budget(function)) {
		LEAVE_OUT(over_budget, 1);
		return false;
	}
#endif
	if (cookie & COOKIE_ENTRY_ONLY) {
#if defined(WAIT_NS) && WAIT_NS > 0
		LEAVE_OUT(brief, 1);
		return false;
#endif
		send_entry(by, ctx, function, frame);
		return false;
	}
	call = next_call(stack, by->pid);
	if (!call)
		return lose_call(by, frame);
	call->frame = frame;
	call->function = function;
	call->seen_by = SEEN_BY(cookie);
	stack->level++;
	if (stack->level > stack->highest)
		stack->highest = stack->level;
#ifdef WAIT_NS
	if (!wanted) {
		stack->sent = stack->level;
		return true;
	}
	copy_arguments(call->args, ctx);
	call->start = snoop_ktime_get_ns();
#else
	if (wanted)
		send_entry(by, ctx, function, frame);
#endif
	return true;
}

/* An exit of a call that is not kept: its entry was left out, or came before the recording. */
static __always_inline void leave_unknown(const struct sender *by, struct pt_regs *ctx, enum event_type type,
					  const struct live_stack *stack, u64 function, u64 frame, u64 now)
{
#ifdef SAMPLE
	if (!stack || !stack->level || stack->unsampled) {
		LEAVE_OUT(unsampled, 1);
		return;
	}
#endif
#ifdef MAX_DEPTH
	if (stack && stack->level >= MAX_DEPTH) {
		LEAVE_OUT(deep, 1);
		return;
	}
#endif
#ifdef BUDGET
	if (is_over_budget(function)) {
		LEAVE_OUT(over_budget, 1);
		return;
	}
#endif
#if defined(WAIT_NS) && WAIT_NS > 0
	LEAVE_OUT(brief, 1);
	LEAVE_OUT(unknown, 1);
#else
	send_exit(by, ctx, type, function, frame, now);
#endif
}

/* A function is left. */
static __always_inline void leave_call(const struct sender *by, struct pt_regs *ctx, enum event_type type, u64 function,
				       u64 frame, u64 now)
{
	struct live_stack *stack = stacks.lookup(&by->pid);
	bool all_old_sent = true;
	struct live_call *call;
	u32 around, left;
	int found;

	if (!stack) {
		leave_unknown(by, ctx, type, stack, function, frame, now);
		return;
	}
	around = levels_from(by->pid, stack->level, frame);
	found = level_left(by->pid, around, frame, function);
	left = found;
#ifdef WAIT_NS
	/* The innermost call, whose entry may go with its exit. */
	if (found >= 0 && left + 1 == stack->level)
		all_old_sent = send_waiting(by, stack, left, now);
	else
		all_old_sent = send_waiting(by, stack, stack->level, now);
#endif
	if (found < 0) {
		drop_to(by, stack, around, all_old_sent, frame);
		leave_unknown(by, ctx, type, stack, function, frame, now);
		return;
	}
	drop_to(by, stack, left + 1, all_old_sent, frame);
	call = call_at(by->pid, left);
	stack->level = left;
#ifdef SAMPLE
	if (stack->unsampled) {
		stack->sent = left;
		LEAVE_OUT(unsampled, 1);
		return;
	}
#endif
#ifdef WAIT_NS
	if (stack->sent <= left && call) {
		if (!all_old_sent)
			note_loss(by->count, by->pid, by->tgid, frame, call->start, 2);
		else if (now - call->start >= WAIT_NS)
			send_span(by, ctx, type, call, now);
		else
			LEAVE_OUT(brief, 2);
		return;
	}
	stack->sent = left;
#endif
	send_exit(by, ctx, type, function, frame, now);
}

/* The thread has ended, or runs another program: whatever calls it was in, it has left. How many levels are kept
 * of it all the same. Once the recording is over, the recorder asks for what is left itself. */
static __always_inline u32 leave_all(u32 pid, u32 tgid)
{
	struct live_stack *stack = stacks.lookup(&pid);
	struct sender by = { .pid = pid, .tgid = tgid };
	bool all_old_sent = true;
	u32 highest;
	int zero = 0;

	if (!stack || is_over())
		return 0;
	by.count = counts.lookup(&zero);
	if (!by.count)
		return 0;
#ifdef WAIT_NS
	all_old_sent = send_waiting(&by, stack, stack->level, snoop_ktime_get_ns());
#endif
	drop_to(&by, stack, 0, all_old_sent, 0);
	highest = stack->highest;
	for (u32 level = 0; level < MOST_CLEARED; level++) {
		struct live_place place = { .pid = pid, .level = level };

		if (level >= highest)
			break;
		live_calls.delete(&place);
	}
	stacks.delete(&pid);
	return highest > MOST_CLEARED ? highest : 0;
}
