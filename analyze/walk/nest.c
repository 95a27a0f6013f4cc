/* SPDX-License-Identifier: MIT */
/*
 * Which call runs inside which: depth, parent, own time and status, from the events of a thread and the
 * knowledge of which of them have a partner.
 *
 * The open calls are a list in order of their entries. A call that has an exit is on it until then;
 * one without is on it until an event at its frame or above shows that it is gone. Mostly the list is a
 * stack, but where a thread switches stacks calls end in any order.
 */
#include <stdlib.h>

#include "walk.h"

/* Further down than this an exit's call is looked up by its frame. */
#define FAR 32

static int is_matched(struct walk *walk, struct thread *thread)
{
	int64_t place = thread->seen++;

	if (place >= thread->events)
		longjmp(walk->failed, WALK_CHANGED);
	return thread->matched[place >> 6] >> (place & 63) & 1;
}

/* The innermost complete call around a call, if it is still open. */
static struct open_call *outer_of(struct thread *thread, const struct open_call *call)
{
	if (call->outer < 0 || thread->open[call->outer].id != call->outer_id)
		return NULL;
	return &thread->open[call->outer];
}

/* The innermost complete call that is open, -1 without. */
static int32_t enclosing(struct thread *thread)
{
	int32_t at = thread->top;

	if (at < 0 || thread->open[at].matched)
		return at;
	struct open_call *top = &thread->open[at];

	/* What was around it when it began may be over, where stacks are switched. */
	if (top->outer >= 0 && !outer_of(thread, top)) {
		do
			at = thread->open[at].below;
		while (at >= 0 && !thread->open[at].matched);
		top->outer = at;
		top->outer_id = at < 0 ? -1 : thread->open[at].id;
	}
	return top->outer;
}

static void set_row(struct walk *walk, struct thread *thread, int64_t id, int32_t function, int64_t time)
{
	struct rows *rows = &walk->rows;
	const struct open_call *parent = thread->top < 0 ? NULL : &thread->open[thread->top];
	int32_t outer = enclosing(thread);

	rows->parent[id] = parent ? parent->id : -1;
	rows->outer[id] = outer < 0 ? -1 : thread->open[outer].id;
	rows->depth[id] = thread->depth;
	rows->function[id] = function;
	rows->caller[id] = parent ? parent->function : -1;
	rows->start[id] = time;
	rows->end[id] = time;
	rows->self_ns[id] = 0;
	rows->self_known[id] = 0;
	rows->entry_row[id] = -1;
	rows->exit_row[id] = -1;
	rows->status[id] = NONE;
}

/*
 * Say of a call without a partner what it is: one that was `left` is unwound, unless its other side may
 * have been lost between two moments.
 */
static void set_status(struct walk *walk, struct thread *thread, int64_t id, uint64_t frame, int64_t since,
		       int64_t until, int left)
{
	enum status status = left ? UNWOUND : OPEN;

	if (thread->perhaps && losses_touch(thread->perhaps, since, until, frame))
		status = LOST;
	if (walk->wants_rows)
		walk->rows.status[id] = status;
}

static void index_open(struct walk *walk, struct thread *thread, int32_t at)
{
	struct open_call *call = &thread->open[at];
	int32_t *last = map_insert(walk, &thread->by_frame, call->frame);

	call->earlier = *last == MAP_NONE ? -1 : *last;
	*last = at;
}

static void enter(struct walk *walk, struct thread *thread, int64_t id, int matched, int32_t function,
		  uint64_t frame, int64_t time)
{
	int32_t at = thread->free_open;

	if (at < 0) {
		int32_t size = thread->open_size ? 2 * thread->open_size : 16;

		thread->open = walk_grow(walk, thread->open, size, sizeof(*thread->open));
		for (at = thread->open_size; at < size; at++)
			thread->open[at].below = at + 1 < size ? at + 1 : -1;
		at = thread->open_size;
		thread->open_size = size;
	}
	struct open_call *call = &thread->open[at];
	int32_t outer = enclosing(thread);

	thread->free_open = call->below;
	*call = (struct open_call){
		.id = id, .frame = frame, .start = time, .outer = outer,
		.outer_id = outer < 0 ? -1 : thread->open[outer].id, .below = thread->top, .above = -1,
		.earlier = -1, .function = function, .matched = matched,
	};
	if (thread->top >= 0)
		thread->open[thread->top].above = at;
	thread->top = at;
	thread->depth++;
	if (!matched) {
		call->earlier = thread->unfinished;
		thread->unfinished = at;
	} else if (thread->indexed) {
		index_open(walk, thread, at);
	}
}

/* Take a call off the list. */
static void forget(struct thread *thread, int32_t at)
{
	struct open_call *call = &thread->open[at];

	if (call->above >= 0)
		thread->open[call->above].below = call->below;
	else
		thread->top = call->below;
	if (call->below >= 0)
		thread->open[call->below].above = call->above;
	call->id = -1;
	call->below = thread->free_open;
	thread->free_open = at;
	thread->depth--;
}

