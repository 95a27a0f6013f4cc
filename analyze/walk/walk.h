/* SPDX-License-Identifier: MIT */
/*
 * The stack walk: events to calls, thread by thread, batch by batch, in one go through the file.
 *
 * It takes two passes over the events. The first, `match`, finds which entries and exits belong
 * together, and keeps one bit an event. The second, `nest`, walks each thread's stack with that
 * knowledge: at any moment it holds the calls that are open, and nothing of those that are over.
 *
 * analyze/native.py declares the same functions and structs for ctypes; analyze/pairing.py says the
 * same in NumPy, and a test compares the two.
 */
#ifndef FUNCSNOOP_WALK_H
#define FUNCSNOOP_WALK_H

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include "map.h"
#include "tally.h"

/* Goes up with every change that analyze/native.py must know of. */
#define WALK_VERSION 4

/* What the functions called from Python return; else the number of rows that were taken. */
#define WALK_NO_MEMORY -1
/* An event names a function that the function table lacks: `walk->stranger` is its cookie. */
#define WALK_STRANGER -2
/* The second pass met other events than the first. */
#define WALK_CHANGED -3

/* Positions in schemas.STATUS; NONE stands for null. */
enum status { NONE = -1, COMPLETE, OPEN, UNWOUND, LOST };

/* Columns of some consecutive events. */
struct batch {
	int64_t rows;
	int64_t first_row; /* of the file */
	const uint8_t *entry; /* 1 for an entry, 0 for an exit */
	const uint64_t *cookie;
	const uint32_t *pid;
	const uint32_t *tgid;
	const int64_t *timestamp;
	const uint64_t *frame;
	/* By register, NULL where they are not wanted; and the bitmaps of those that have nulls. */
	const uint64_t *value[COLUMNS];
	const uint8_t *valid[COLUMNS];
	int64_t offset[COLUMNS]; /* of the first bit */
};

/* What the metadata says. Loss windows are merged and sorted: see analyze/losses.py. */
struct setup {
	int64_t functions;
	const uint64_t *cookie;
	const uint8_t *exit_traced;
	/* Where times are corrected, what probes cost by function, else NULL: see analyze/correction.py. */
	const int64_t *outside;
	const int64_t *inside;
	/* Windows of all threads: `anywhere` ones first. */
	const int64_t *loss_start;
	const int64_t *loss_end;
	const uint64_t *loss_frame;
	int64_t anywhere;
	/* Of thread i, those surely its own end at loss_bounds[2i], those perhaps its own at [2i + 1]. */
	int64_t losing;
	const uint64_t *losing_thread;
	const int64_t *loss_bounds;
	/*
	 * Which threads: of these processes, and with these ids, NULL for all; of those, in order of appearance,
	 * every `parts`th from `part` on.
	 */
	const uint64_t *tgids;
	int64_t tgid_count;
	const uint64_t *pids;
	int64_t pid_count;
	int64_t part;
	int64_t parts;
};

/*
 * A row a call, in arrays that can hold all of them, NULL where they are not wanted; `paired.table` describes
 * the columns.
 */
struct rows {
	int64_t *parent;
	int64_t *outer;
	int32_t *depth;
	int32_t *function;
	int32_t *caller;
	int64_t *start;
	int64_t *end;
	int64_t *duration;
	int64_t *self_ns;
	uint8_t *self_known;
	int64_t *entry_row;
	int64_t *exit_row;
	int8_t *status;
	uint8_t *sides; /* that were seen: 1 for the entry, 2 for the exit */
	uint8_t *chosen;
	uint64_t *value[COLUMNS];
	uint8_t *valid[COLUMNS];
};

/* Windows in which a thread lost events; highest[k][i] is the highest frame of 2^k windows from i on. */
struct losses {
	int64_t count;
	const int64_t *start;
	const int64_t *end;
	const uint64_t **highest;
};

/* Where matching stands on one frame of a thread. */
struct activation {
	uint64_t frame;
	int64_t place; /* of its last entry among the thread's events */
	int64_t time;
	int64_t last_exit; /* place */
	int32_t function;
	int32_t below; /* the entry before, in `links`; -1 without */
	int32_t height; /* open entries; -1 where no activation was yet */
	int32_t leaving; /* exits have come */
	int64_t chain; /* the one of `found` that is this frame's, if any */
};

/* An open entry on a frame that a later one shares. */
struct link {
	int64_t place;
	int64_t time;
	int32_t function;
	int32_t below;
	int32_t height;
	int32_t same; /* the next below of its function, once the chain is indexed */
};

