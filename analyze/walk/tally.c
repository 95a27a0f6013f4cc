/* SPDX-License-Identifier: MIT */
#include "tally.h"

#include <stdlib.h>
#include <string.h>

#include "walk.h"

#define PAGE_BITS 8

static int64_t add(int64_t one, int64_t other)
{
	return (int64_t)((uint64_t)one + (uint64_t)other);
}

static uint64_t pair(int64_t one, int64_t other)
{
	return (uint64_t)(uint32_t)one << 32 | (uint32_t)other;
}

/* Room for one more. */
static void *room(struct walk *walk, void *items, int64_t count, int64_t *size, size_t each)
{
	if (count < *size)
		return items;
	if (count >= INT32_MAX / 2)
		longjmp(walk->failed, WALK_NO_MEMORY);
	items = walk_grow(walk, items, *size ? 2 * *size : 64, each);
	*size = *size ? 2 * *size : 64;
	return items;
}

static int32_t edge_of(struct walk *walk, int64_t caller, int64_t callee)
{
	struct tally *tally = &walk->tally;
	int32_t *edge = map_insert(walk, &tally->edge_of, pair(caller, callee));

	if (*edge == MAP_NONE) {
		*edge = (int32_t)tally->edge_count;
		tally->edges = room(walk, tally->edges, tally->edge_count, &tally->edges_size,
				    sizeof(*tally->edges));
		tally->edges[tally->edge_count++] = (struct edge){ caller, callee };
	}
	return *edge;
}

/* A function stands on a path once: where it is called again, it is at its earlier place. */
static int32_t place_of(struct walk *walk, int64_t parent, int64_t function)
{
	struct tally *tally = &walk->tally;
	int64_t place = parent;

	while (place >= 0 && tally->places[place].function != function)
		place = tally->places[place].parent;
	if (place >= 0)
		return (int32_t)place;
	int32_t *found = map_find(&tally->place_of, pair(parent, function));

	if (found)
		return *found;
	if (parent >= 0 && tally->place_count >= walk->plan.most_places)
		return -1;
	tally->places = room(walk, tally->places, tally->place_count, &tally->places_size, sizeof(*tally->places));
	tally->places[tally->place_count] = (struct place){ parent, function };
	*map_insert(walk, &tally->place_of, pair(parent, function)) = (int32_t)tally->place_count;
	return (int32_t)tally->place_count++;
}

static int32_t new_way(struct walk *walk, int64_t parent, int64_t caller, int64_t function)
{
	struct tally *tally = &walk->tally;
	int32_t place = place_of(walk, parent, function);
	int32_t edge = edge_of(walk, caller, function);

	tally->ways = room(walk, tally->ways, tally->way_count, &tally->ways_size, sizeof(*tally->ways));
	tally->ways[tally->way_count] = (struct way){
		.place = place < 0 ? parent : place, .cut = place < 0, .edge = edge, .function = function,
	};
	if (!tally->functions[function]) {
		struct function_tally *new = walk_grow(walk, NULL, 1, sizeof(*new));

		*new = (struct function_tally){ .least = INT64_MAX, .greatest = INT64_MIN };
		tally->functions[function] = new;
	}
	return (int32_t)tally->way_count++;
}

/* A chosen call begins: the way to it. `caller` is the call around it, NULL without. */
int32_t tally_call(struct walk *walk, struct thread *thread, const struct open_call *caller, int32_t function,
		   int64_t time)
{
	struct tally *tally = &walk->tally;
	const struct way *around = caller && caller->way >= 0 ? &tally->ways[caller->way] : NULL;
	int64_t parent = around ? around->place : -1;
	int64_t calling = caller ? caller->function : -1;
	struct thread_tally *own = &thread->tally;
	int32_t *way;

	/* The place of a call that was cut is another function's: what it calls are other edges than from there. */
	if (around && around->cut)
		way = map_insert(walk, &tally->way_of_cut, pair(parent, edge_of(walk, calling, function)));
	else
		way = map_insert(walk, &tally->way_of, pair(parent >= 0 ? parent : -2 - calling, function));

	if (*way == MAP_NONE)
		*way = new_way(walk, parent, calling, function);
	tally->ways[*way].calls++;
	if (!own->calls++)
		own->first = own->last = time;
	if (time < own->first)
		own->first = time;
	if (time > own->last)
		own->last = time;
	own->events++;
	return *way;
}

