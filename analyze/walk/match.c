/* SPDX-License-Identifier: MIT */
/*
 * Which exit belongs to which entry: equal thread, frame and function, and the chain rule. See
 * analyze/chains.py, which says the same of all events at once.
 *
 * On each frame there is a run of entries, more than one where calls end with a tail call, and then a
 * run of exits, one right after the other. An exit returns to the nearest entry of its function; those
 * above it have lost their exits. An entry after exits begins anew.
 */
#include <stdlib.h>
#include <string.h>

#include "walk.h"

#define FIRST_BITS 6
/* A chain as long as this is indexed when it is searched. */
#define LONG_CHAIN 8

static uint64_t home(const struct thread *thread, uint64_t frame)
{
	return map_hash(frame) >> (64 - thread->activation_bits);
}

static struct activation *find(const struct thread *thread, uint64_t frame)
{
	uint64_t mask, i;

	if (!thread->activation_bits)
		return NULL;
	mask = (1ULL << thread->activation_bits) - 1;
	for (i = home(thread, frame);; i = (i + 1) & mask) {
		struct activation *here = &thread->activations[i];

		if (here->height < 0)
			return NULL;
		if (here->frame == frame)
			return here;
	}
}

/* Forget the open entries of a frame. */
static void abandon(struct thread *thread, struct activation *here)
{
	while (here->below >= 0) {
		struct link *link = &thread->links[here->below];
		int32_t below = link->below;

		link->below = thread->free_link;
		thread->free_link = here->below;
		here->below = below;
	}
	here->height = 0;
	here->leaving = 0;
	here->chain = 0;
}

/* Whether a later exit can still belong to an entry of this frame. */
static int alive(const struct thread *thread, const struct activation *here)
{
	return here->height > 0 && !(here->leaving && here->last_exit + 1 < thread->events);
}

/* Make room, leaving out what no event can refer to any more. */
static void resize(struct walk *walk, struct thread *thread)
{
	struct activation *old = thread->activations;
	int64_t size = thread->activation_bits ? 1LL << thread->activation_bits : 0;
	int64_t living = 0;
	int32_t bits = FIRST_BITS;

	for (int64_t i = 0; i < size; i++) {
		if (old[i].height < 0)
			continue;
		if (alive(thread, &old[i]))
			living++;
		else
			abandon(thread, &old[i]);
	}
	while (1LL << bits < 4 * living)
		bits++;
	struct activation *new = walk_grow(walk, NULL, 1LL << bits, sizeof(*new));

	for (int64_t i = 0; i < 1LL << bits; i++)
		new[i].height = -1;
	thread->activations = new;
	thread->activation_bits = bits;
	thread->activations_used = (int32_t)living;
	for (int64_t i = 0; i < size; i++) {
		uint64_t mask = (1ULL << bits) - 1, at;

		if (old[i].height <= 0)
			continue;
		for (at = home(thread, old[i].frame); new[at].height >= 0;)
			at = (at + 1) & mask;
		new[at] = old[i];
	}
	free(old);
}

static struct activation *find_or_add(struct walk *walk, struct thread *thread, uint64_t frame)
{
	struct activation *here = find(thread, frame);
	uint64_t mask, i;

	if (here)
		return here;
	if (!thread->activation_bits || 4LL * (thread->activations_used + 1) > 3LL << thread->activation_bits)
		resize(walk, thread);
	mask = (1ULL << thread->activation_bits) - 1;
	for (i = home(thread, frame); thread->activations[i].height >= 0;)
		i = (i + 1) & mask;
	here = &thread->activations[i];
	*here = (struct activation){ .frame = frame, .below = -1 };
	thread->activations_used++;
	return here;
}

/* Put the last entry of the frame below the next one. */
static void push(struct walk *walk, struct thread *thread, struct activation *here)
{
	int32_t at = thread->free_link;

	if (at < 0) {
		int32_t size = thread->links_size ? 2 * thread->links_size : 16;

		thread->links = walk_grow(walk, thread->links, size, sizeof(*thread->links));
		for (at = thread->links_size; at < size; at++)
			thread->links[at].below = at + 1 < size ? at + 1 : -1;
		at = thread->links_size;
		thread->links_size = size;
	}
	struct link *link = &thread->links[at];

	thread->free_link = link->below;
	*link = (struct link){ here->place, here->time, here->function, here->below, here->height, -1 };
	here->below = at;
}