/* Of a function its highest link in the chain that was indexed as `chain`. */
struct found {
	int64_t chain;
	int32_t first;
	int32_t last;
};

/* A call that is not over. */
struct open_call {
	int64_t id;
	uint64_t frame;
	int64_t start;
	int64_t clock; /* at the entry, without what probes have cost until then */
	int64_t inner_ns; /* of the complete calls inside that no call between has taken */
	int64_t outer_id; /* the innermost complete call around it, -1 without */
	int64_t entry_row;
	int32_t outer; /* the same in `open`, if `outer_id` is still there */
	int32_t below;
	int32_t above;
	int32_t earlier; /* the one before among those without an exit, or of those on its frame */
	int32_t depth;
	int32_t function;
	int32_t way; /* that of a chosen call, else -1 */
	uint8_t matched;
	uint8_t self_unknown;
	uint8_t within; /* layers of the plan */
	uint8_t first_of;
	uint8_t chosen;
	uint8_t held; /* a bit for each of its arguments that has a value, in `thread->held` */
};

/* What an open call is the outermost chosen one of. */
#define FIRST_OF_THREAD 1
#define FIRST_OF_FUNCTION 2
#define FIRST_OF_EDGE 4
#define FIRST_OF_PLACE 8

/* A call that has been left, though not yet surely: its exit may be among events that were lost. */
struct left_call {
	int64_t id;
	uint64_t frame;
	int64_t start;
	int32_t way;
	uint8_t chosen;
};

struct thread {
	uint64_t key; /* tgid << 32 | pid */
	int64_t events;
	int64_t calls;
	int64_t first; /* time of its first event */
	const struct losses *surely;
	const struct losses *perhaps;
	/* Matching. */
	uint64_t *matched; /* a bit for each event */
	int64_t capacity; /* in events */
	struct activation *activations;
	int32_t activation_bits;
	int32_t activations_used;
	struct link *links;
	int32_t links_size;
	int32_t free_link;
	struct found *found;
	int64_t chain;
	/* Nesting. */
	int64_t seen; /* events */
	int64_t base; /* call_id of its first call */
	int64_t started; /* calls */
	int64_t cost; /* of all probes so far */
	struct open_call *open;
	int32_t open_size;
	int32_t free_open;
	int32_t top;
	int32_t unfinished; /* the last open call without an exit */
	struct map by_frame; /* the open calls that have an exit, once there is a reason to look them up */
	int32_t indexed;
	struct left_call *left;
	int32_t left_count;
	int32_t left_size;
	uint64_t *held; /* ARGS for each of `open` */
	struct thread_tally tally;
	uint8_t ended;
	uint8_t skipped; /* none of its calls can be chosen */
};

struct walk {
	jmp_buf failed; /* with one of the codes above */
	int64_t functions;
	struct map function_of; /* cookie -> row */
	uint8_t *exit_traced;
	int64_t *outside; /* NULL where times are not corrected */
	int64_t *inside;
	struct losses *losses; /* anywhere; then surely and perhaps of each losing thread */
	struct map losing;
	int64_t losses_count;
	int64_t part;
	int64_t parts;
	struct map tgids;
	struct map pids;
	uint8_t all_tgids;
	uint8_t all_pids;
	struct map thread_of; /* key -> position in `threads`, -1 for those of other parts */
	struct thread **threads;
	int64_t thread_count;
	int64_t threads_size;
	int64_t appeared;
	uint64_t stranger;
	struct plan plan;
	uint8_t *chosen; /* of the plan */
	int8_t *kinds;
	struct rows rows;
	int32_t wants_rows;
	int32_t wants_values;
	int64_t kept_bytes;
	int64_t running; /* chosen calls that are not known to be over */
	struct tally tally;
};

/* Memory, or a jump to `failed`. */
void *walk_grow(struct walk *walk, void *old, int64_t count, size_t size);

int losses_touch(const struct losses *losses, int64_t since, int64_t until, uint64_t frame);
void losses_setup(struct walk *walk, const struct setup *setup);
void losses_free(struct walk *walk);

void match_event(struct walk *walk, struct thread *thread, int entry, int32_t function, uint64_t frame,
		 int64_t time);
void match_free(struct thread *thread);

void nest_event(struct walk *walk, struct thread *thread, const struct batch *batch, int64_t at, int32_t function);
void nest_end(struct walk *walk, struct thread *thread);
void nest_free(struct thread *thread);

#endif
