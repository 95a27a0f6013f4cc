/* SPDX-License-Identifier: MIT */
/*
 * Figures of the calls that were chosen, gathered while they come by: by function, by edge of the call
 * graph, by place in the calling-context tree, by thread, and by what the registers held.
 *
 * All but the distributions are kept by *way*: how a function came to be called, from which place of the
 * tree. Functions, edges and places are sums over ways, made when all is over.
 */
#ifndef FUNCSNOOP_TALLY_H
#define FUNCSNOOP_TALLY_H

#include <stdint.h>

#include "map.h"
#include "registers.h"
#include "spread.h"

/* Which calls are chosen, and what is asked about them. */
struct plan {
	/*
	 * A call is chosen by its function if it is in each of so many layers, one after the other. Of each function a
	 * bit for each layer that it is in; and of each layer a bit if what runs inside its calls is in it too.
	 */
	int64_t layers;
	const uint8_t *functions;
	int64_t beneath;
	int64_t since; /* when the call began, ns: at or after, and before */
	int64_t until;
	int64_t tally; /* gather figures */
	const int8_t *kinds; /* of each function's registers, COLUMNS each, see registers.c; 0: do not look */
	int64_t keep_function; /* durations of each function, before they are put in buckets */
	int64_t keep_group; /* of each group of each register */
	int64_t keep_bytes; /* memory for all that is kept */
	int64_t value_bits; /* tables of values have up to 1 << value_bits */
	int64_t most_places; /* in the tree; what comes after is its caller's own time */
};

struct way {
	int64_t place; /* in the tree */
	int64_t edge;
	int64_t function;
	int64_t cut; /* the tree had no room: `place` is the caller's */
	int64_t calls;
	int64_t complete;
	int64_t open;
	int64_t unwound;
	int64_t lost;
	int64_t silent; /* without a status: only entries are recorded */
	int64_t self_known;
	int64_t self_ns;
	/* Of complete calls, of nested ones only the outermost. */
	int64_t total_function;
	int64_t total_edge;
	int64_t total_place;
};

struct place {
	int64_t parent; /* -1 at a root */
	int64_t function;
};

struct edge {
	int64_t caller; /* -1 without */
	int64_t callee;
};

struct function_tally {
	int64_t sum; /* of durations */
	unsigned __int128 squares;
	int64_t least;
	int64_t greatest;
	struct spread durations;
	struct registers *registers[COLUMNS];
};

/* How many chosen complete calls of a thread are open, by place, by edge, by function. */
struct nesting {
	uint32_t **pages;
	int64_t count;
};

struct thread_tally {
	int64_t calls;
	int64_t events;
	int64_t first; /* ns */
	int64_t last;
	int64_t busy;
	int64_t open;
	struct nesting places;
	struct nesting edges;
	struct nesting functions;
};

struct tally {
	struct map way_of; /* caller's place, or ~ its function's row and 1, and function */
	struct map way_of_cut; /* the same where the caller has no place of its own: its caller's place, and edge */
	struct way *ways;
	int64_t way_count;
	int64_t ways_size;
	struct map place_of; /* parent and function */
	struct place *places;
	int64_t place_count;
	int64_t places_size;
	struct map edge_of; /* caller and callee */
	struct edge *edges;
	int64_t edge_count;
	int64_t edges_size;
	struct function_tally **functions; /* NULL where it was not called */
	/*
	 * Calls whose registers have not been looked at. There are FINISHED of them at a time, so that the tables
	 * of a register are near the processor when many of its values are counted.
	 */
	struct finished *finished;
	int32_t finished_count;
	struct finished_calls by_function; /* the same, sorted, while they are looked at */
	int32_t *end_of; /* for each function where its calls end there */
};

#define FINISHED (1 << 17)

struct walk;
struct thread;
struct open_call;

int32_t tally_call(struct walk *walk, struct thread *thread, const struct open_call *caller, int32_t function,
		   int64_t time);
void tally_enter(struct walk *walk, struct thread *thread, struct open_call *call);
void tally_leave(struct walk *walk, struct thread *thread, const struct open_call *call, int64_t time,
		 int64_t duration, int64_t self_ns);
void tally_status(struct walk *walk, int32_t way, int status);
struct finished *tally_finished(struct walk *walk, int32_t function, int64_t duration);
void tally_end(struct walk *walk);
void tally_free(struct walk *walk);
void tally_free_thread(struct thread *thread);

#endif
