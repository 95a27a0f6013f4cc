/* SPDX-License-Identifier: MIT */
/* What Python calls: a walk's life, and its batches. */
#include "walk.h"

#include <stdlib.h>
#include <string.h>

void *walk_grow(struct walk *walk, void *old, int64_t count, size_t size)
{
	void *new = NULL;

	if (count >= 0 && (uint64_t)count <= SIZE_MAX / 2 / size)
		new = realloc(old, count ? count * size : 1);
	if (!new)
		longjmp(walk->failed, WALK_NO_MEMORY);
	return new;
}

void walk_free(struct walk *walk)
{
	for (int64_t i = 0; i < walk->thread_count; i++) {
		match_free(walk->threads[i]);
		nest_free(walk->threads[i]);
		tally_free_thread(walk->threads[i]);
		free(walk->threads[i]);
	}
	free(walk->threads);
	free(walk->exit_traced);
	free(walk->outside);
	free(walk->inside);
	free(walk->chosen);
	free(walk->kinds);
	tally_free(walk);
	losses_free(walk);
	map_free(&walk->function_of);
	map_free(&walk->tgids);
	map_free(&walk->pids);
	map_free(&walk->thread_of);
	free(walk);
}

static void *copy(struct walk *walk, const void *from, int64_t bytes)
{
	void *to = NULL;

	if (from) {
		to = walk_grow(walk, NULL, bytes, 1);
		memcpy(to, from, bytes);
	}
	return to;
}

static void setup_walk(struct walk *walk, const struct setup *setup)
{
	walk->functions = setup->functions;
	walk->part = setup->part;
	walk->parts = setup->parts;
	walk->exit_traced = walk_grow(walk, NULL, setup->functions, 1);
	if (setup->functions)
		memcpy(walk->exit_traced, setup->exit_traced, setup->functions);
	walk->outside = copy(walk, setup->outside, setup->functions * sizeof(*walk->outside));
	walk->inside = copy(walk, setup->inside, setup->functions * sizeof(*walk->inside));
	for (int64_t i = 0; i < setup->functions; i++)
		*map_insert(walk, &walk->function_of, setup->cookie[i]) = (int32_t)i;
	walk->all_tgids = !setup->tgids;
	walk->all_pids = !setup->pids;
	for (int64_t i = 0; i < setup->tgid_count; i++)
		*map_insert(walk, &walk->tgids, setup->tgids[i]) = 1;
	for (int64_t i = 0; i < setup->pid_count; i++)
		*map_insert(walk, &walk->pids, setup->pids[i]) = 1;
	losses_setup(walk, setup);
}

static int try_setup(struct walk *walk, const struct setup *setup)
{
	int wrong = setjmp(walk->failed);

	if (!wrong)
		setup_walk(walk, setup);
	return wrong;
}

/* A walk, or NULL where memory is short. */
struct walk *walk_new(const struct setup *setup)
{
	struct walk *walk = calloc(1, sizeof(*walk));

	if (walk && try_setup(walk, setup)) {
		walk_free(walk);
		return NULL;
	}
	return walk;
}

static struct thread *add_thread(struct walk *walk, uint64_t key)
{
	int32_t *at = map_insert(walk, &walk->thread_of, key);
	struct thread *thread;

	*at = -1;
	if (!(walk->all_tgids || map_find(&walk->tgids, key >> 32)))
		return NULL;
	if (!(walk->all_pids || map_find(&walk->pids, (uint32_t)key)))
		return NULL;
	if (walk->appeared++ % walk->parts != walk->part)
		return NULL;
	if (walk->thread_count == walk->threads_size) {
		int64_t size = walk->threads_size ? 2 * walk->threads_size : 16;

		walk->threads = walk_grow(walk, walk->threads, size, sizeof(struct thread *));
		walk->threads_size = size;
	}
	thread = calloc(1, sizeof(*thread));
	if (!thread)
		longjmp(walk->failed, WALK_NO_MEMORY);
	walk->threads[walk->thread_count] = thread;
	*at = (int32_t)walk->thread_count++;
	thread->key = key;
	thread->free_link = thread->free_open = thread->top = thread->unfinished = -1;
	int32_t *losing = map_find(&walk->losing, key);

	if (losing && walk->losses[*losing].count)
		thread->surely = &walk->losses[*losing];
	const struct losses *perhaps = &walk->losses[losing ? *losing + 1 : 0];

	if (perhaps->count)
		thread->perhaps = perhaps;
	return thread;
}

/* The thread of an event in the second pass. */
static struct thread *known_thread(struct walk *walk, uint64_t key)
{
	const int32_t *at = map_find(&walk->thread_of, key);

	if (!at)
		longjmp(walk->failed, WALK_CHANGED);
	return *at < 0 || walk->threads[*at]->skipped ? NULL : walk->threads[*at];
}

/* And in the first one, NULL where it is not ours. */
static struct thread *thread_of(struct walk *walk, uint64_t key)
{
	const int32_t *at = map_find(&walk->thread_of, key);

	if (!at)
		return add_thread(walk, key);
	return *at < 0 ? NULL : walk->threads[*at];
}

enum pass { MATCH, NEST };

#define BLOCK 1024
#define RECENT_BITS 6

