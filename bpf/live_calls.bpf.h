// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The calls that each thread is in.
 *
 * They lie on its stack, outermost first, at levels from 0. Frames only fall from level to level, so that what a
 * thread does at one frame shows which of its calls are gone: no counting, which a longjmp would put out of step.
 * Only the thread itself touches what is kept for it, so nothing here races.
 */
#pragma once

#include "event.bpf.h"
#include "helpers.bpf.h"
#include "limits.bpf.h"

/* Calls at one frame, as tail calls are. */
#define MOST_AT_ONE_FRAME 8
/* Twice as many levels each. */
#define MOST_HALVINGS 17

/* What is kept of the cookie of the probe that has seen a call begin. With SEEN_BY_RETURN its exit is seen by a return
 * probe, so that it may be left by a tail call, unseen. */
#define SEEN_BY(cookie) ((u32)((cookie) >> 40))
#define SEEN_BY_RETURN SEEN_BY(COOKIE_BY_RETURN)

struct live_place {
	u32 pid;
	u32 level;
};

struct live_call {
	u64 frame;
	u64 start; /* CLOCK_MONOTONIC, ns */
	u32 function;
	u32 seen_by;
	u64 args[MAX_ARGS];
};

struct live_stack {
	u32 tgid;
	u32 level;  /* calls that the thread is in */
	u32 sent;   /* levels below this have their entries sent */
	u32 highest; /* level that it ever had */
	u32 unsampled; /* the outermost call is left out, and whatever is inside */
	u32 round; /* outermost calls seen since one of SAMPLE was last drawn */
	u32 drawn;
	u32 padding;
};

BPF_HASH(stacks, u32, struct live_stack, MAX_LIVE_THREADS);
BPF_HASH(live_calls, struct live_place, struct live_call, MAX_LIVE_CALLS);

static __always_inline struct live_call *call_at(u32 pid, u32 level)
{
	struct live_place place = { .pid = pid, .level = level };

	return live_calls.lookup(&place);
}

/* How many of the thread's calls have frames at `frame` or above. */
static __always_inline u32 levels_from(u32 pid, u32 level, u64 frame)
{
	struct live_call *call;
	u32 low = 0;

	if (!level)
		return 0;
	call = call_at(pid, level - 1);
	if (!call || call->frame >= frame)
		return level;
	for (int i = 0; i < MOST_HALVINGS; i++) {
		u32 middle = (low + level) / 2;

		if (low >= level)
			break;
		call = call_at(pid, middle);
		if (call && call->frame >= frame)
			low = middle + 1;
		else
			level = middle;
	}
	return low;
}

/* Whether a function that is entered at `frame` was jumped to by the one that a return probe waits for there: then
 * that probe's address, the start of a page, is still where the return address was. A new call has put another there. */
static __always_inline bool is_tail_call(u64 frame)
{
#if FRAME_AT_RETURN > 0
	u64 address = 0;

	return !snoop_probe_read_user(&address, sizeof(address), (void *)frame) && !(address & (PAGE_SIZE - 1));
#else
	return true;
#endif
}

/* How many of the thread's calls go on when it enters a function at `frame`. */
static __always_inline u32 levels_around(u32 pid, u32 level, u64 frame)
{
	level = levels_from(pid, level, frame);
	for (int i = 0; i < MOST_AT_ONE_FRAME; i++) {
		struct live_call *call;

		if (!level)
			break;
		call = call_at(pid, level - 1);
		if (!call || call->frame != frame || (call->seen_by & SEEN_BY_RETURN && is_tail_call(frame)))
			break;
		level--;
	}
	return level;
}

static __always_inline struct live_stack *stack_of(u32 pid, u32 tgid)
{
	struct live_stack *stack = stacks.lookup(&pid);

	if (!stack) {
		struct live_stack none = { .tgid = tgid };

		stacks.update(&pid, &none);
		stack = stacks.lookup(&pid);
	}
	return stack;
}

static __always_inline struct live_call *next_call(struct live_stack *stack, u32 pid)
{
	struct live_place place = { .pid = pid, .level = stack->level };
	struct live_call *call = live_calls.lookup(&place);

	if (!call) {
		struct live_call none = {};

		live_calls.update(&place, &none);
		call = live_calls.lookup(&place);
	}
	return call;
}

/* Which of the thread's calls, all at `frame` or above, is left by an exit of `function` at `frame`; -1 for none. */
static __always_inline int level_left(u32 pid, u32 level, u64 frame, u64 function)
{
	for (int i = 0; i < MOST_AT_ONE_FRAME; i++) {
		struct live_call *call;

		if (!level)
			break;
		level--;
		call = call_at(pid, level);
		if (!call || call->frame != frame)
			break;
		if (call->function == function)
			return level;
	}
	return -1;
}

/* Whether the innermost of the thread's calls with frames at `frame` or above is one that a session link with this
 * cookie has seen begin. */
static __always_inline bool is_innermost(u32 pid, u64 cookie, u64 frame)
{
	struct live_stack *stack = stacks.lookup(&pid);
	struct live_call *call;
	u32 around;

	if (!stack)
		return false;
	around = levels_from(pid, stack->level, frame);
	if (!around)
		return false;
	call = call_at(pid, around - 1);
	return call && call->frame == frame && call->function == COOKIE_FUNCTION(cookie) &&
	       call->seen_by == SEEN_BY(cookie | COOKIE_BY_RETURN);
}
