// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * How an event gets into the ring, or is counted as lost.
 */
#pragma once

#include "event.bpf.h"
#include "losses.bpf.h"

struct func_name {
	char text[FUNC_NAME_LEN];
};

BPF_HASH(func_names, u64, struct func_name, MAX_FUNCS);
BPF_RINGBUF_OUTPUT(events, RINGBUF_BYTES / PAGE_SIZE);

/* The thread that an event is of, and the counters of its CPU. */
struct sender {
	struct snoop_counts *count;
	u32 pid;
	u32 tgid;
};

/* Room for an event with what all kinds of it have; the rest must be filled in. NULL where the ring is full. */
static __always_inline struct func_trace_event *reserve_event(const struct sender *by, enum event_type type,
							      u64 function, u64 frame)
{
	struct func_trace_event *event = events.ringbuf_reserve(sizeof(struct func_trace_event));

	if (!event)
		return NULL;
	event->type = type;
	event->cookie = function;
	event->pid = by->pid;
	event->tgid = by->tgid;
	event->frame = frame;
#ifdef EVENT_NAME
	struct func_name *name = func_names.lookup(&function);

	if (name)
		__builtin_memcpy(event->name, name->text, sizeof(event->name));
	else
		__builtin_memset(event->name, 0, sizeof(event->name));
#endif
	return event;
}

/* The same; where the ring is full, `events` are lost, the first of which happened at `since` (0: now). */
static __always_inline struct func_trace_event *begin_event(const struct sender *by, enum event_type type,
							    u64 function, u64 frame, u64 since, u32 events)
{
	struct func_trace_event *event = reserve_event(by, type, function, frame);

	if (event)
		report_loss(by->pid, by->tgid);
	else
		note_loss(by->count, by->pid, by->tgid, frame, since, events);
	return event;
}

/* What an event takes of the ring; and after how many of a CPU those of all CPUs have filled an eighth of it. */
#define RECORD_BYTES ((sizeof(struct func_trace_event) + 8 + 7) & ~7UL)
#define WAKE_EVENTS (RINGBUF_BYTES / 8 / RECORD_BYTES / CPUS + 1)

/* A wake-up costs more than the rest of an event: the ring's reader gets one when the ring may be filling, and looks
 * by itself now and then. Not atomic: where one event preempts another, a wake-up may come an event late. */
static __always_inline void submit(const struct sender *by, struct func_trace_event *event)
{
	u64 left = by->count->until_wake;

	by->count->until_wake = left > 1 ? left - 1 : WAKE_EVENTS;
	events.ringbuf_submit(event, left == 1 ? SNOOP_FORCE_WAKEUP : SNOOP_NO_WAKEUP);
}

static __always_inline void copy_arguments(u64 *to, struct pt_regs *ctx)
{
#if MAX_ARGS > 0
	to[0] = ctx->REG_ARG0;
#endif
#if MAX_ARGS > 1
	to[1] = ctx->REG_ARG1;
#endif
#if MAX_ARGS > 2
	to[2] = ctx->REG_ARG2;
#endif
#if MAX_ARGS > 3
	to[3] = ctx->REG_ARG3;
#endif
#if MAX_ARGS > 4
	to[4] = ctx->REG_ARG4;
#endif
#if MAX_ARGS > 5
	to[5] = ctx->REG_ARG5;
#endif
}

static __always_inline void send_entry(const struct sender *by, struct pt_regs *ctx, u64 function, u64 frame)
{
	struct func_trace_event *event = begin_event(by, EVENT_ENTRY, function, frame, 0, 1);

	if (!event)
		return;
	copy_arguments(event->args, ctx);
	/* Last: what this program costs stays outside of the call that it measures. */
	event->timestamp = snoop_ktime_get_ns();
	submit(by, event);
}

/* `now` was read first, for the same reason. */
static __always_inline void send_exit(const struct sender *by, struct pt_regs *ctx, enum event_type type,
				      u64 function, u64 frame, u64 now)
{
	struct func_trace_event *event = begin_event(by, type, function, frame, now, 1);

	if (!event)
		return;
	event->ret_val = ctx->REG_RETURN;
	event->timestamp = now;
	submit(by, event);
}
