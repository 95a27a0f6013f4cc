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
#include <string.h>

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

#define SET(column, at, what)                     \
	do {                                      \
		if (walk->rows.column)            \
			walk->rows.column[at] = what; \
	} while (0)

static void set_row(struct walk *walk, struct thread *thread, int64_t id, int32_t function, int64_t time)
{
	const struct open_call *parent = thread->top < 0 ? NULL : &thread->open[thread->top];
	int32_t outer = enclosing(thread);

	SET(parent, id, parent ? parent->id : -1);
	SET(outer, id, outer < 0 ? -1 : thread->open[outer].id);
	SET(depth, id, parent ? parent->depth + 1 : 0);
	SET(function, id, function);
	SET(caller, id, parent ? parent->function : -1);
	SET(start, id, time);
	SET(end, id, time);
	SET(duration, id, 0);
	SET(self_ns, id, 0);
	SET(self_known, id, 0);
	SET(entry_row, id, -1);
	SET(exit_row, id, -1);
	SET(status, id, NONE);
	for (int column = 0; column < COLUMNS; column++)
		SET(valid[column], id, 0);
}

/* The registers from `first` on at an event: those that have a value, as bits. */
static uint32_t read_registers(const struct batch *batch, int64_t at, int first, int end, uint64_t *values)
{
	uint32_t has = 0;

	for (int column = first; column < end; column++) {
		const uint8_t *valid = batch->valid[column];
		int64_t bit = batch->offset[column] + at;

		if (!batch->value[column] || (valid && !(valid[bit >> 3] >> (bit & 7) & 1)))
			continue;
		values[column] = batch->value[column][at];
		has |= 1u << column;
	}
	return has;
}

static void set_values(struct walk *walk, int64_t id, uint32_t has, const uint64_t *values)
{
	for (int column = 0; walk->wants_rows && has >> column; column++) {
		if (!(has >> column & 1))
			continue;
		SET(value[column], id, values[column]);
		SET(valid[column], id, 1);
	}
}

/* Of a call one side of which was not seen, what the other one tells. */
static void take_registers(struct walk *walk, const struct batch *batch, int64_t at, int64_t id, int32_t function,
			   int32_t way, int entry)
{
	uint64_t values[COLUMNS] = { 0 };
	uint32_t has = read_registers(batch, at, entry ? 0 : ARGS, entry ? ARGS : COLUMNS, values);

	set_values(walk, id, has, values);
	if (way >= 0 && has && walk->plan.kinds) {
		struct finished *call = tally_finished(walk, function, NOT_COMPLETE);

		memcpy(call->value, values, sizeof(values));
		call->has = has;
	}
}

/* Of a call that will be left, its arguments. */
static void hold_arguments(struct walk *walk, struct thread *thread, const struct batch *batch, int64_t at,
			   struct open_call *call)
{
	uint64_t *held = &thread->held[ARGS * (call - thread->open)];

	call->held = (uint8_t)read_registers(batch, at, 0, ARGS, held);
	set_values(walk, call->id, call->held, held);
}

/* And all that is known of it when it is left. */
static void take_all(struct walk *walk, const struct batch *batch, int64_t at, const struct open_call *call,
		     const uint64_t *held, int64_t duration)
{
	uint64_t values[COLUMNS] = { 0 };
	uint32_t has = read_registers(batch, at, ARGS, COLUMNS, values);

	set_values(walk, call->id, has, values);
	if (call->way >= 0 && (has || call->held) && walk->plan.kinds) {
		struct finished *finished = tally_finished(walk, call->function, duration);

		memcpy(finished->value, held, ARGS * sizeof(*held));
		finished->value[ARGS] = values[ARGS];
		finished->has = has | call->held;
	}
}

/*
 * Say of a call without a partner what it is: one that was `left` is unwound, unless its other side may
 * have been lost between two moments.
 */
static void set_status(struct walk *walk, struct thread *thread, int64_t id, int32_t way, uint64_t frame,
		       int64_t since, int64_t until, int left)
{
	enum status status = left ? UNWOUND : OPEN;

	if (thread->perhaps && losses_touch(thread->perhaps, since, until, frame))
		status = LOST;
	if (walk->wants_rows)
		SET(status, id, status);
	if (way >= 0)
		tally_status(walk, way, status);
}

