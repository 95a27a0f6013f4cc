// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The calls that each thread is in, for events that are sent late, or not at all, by what call they are of.
 *
 * A thread's calls lie on its stack, outermost first, at levels from 0. Frames only fall from level to level,
 * so that what a thread does at one frame shows which of its calls are gone: no counting, which a longjmp
 * would put out of step. Only the thread itself touches what is kept for it, so nothing here races.
 *
 *   WAIT_NS    an entry waits until its call has lasted this long; a call that returns before is left out. With 0
 *              it waits for what comes next in its thread: a call in which no other is seen is one event.
 *   MAX_DEPTH  calls inside so many others are left out
 *   SAMPLE     of the calls that no other is around, one in so many is recorded, with all that is inside
 *   BUDGET     so many calls of each function are recorded
 */
#pragma once

#include "send.bpf.h"
#include "turn.bpf.h"

/* Entries that one event can bring to be sent; and calls at one frame, as tail calls are. */
#if WAIT_NS > 0
#define MOST_SENT 64
#else
#define MOST_SENT 8
#endif
#define MOST_AT_ONE_FRAME 8
/* What a thread leaves behind; the recorder clears away what is deeper. */
#define MOST_CLEARED 64
/* Twice as many levels each. */
#define MOST_HALVINGS 17

/* Of `seen_by`: the exit is seen by a return probe, so that the call may be left by a tail call, unseen. */
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
	u32 seen_by; /* the upper part of its cookie */
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

/* Events left out, by reason. */
struct snoop_filtered {
	u64 brief;
	u64 deep;
	u64 unsampled;
	u64 over_budget;
	u64 unknown;	/* of the brief ones, exits of calls whose entry is not kept: how long they took is not known */
	u64 untracked;	/* of those lost, the ones of calls that there was no room for here */
	u64 roots;	/* outermost calls, and those of them that are recorded: with SAMPLE */
	u64 sampled_roots;
};

BPF_HASH(stacks, u32, struct live_stack, MAX_LIVE_THREADS);
BPF_HASH(live_calls, struct live_place, struct live_call, MAX_LIVE_CALLS);
BPF_PERCPU_ARRAY(filtered, struct snoop_filtered, 1);

static __always_inline struct snoop_filtered *left_out(void)
{
	int zero = 0;

	return filtered.lookup(&zero);
}

#define LEAVE_OUT(reason, events)                                          \
	do {                                                               \
		struct snoop_filtered *out = left_out();                   \
                                                                           \
		if (out)                                                   \
			__sync_fetch_and_add(&out->reason, (u64)(events)); \
	} while (0)

#ifdef BUDGET
/* By function, which are numbered from 1: its calls, recorded or not. Or, with SHARED_BUDGET, the function
 * that it shares a budget with. */
BPF_ARRAY(budgets, u64, MAX_FUNCS + 1);
#define SHARED_BUDGET (1ULL << 63)
/* When the first call over its budget was left out (CLOCK_MONOTONIC, ns): for the recorder, which takes it. */
BPF_HASH(spent, u32, u64, MAX_FUNCS);

/* The calls so far; `number` is that of a function, and becomes that of whose budget it is. */
static __always_inline u64 *calls_of_budget(int *number)
{
	u64 *calls = budgets.lookup(number);

	if (calls && *calls & SHARED_BUDGET) {
		*number = (u32)*calls;
		calls = budgets.lookup(number);
	}
	return calls;
}

static __always_inline bool within_budget(u32 function)
{
	int number = function;
	u64 now, before, *calls = calls_of_budget(&number);

	if (!calls)
		return false;
	before = __sync_fetch_and_add(calls, 1);
	if (before == BUDGET) {
		now = snoop_ktime_get_ns();
		function = number;
		spent.update(&function, &now);
	}
	return before < BUDGET;
}

static __always_inline bool is_over_budget(u32 function)
{
	int number = function;
	u64 *calls = calls_of_budget(&number);

	return !calls || *calls > BUDGET;
}
#endif

static __always_inline struct live_call *call_at(u32 pid, u32 level)
{
	struct live_place place = { .pid = pid, .level = level };

	return live_calls.lookup(&place);
}

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

#ifdef BUDGET
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
#endif

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