static uint32_t *nested(struct walk *walk, struct nesting *nesting, int64_t number)
{
	int64_t page = number >> PAGE_BITS;

	if (page >= nesting->count) {
		int64_t count = nesting->count ? 2 * nesting->count : 4;

		while (page >= count)
			count *= 2;
		nesting->pages = walk_grow(walk, nesting->pages, count, sizeof(*nesting->pages));
		for (; nesting->count < count; nesting->count++)
			nesting->pages[nesting->count] = NULL;
	}
	if (!nesting->pages[page]) {
		nesting->pages[page] = calloc(1 << PAGE_BITS, sizeof(**nesting->pages));
		if (!nesting->pages[page])
			longjmp(walk->failed, WALK_NO_MEMORY);
	}
	return &nesting->pages[page][number & ((1 << PAGE_BITS) - 1)];
}

/* A chosen call, which has an exit, is open from now on. */
void tally_enter(struct walk *walk, struct thread *thread, struct open_call *call)
{
	const struct way *way = &walk->tally.ways[call->way];
	struct thread_tally *own = &thread->tally;

	call->first_of = (own->open++ ? 0 : FIRST_OF_THREAD) |
			 ((*nested(walk, &own->functions, way->function))++ ? 0 : FIRST_OF_FUNCTION) |
			 ((*nested(walk, &own->edges, way->edge))++ ? 0 : FIRST_OF_EDGE) |
			 ((*nested(walk, &own->places, way->place))++ ? 0 : FIRST_OF_PLACE);
}

/* It is complete. */
void tally_leave(struct walk *walk, struct thread *thread, const struct open_call *call, int64_t time,
		 int64_t duration, int64_t self_ns)
{
	struct way *way = &walk->tally.ways[call->way];
	struct thread_tally *own = &thread->tally;
	struct function_tally *function = walk->tally.functions[way->function];

	own->open--;
	(*nested(walk, &own->functions, way->function))--;
	(*nested(walk, &own->edges, way->edge))--;
	(*nested(walk, &own->places, way->place))--;
	own->events++;
	if (time < own->first)
		own->first = time;
	if (time > own->last)
		own->last = time;
	if (call->first_of & FIRST_OF_THREAD)
		own->busy = add(own->busy, duration);
	if (call->first_of & FIRST_OF_FUNCTION)
		way->total_function = add(way->total_function, duration);
	if (call->first_of & FIRST_OF_EDGE)
		way->total_edge = add(way->total_edge, duration);
	if (call->first_of & FIRST_OF_PLACE)
		way->total_place = add(way->total_place, duration);
	way->complete++;
	if (!call->self_unknown) {
		way->self_known++;
		way->self_ns = add(way->self_ns, self_ns);
	}
	function->sum = add(function->sum, duration);
	function->squares += (unsigned __int128)((__int128)duration * duration);
	if (duration < function->least)
		function->least = duration;
	if (duration > function->greatest)
		function->greatest = duration;
	spread_add(walk, &function->durations, duration, walk->plan.keep_function);
}

void tally_status(struct walk *walk, int32_t way, int status)
{
	struct way *counted = &walk->tally.ways[way];

	switch (status) {
	case OPEN:
		counted->open++;
		break;
	case UNWOUND:
		counted->unwound++;
		break;
	case LOST:
		counted->lost++;
		break;
	default:
		counted->silent++;
	}
}

static struct registers *registers_of(struct walk *walk, int64_t function, int column)
{
	struct registers **registers = &walk->tally.functions[function]->registers[column];

	if (!*registers && walk->plan.kinds[function * COLUMNS + column])
		*registers = registers_new(walk, walk->plan.kinds[function * COLUMNS + column]);
	return *registers;
}