static int32_t find(struct walk *walk, struct thread *thread, int32_t function, uint64_t frame)
{
	int32_t at = thread->top;

	for (int i = 0; at >= 0 && i < FAR; i++, at = thread->open[at].below) {
		const struct open_call *call = &thread->open[at];

		if (call->frame == frame && call->function == function && call->matched)
			return at;
	}
	if (!thread->indexed && thread->top >= 0) {
		int32_t lowest = thread->top;

		while (thread->open[lowest].below >= 0)
			lowest = thread->open[lowest].below;
		thread->indexed = 1;
		for (at = lowest; at >= 0; at = thread->open[at].above)
			if (thread->open[at].matched)
				index_open(walk, thread, at);
	}
	/* Of the calls on one frame that have an exit the last is always the first to be left. */
	int32_t *last = map_find(&thread->by_frame, frame);

	if (!last || *last < 0)
		longjmp(walk->failed, WALK_CHANGED);
	return *last;
}

static void leave(struct walk *walk, struct thread *thread, int32_t function, uint64_t frame, int64_t time,
		  int64_t row)
{
	int32_t at = find(walk, thread, function, frame);
	struct open_call *call = &thread->open[at];
	struct open_call *outer = outer_of(thread, call);
	int64_t duration = (int64_t)((uint64_t)time - (uint64_t)call->start);

	/* What outlasts the call that it began in leaves nobody's own time known. */
	if (call->above >= 0) {
		call->self_unknown = 1;
		if (outer)
			outer->self_unknown = 1;
	}
	if (outer)
		outer->inside = (int64_t)((uint64_t)outer->inside + (uint64_t)duration);
	if (thread->indexed)
		*map_find(&thread->by_frame, frame) = call->earlier;
	if (walk->wants_rows) {
		struct rows *rows = &walk->rows;

		rows->end[call->id] = time;
		rows->self_ns[call->id] = (int64_t)((uint64_t)duration - (uint64_t)call->inside);
		rows->self_known[call->id] = !call->self_unknown;
		rows->exit_row[call->id] = row;
		rows->status[call->id] = COMPLETE;
	}
	forget(thread, at);
}

/* Calls that are known to be over when the thread is at `frame`, and whose exits cannot come any more. */
static void settle(struct walk *walk, struct thread *thread, uint64_t frame, int64_t time)
{
	while (thread->left_count && thread->left[thread->left_count - 1].frame < frame) {
		const struct left_call *call = &thread->left[--thread->left_count];

		set_status(walk, thread, call->id, call->frame, call->start, time, 1);
	}
}

/* Close the calls without an exit that an event at `frame` shows to be gone. */
static void close_left(struct walk *walk, struct thread *thread, uint64_t frame, int64_t time)
{
	while (thread->unfinished >= 0 && thread->open[thread->unfinished].frame <= frame) {
		int32_t at = thread->unfinished;
		struct open_call *call = &thread->open[at];

		thread->unfinished = call->earlier;
		if (!thread->perhaps || call->frame < frame) {
			set_status(walk, thread, call->id, call->frame, call->start, time, 1);
		} else {
			/* The event may be of a tail call, and the exit still to come. */
			if (thread->left_count == thread->left_size) {
				thread->left_size = thread->left_size ? 2 * thread->left_size : 16;
				thread->left = walk_grow(walk, thread->left, thread->left_size,
							 sizeof(*thread->left));
			}
			thread->left[thread->left_count++] =
				(struct left_call){ call->id, call->frame, call->start, call->function };
		}
		forget(thread, at);
	}
}

void nest_event(struct walk *walk, struct thread *thread, int entry, int32_t function, uint64_t frame,
		int64_t time, int64_t row)
{
	int matched = is_matched(walk, thread);

	if (thread->left_count)
		settle(walk, thread, frame, time);
	if (thread->unfinished >= 0)
		close_left(walk, thread, frame, time);
	if (!entry && matched) {
		leave(walk, thread, function, frame, time, row);
		return;
	}
	int64_t id = thread->base + thread->started++;

	if (walk->wants_rows) {
		set_row(walk, thread, id, function, time);
		(entry ? walk->rows.entry_row : walk->rows.exit_row)[id] = row;
	}
	if (!entry)
		set_status(walk, thread, id, frame, INT64_MIN, time, 0);
	else if (matched || walk->exit_traced[function])
		enter(walk, thread, id, matched, function, frame, time);
}

void nest_end(struct walk *walk, struct thread *thread)
{
	/* No later event tells when these were over. */
	while (thread->left_count) {
		const struct left_call *call = &thread->left[--thread->left_count];

		set_status(walk, thread, call->id, call->frame, call->start, INT64_MAX, 1);
	}
	for (; thread->unfinished >= 0; thread->unfinished = thread->open[thread->unfinished].earlier) {
		const struct open_call *call = &thread->open[thread->unfinished];

		set_status(walk, thread, call->id, call->frame, call->start, INT64_MAX, thread->ended);
	}
}

void nest_free(struct thread *thread)
{
	free(thread->open);
	free(thread->left);
	free(thread->matched);
	map_free(&thread->by_frame);
}