static void index_open(struct walk *walk, struct thread *thread, int32_t at)
{
	struct open_call *call = &thread->open[at];
	int32_t *last = map_insert(walk, &thread->by_frame, call->frame);

	call->earlier = *last == MAP_NONE ? -1 : *last;
	*last = at;
}

static struct open_call *enter(struct walk *walk, struct thread *thread, int64_t id, int matched,
			       int32_t function, uint64_t frame, int64_t time)
{
	int32_t at = thread->free_open;

	if (at < 0) {
		int32_t size = thread->open_size ? 2 * thread->open_size : 16;

		thread->open = walk_grow(walk, thread->open, size, sizeof(*thread->open));
		if (walk->wants_values)
			thread->held = walk_grow(walk, thread->held, size, ARGS * sizeof(*thread->held));
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
		.earlier = -1, .function = function, .way = -1, .matched = matched,
	};
	if (thread->top >= 0)
		thread->open[thread->top].above = at;
	call->depth = thread->top < 0 ? 0 : thread->open[thread->top].depth + 1;
	thread->top = at;
	if (!matched) {
		call->earlier = thread->unfinished;
		thread->unfinished = at;
	} else if (thread->indexed) {
		index_open(walk, thread, at);
	}
	return call;
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

/* A thread's time at an event, without what probes have cost until then. */
static int64_t clock_at(const struct walk *walk, struct thread *thread, int entry, int32_t function, int64_t time)
{
	int64_t clock;

	if (!walk->outside)
		return time;
	if (entry)
		thread->cost += walk->outside[function];
	clock = (int64_t)((uint64_t)time - (uint64_t)thread->cost);
	if (entry)
		thread->cost += walk->inside[function];
	return clock;
}

static void leave(struct walk *walk, struct thread *thread, const struct batch *batch, int64_t i,
		  int32_t function, int64_t clock)
{
	int64_t time = batch->timestamp[i];
	int32_t at = find(walk, thread, function, batch->frame[i]);
	struct open_call *call = &thread->open[at];
	struct open_call *outer = outer_of(thread, call);
	int64_t duration = (int64_t)((uint64_t)clock - (uint64_t)call->clock);
	int64_t self_ns = (int64_t)((uint64_t)duration - (uint64_t)call->inner_ns);

	/* What outlasts the call that it began in leaves nobody's own time known. */
	if (call->above >= 0) {
		call->self_unknown = 1;
		if (outer)
			outer->self_unknown = 1;
	}
	if (outer)
		outer->inner_ns = (int64_t)((uint64_t)outer->inner_ns + (uint64_t)duration);
	if (walk->outside) {
		/* A probe that once took less than it usually does. */
		duration = duration < 0 ? 0 : duration;
		self_ns = self_ns < 0 ? 0 : self_ns;
	}
	if (thread->indexed)
		*map_find(&thread->by_frame, call->frame) = call->earlier;
	if (walk->wants_rows) {
		SET(end, call->id, time);
		SET(duration, call->id, duration);
		SET(self_ns, call->id, self_ns);
		SET(self_known, call->id, !call->self_unknown);
		SET(exit_row, call->id, batch->first_row + i);
		SET(status, call->id, COMPLETE);
		SET(sides, call->id, 3);
	}
	if (call->way >= 0)
		tally_leave(walk, thread, call, time, duration, self_ns);
	if (walk->wants_values)
		take_all(walk, batch, i, call, &thread->held[ARGS * at], duration);
	walk->running -= call->chosen;
	forget(thread, at);
}

/* Calls that are known to be over when the thread is at `frame`, and whose exits cannot come any more. */
static void settle(struct walk *walk, struct thread *thread, uint64_t frame, int64_t time)
{
	while (thread->left_count && thread->left[thread->left_count - 1].frame < frame) {
		const struct left_call *call = &thread->left[--thread->left_count];

		set_status(walk, thread, call->id, call->way, call->frame, call->start, time, 1);
		walk->running -= call->chosen;
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
			set_status(walk, thread, call->id, call->way, call->frame, call->start, time, 1);
			walk->running -= call->chosen;
		} else {
			/* The event may be of a tail call, and the exit still to come. */
			if (thread->left_count == thread->left_size) {
				thread->left_size = thread->left_size ? 2 * thread->left_size : 16;
				thread->left = walk_grow(walk, thread->left, thread->left_size,
							 sizeof(*thread->left));
			}
			thread->left[thread->left_count++] = (struct left_call){
				call->id, call->frame, call->start, call->way, call->chosen,
			};
		}
		forget(thread, at);
	}
}