/* Look at the registers of the calls that are finished, function by function. */
static void look(struct walk *walk)
{
	struct tally *tally = &walk->tally;
	const struct finished *calls = tally->finished;
	struct finished_calls *sorted = &tally->by_function;
	int32_t *end = tally->end_of, at = 0;
	uint32_t has = 0;

	memset(end, 0, walk->functions * sizeof(*end));
	for (int32_t i = 0; i < tally->finished_count; i++) {
		end[calls[i].function]++;
		has |= calls[i].has;
	}
	for (int64_t function = 0; function < walk->functions; function++) {
		int32_t count = end[function];

		end[function] = at;
		at += count;
	}
	for (int32_t i = 0; i < tally->finished_count; i++) {
		int32_t place = end[calls[i].function]++;

		sorted->duration[place] = calls[i].duration;
		sorted->has[place] = (uint8_t)calls[i].has;
		for (int column = 0; has >> column; column++)
			if (has >> column & 1)
				sorted->value[column][place] = calls[i].value[column];
	}
	for (int64_t function = 0, low = 0; function < walk->functions; low = end[function++]) {
		for (int column = 0; low < end[function] && has >> column; column++) {
			struct registers *registers =
				has >> column & 1 ? registers_of(walk, function, column) : NULL;

			if (registers)
				registers_work(walk, registers, column, sorted, low, end[function] - low);
		}
	}
	tally->finished_count = 0;
}

/*
 * A call of which no more will be known, for its registers to be put into. `duration` is NOT_COMPLETE if it is
 * not.
 */
struct finished *tally_finished(struct walk *walk, int32_t function, int64_t duration)
{
	struct tally *tally = &walk->tally;

	if (tally->finished_count == FINISHED)
		look(walk);
	if (!tally->finished) {
		tally->finished = walk_grow(walk, NULL, FINISHED, sizeof(*tally->finished));
		tally->end_of = walk_grow(walk, NULL, walk->functions, sizeof(*tally->end_of));
		for (int column = 0; column < COLUMNS; column++)
			tally->by_function.value[column] = walk_grow(walk, NULL, FINISHED, sizeof(uint64_t));
		tally->by_function.duration = walk_grow(walk, NULL, FINISHED, sizeof(int64_t));
		tally->by_function.has = walk_grow(walk, NULL, FINISHED, 1);
	}
	struct finished *call = &tally->finished[tally->finished_count++];

	call->function = function;
	call->duration = duration;
	call->has = 0;
	return call;
}

/* All calls have come by. */
void tally_end(struct walk *walk)
{
	if (walk->tally.finished_count)
		look(walk);
	for (int64_t i = 0; i < walk->functions; i++) {
		struct function_tally *function = walk->tally.functions[i];

		if (!function)
			continue;
		spread_settle(walk, &function->durations);
		for (int column = 0; column < COLUMNS; column++)
			if (function->registers[column])
				registers_end(walk, function->registers[column]);
	}
}

void tally_free(struct walk *walk)
{
	struct tally *tally = &walk->tally;

	for (int64_t i = 0; tally->functions && i < walk->functions; i++) {
		struct function_tally *function = tally->functions[i];

		if (!function)
			continue;
		spread_free(&function->durations);
		for (int column = 0; column < COLUMNS; column++)
			if (function->registers[column])
				registers_free(function->registers[column]);
		free(function);
	}
	free(tally->functions);
	free(tally->finished);
	free(tally->end_of);
	for (int column = 0; column < COLUMNS; column++)
		free(tally->by_function.value[column]);
	free(tally->by_function.duration);
	free(tally->by_function.has);
	free(tally->ways);
	free(tally->places);
	free(tally->edges);
	map_free(&tally->way_of);
	map_free(&tally->way_of_cut);
	map_free(&tally->place_of);
	map_free(&tally->edge_of);
}

static void free_nesting(struct nesting *nesting)
{
	for (int64_t i = 0; i < nesting->count; i++)
		free(nesting->pages[i]);
	free(nesting->pages);
}

void tally_free_thread(struct thread *thread)
{
	free_nesting(&thread->tally.places);
	free_nesting(&thread->tally.edges);
	free_nesting(&thread->tally.functions);
}