static void pop(struct thread *thread, struct activation *here)
{
	int32_t at = here->below;

	here->height--;
	if (at < 0)
		return;
	struct link *link = &thread->links[at];

	here->place = link->place;
	here->time = link->time;
	here->function = link->function;
	here->below = link->below;
	link->below = thread->free_link;
	thread->free_link = at;
}

/* Let each link know the next of its function, so that many exits search a long chain but once. */
static void index_chain(struct walk *walk, struct thread *thread, const struct activation *here)
{
	struct found *found = thread->found;

	if (!found) {
		found = walk_grow(walk, NULL, walk->functions, sizeof(*found));
		for (int64_t i = 0; i < walk->functions; i++)
			found[i].chain = 0;
		thread->found = found;
	}
	thread->chain++;
	for (int32_t at = here->below; at >= 0; at = thread->links[at].below) {
		struct link *link = &thread->links[at];

		link->same = -1;
		if (found[link->function].chain == thread->chain)
			thread->links[found[link->function].last].same = at;
		else
			found[link->function] = (struct found){ thread->chain, at, at };
		found[link->function].last = at;
	}
}

/* The nearest entry of `function` below the last one; -1 without. */
static int32_t nearest(struct walk *walk, struct thread *thread, struct activation *here, int32_t function)
{
	int32_t at = here->below;

	if (here->height < LONG_CHAIN) {
		while (at >= 0 && thread->links[at].function != function)
			at = thread->links[at].below;
		return at;
	}
	/* The exits of a chain come without other events of the thread between: one index serves all. */
	if (!here->chain || here->chain != thread->chain) {
		index_chain(walk, thread, here);
		here->chain = thread->chain;
	}
	struct found *found = &thread->found[function];

	if (found->chain != thread->chain)
		return -1;
	while (found->first >= 0 && thread->links[found->first].height >= here->height)
		found->first = thread->links[found->first].same;
	return found->first;
}

static void enter(struct walk *walk, struct thread *thread, int64_t place, int32_t function, uint64_t frame,
		  int64_t time)
{
	struct activation *here = find_or_add(walk, thread, frame);

	if (here->leaving)
		abandon(thread, here);
	if (here->height)
		push(walk, thread, here);
	here->height++;
	here->place = place;
	here->time = time;
	here->function = function;
}

/* The entry that an exit belongs to, as its place; -1 without. */
static int64_t leave(struct walk *walk, struct thread *thread, int64_t place, int32_t function,
		     uint64_t frame, int64_t time)
{
	struct activation *here = find(thread, frame);

	if (!here)
		return -1;
	if (here->leaving && here->last_exit + 1 != place)
		abandon(thread, here);
	here->leaving = 1;
	here->last_exit = place;
	if (!here->height)
		return -1;
	if (here->function != function) {
		int32_t at = nearest(walk, thread, here, function);

		if (at < 0)
			return -1;
		for (int32_t height = thread->links[at].height; here->height > height;)
			pop(thread, here);
	}
	int64_t entry = here->place, entered = here->time;

	pop(thread, here);
	/*
	 * Where the thread lost an event as high on the stack between the two, that one was an exit of the
	 * entry's call, or came after it: the two are halves of different calls.
	 */
	if (thread->surely && losses_touch(thread->surely, entered, time, frame))
		return -1;
	return entry;
}

static void mark(struct thread *thread, int64_t place)
{
	thread->matched[place >> 6] |= 1ULL << (place & 63);
}

void match_event(struct walk *walk, struct thread *thread, int entry, int32_t function, uint64_t frame,
		 int64_t time)
{
	int64_t place = thread->events++;

	if (place == thread->capacity) {
		int64_t words = place ? place >> 5 : 16;

		thread->matched = walk_grow(walk, thread->matched, words, sizeof(*thread->matched));
		memset(thread->matched + (place >> 6), 0, (words - (place >> 6)) * sizeof(*thread->matched));
		thread->capacity = 64 * words;
	}
	if (!place)
		thread->first = time;
	if (entry) {
		thread->calls++;
		/* Entries that have no exits would only be in the way. */
		if (walk->exit_traced[function])
			enter(walk, thread, place, function, frame, time);
		return;
	}
	int64_t partner = leave(walk, thread, place, function, frame, time);

	if (partner < 0) {
		thread->calls++;
		return;
	}
	mark(thread, partner);
	mark(thread, place);
}

void match_free(struct thread *thread)
{
	free(thread->activations);
	free(thread->links);
	free(thread->found);
	thread->activations = NULL;
	thread->links = NULL;
	thread->found = NULL;
}
