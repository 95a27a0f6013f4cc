/* SPDX-License-Identifier: MIT */
/* When, and for which frames, a thread lost events: the same as ThreadLosses in analyze/losses.py. */
#include <stdlib.h>

#include "walk.h"

static uint64_t higher(uint64_t one, uint64_t other)
{
	return one > other ? one : other;
}

/* The first position at which values, which ascend, reach `least`. */
static int64_t reach(const int64_t *values, int64_t count, int64_t least)
{
	int64_t low = 0;

	while (low < count) {
		int64_t middle = low + (count - low) / 2;

		if (values[middle] < least)
			low = middle + 1;
		else
			count = middle;
	}
	return low;
}

/* Whether, between two moments, both included, a call at `frame` may have lost an event. */
int losses_touch(const struct losses *losses, int64_t since, int64_t until, uint64_t frame)
{
	int64_t first = reach(losses->end, losses->count, since);
	int64_t after = until == INT64_MAX ? losses->count : reach(losses->start, losses->count, until + 1);
	int64_t run = after - first;
	int level;

	if (run <= 0)
		return 0;
	level = 63 - __builtin_clzll(run);
	return higher(losses->highest[level][first], losses->highest[level][after - (1LL << level)]) >= frame;
}

static int levels_of(int64_t count)
{
	return count ? 64 - __builtin_clzll(count) : 0;
}

static void one(struct walk *walk, struct losses *losses, const struct setup *setup, int64_t low, int64_t high)
{
	int64_t count = high - low;
	int levels = levels_of(count);

	*losses = (struct losses){ .count = count };
	if (!count)
		return;
	/* All levels in one block, with the times before them, since what `setup` points to goes away. */
	losses->highest = walk_grow(walk, NULL, levels, sizeof(*losses->highest));
	uint64_t *block = walk_grow(walk, NULL, count * (levels + 2), sizeof(*block));
	int64_t *times = (int64_t *)block;

	losses->start = times;
	losses->end = times + count;
	block += 2 * count;
	for (int64_t i = 0; i < count; i++) {
		times[i] = setup->loss_start[low + i];
		times[count + i] = setup->loss_end[low + i];
		block[i] = setup->loss_frame[low + i];
	}
	losses->highest[0] = block;
	for (int level = 1; level < levels; level++) {
		const uint64_t *below = losses->highest[level - 1];
		int64_t half = 1LL << (level - 1);

		block += count;
		for (int64_t i = 0; i + 2 * half <= count; i++)
			block[i] = higher(below[i], below[i + half]);
		losses->highest[level] = block;
	}
}

void losses_setup(struct walk *walk, const struct setup *setup)
{
	int64_t low = setup->anywhere;

	walk->losses = walk_grow(walk, NULL, 1 + 2 * setup->losing, sizeof(*walk->losses));
	for (int64_t i = 0; i <= 2 * setup->losing; i++)
		walk->losses[i] = (struct losses){ 0 };
	walk->losses_count = 1 + 2 * setup->losing;
	one(walk, &walk->losses[0], setup, 0, low);
	for (int64_t i = 0; i < setup->losing; i++) {
		for (int which = 0; which < 2; which++) {
			int64_t high = setup->loss_bounds[2 * i + which];

			one(walk, &walk->losses[1 + 2 * i + which], setup, low, high);
			low = high;
		}
		*map_insert(walk, &walk->losing, setup->losing_thread[i]) = (int32_t)(1 + 2 * i);
	}
}

void losses_free(struct walk *walk)
{
	for (int64_t i = 0; i < walk->losses_count; i++) {
		free((void *)walk->losses[i].start);
		free(walk->losses[i].highest);
	}
	free(walk->losses);
	map_free(&walk->losing);
}