/* Whether a call that begins now is chosen; `within` gets a bit for each of the first layers that it is in. */
static int is_chosen(struct walk *walk, const struct open_call *caller, int32_t function, int64_t time,
		     uint8_t *within)
{
	const struct plan *plan = &walk->plan;

	for (int layer = 0; layer < plan->layers; layer++) {
		uint8_t bit = 1 << layer;

		if (!(plan->functions[function] & bit) && !(caller && plan->beneath & caller->within & bit))
			return 0;
		*within |= bit;
	}
	return time >= plan->since && time < plan->until;
}

void nest_event(struct walk *walk, struct thread *thread, const struct batch *batch, int64_t at, int32_t function)
{
	int matched = is_matched(walk, thread);
	int entry = batch->entry[at];
	uint64_t frame = batch->frame[at];
	int64_t time = batch->timestamp[at];
	int64_t clock = clock_at(walk, thread, entry, function, time);

	if (thread->left_count)
		settle(walk, thread, frame, time);
	if (thread->unfinished >= 0)
		close_left(walk, thread, frame, time);
	if (!entry && matched) {
		leave(walk, thread, batch, at, function, clock);
		return;
	}
	int64_t id = thread->base + thread->started++;
	const struct open_call *caller = thread->top < 0 ? NULL : &thread->open[thread->top];
	uint8_t within = 0;
	int chosen = is_chosen(walk, caller, function, time, &within);
	int32_t way = walk->plan.tally && chosen ? tally_call(walk, thread, caller, function, time) : -1;

	if (walk->wants_rows) {
		set_row(walk, thread, id, function, time);
		SET(sides, id, entry ? 1 : 2);
		SET(chosen, id, chosen);
		if (entry)
			SET(entry_row, id, batch->first_row + at);
		else
			SET(exit_row, id, batch->first_row + at);
	}
	if (!entry) {
		set_status(walk, thread, id, way, frame, INT64_MIN, time, 0);
		if (walk->wants_values)
			take_registers(walk, batch, at, id, function, way, 0);
		return;
	}
	if (walk->wants_values && !matched)
		take_registers(walk, batch, at, id, function, way, 1);
	if (!matched && !walk->exit_traced[function]) {
		if (way >= 0)
			tally_status(walk, way, NONE);
		return;
	}
	struct open_call *call = enter(walk, thread, id, matched, function, frame, time);

	call->clock = clock;
	call->way = way;
	call->within = within;
	call->chosen = chosen;
	walk->running += chosen;
	if (!matched)
		return;
	if (walk->wants_values)
		hold_arguments(walk, thread, batch, at, call);
	if (way >= 0)
		tally_enter(walk, thread, call);
}

void nest_end(struct walk *walk, struct thread *thread)
{
	/* No later event tells when these were over. */
	while (thread->left_count) {
		const struct left_call *call = &thread->left[--thread->left_count];

		set_status(walk, thread, call->id, call->way, call->frame, call->start, INT64_MAX, 1);
	}
	for (; thread->unfinished >= 0; thread->unfinished = thread->open[thread->unfinished].earlier) {
		const struct open_call *call = &thread->open[thread->unfinished];

		set_status(walk, thread, call->id, call->way, call->frame, call->start, INT64_MAX, thread->ended);
	}
}

void nest_free(struct thread *thread)
{
	free(thread->open);
	free(thread->held);
	free(thread->left);
	free(thread->matched);
	map_free(&thread->by_frame);
}