/* Compiled once for each pass, since what they do for an event is little. */
static inline int64_t take(struct walk *walk, const struct batch *batch, enum pass pass)
{
	struct {
		uint64_t key;
		struct thread *thread;
	} recent[1 << RECENT_BITS] = { 0 };
	struct thread *threads[BLOCK];
	int32_t rows[BLOCK];
	uint64_t last_cookie = 0;
	int32_t function = -1;

	for (int64_t first = 0; first < batch->rows; first += BLOCK) {
		int64_t end = first + BLOCK < batch->rows ? first + BLOCK : batch->rows;
		int count = 0;

		/* Ours first, without a branch for each event, which nobody could foresee where threads take turns. */
		for (int64_t i = first; i < end; i++) {
			uint64_t key = (uint64_t)batch->tgid[i] << 32 | batch->pid[i];
			uint64_t at = map_hash(key) >> (64 - RECENT_BITS);

			if (recent[at].key != key || !key) {
				recent[at].key = key;
				recent[at].thread = pass == MATCH ? thread_of(walk, key) : known_thread(walk, key);
			}
			threads[count] = recent[at].thread;
			rows[count] = (int32_t)(i - first);
			count += threads[count] != NULL;
		}
		for (int n = 0; n < count; n++) {
			int64_t i = first + rows[n];

			if (function < 0 || batch->cookie[i] != last_cookie) {
				const int32_t *at = map_find(&walk->function_of, batch->cookie[i]);

				last_cookie = batch->cookie[i];
				if (!at) {
					walk->stranger = last_cookie;
					return WALK_STRANGER;
				}
				function = *at;
			}
			if (pass == MATCH)
				match_event(walk, threads[n], batch->entry[i], function, batch->frame[i],
					    batch->timestamp[i]);
			else
				nest_event(walk, threads[n], batch, i, function);
		}
	}
	return batch->rows;
}

static __attribute__((noinline)) int64_t match_batch(struct walk *walk, const struct batch *batch)
{
	return take(walk, batch, MATCH);
}

static __attribute__((noinline)) int64_t nest_batch(struct walk *walk, const struct batch *batch)
{
	return take(walk, batch, NEST);
}

/* The first pass, over a batch. Returns its rows, or what went wrong; then only `walk_free` is left. */
int64_t walk_match(struct walk *walk, const struct batch *batch)
{
	int wrong = setjmp(walk->failed);

	return wrong ? wrong : match_batch(walk, batch);
}

/* The first pass is over. Returns how many threads there are. */
int64_t walk_matched(struct walk *walk)
{
	for (int64_t i = 0; i < walk->thread_count; i++)
		match_free(walk->threads[i]);
	return walk->thread_count;
}

/* Of each thread: tgid << 32 | pid, its events, its calls, when its first event was. */
void walk_threads(const struct walk *walk, uint64_t *key, int64_t *events, int64_t *calls, int64_t *first)
{
	for (int64_t i = 0; i < walk->thread_count; i++) {
		key[i] = walk->threads[i]->key;
		events[i] = walk->threads[i]->events;
		calls[i] = walk->threads[i]->calls;
		first[i] = walk->threads[i]->first;
	}
}

/*
 * Before the second pass: what is asked; of each thread the number of its first call, whether it has ended,
 * and whether it can be skipped; and where rows go, if they are wanted. `rows` point to memory that is there until `walk_nested`.
 */
int64_t walk_begin(struct walk *walk, const struct plan *plan, const int64_t *base, const uint8_t *ended,
		   const uint8_t *skipped, const struct rows *rows)
{
	int wrong = setjmp(walk->failed);

	if (wrong)
		return wrong;
	for (int64_t i = 0; i < walk->thread_count; i++) {
		walk->threads[i]->base = base[i];
		walk->threads[i]->ended = ended[i];
		walk->threads[i]->skipped = skipped[i];
	}
	walk->plan = *plan;
	walk->plan.functions = walk->chosen = copy(walk, plan->functions, walk->functions);
	walk->plan.kinds = walk->kinds = copy(walk, plan->kinds, walk->functions * COLUMNS);
	walk->wants_rows = rows != NULL;
	walk->wants_values = plan->kinds != NULL;
	if (rows)
		walk->rows = *rows;
	for (int column = 0; column < COLUMNS; column++)
		walk->wants_values |= walk->rows.value[column] != NULL;
	walk->tally.functions = walk_grow(walk, NULL, walk->functions, sizeof(void *));
	for (int64_t i = 0; i < walk->functions; i++)
		walk->tally.functions[i] = NULL;
	return 0;
}

/* The second pass, over a batch. */
int64_t walk_nest(struct walk *walk, const struct batch *batch)
{
	int wrong = setjmp(walk->failed);

	return wrong ? wrong : nest_batch(walk, batch);
}

int64_t walk_running(const struct walk *walk)
{
	return walk->running;
}

/*
 * The second pass is over: all events have come; or what is missing is later than any chosen call can begin, and
 * none is running.
 */
int64_t walk_nested(struct walk *walk)
{
	int wrong = setjmp(walk->failed);

	if (wrong)
		return wrong;
	for (int64_t i = 0; i < walk->thread_count; i++) {
		struct thread *thread = walk->threads[i];

		if ((walk->running || walk->plan.until == INT64_MAX) && !thread->skipped &&
		    thread->seen != thread->events)
			return WALK_CHANGED;
		nest_end(walk, thread);
	}
	tally_end(walk);
	return walk->thread_count;
}

uint64_t walk_stranger(const struct walk *walk)
{
	return walk->stranger;
}

int64_t walk_version(void)
{
	return WALK_VERSION;
}
