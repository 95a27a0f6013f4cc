/* SPDX-License-Identifier: MIT */
#include "spread.h"

#include <stdlib.h>
#include <string.h>

#include "walk.h"

#define FIRST_ROOM 16
/* A spread that has no more values than this keeps them, however many there are: buckets take as much. */
#define SMALL 1024

static uint64_t *page_of(struct walk *walk, struct spread *spread, uint64_t page)
{
	if (!spread->pages) {
		spread->pages = walk_grow(walk, NULL, 2 * BUCKET_PAGES, sizeof(*spread->pages));
		for (int i = 0; i < 2 * BUCKET_PAGES; i++)
			spread->pages[i] = NULL;
	}
	if (!spread->pages[page]) {
		uint64_t *new = walk_grow(walk, NULL, 1 << BUCKET_BITS, sizeof(*new));

		memset(new, 0, sizeof(*new) << BUCKET_BITS);
		spread->pages[page] = new;
	}
	return spread->pages[page];
}

static uint64_t *count_of(struct walk *walk, struct spread *spread, int64_t bucket)
{
	uint64_t magnitude = bucket < 0 ? -(uint64_t)bucket : (uint64_t)bucket;
	uint64_t page = (magnitude >> BUCKET_BITS) + (bucket < 0 ? BUCKET_PAGES : 0);

	return page_of(walk, spread, page) + (magnitude & ((1 << BUCKET_BITS) - 1));
}

/* Count some values that are in this bucket. */
void spread_count(struct walk *walk, struct spread *spread, int64_t bucket, uint64_t times)
{
	*count_of(walk, spread, bucket) += times;
	spread->count += (int64_t)times;
}

/* Put the values that are held into buckets. */
static void to_buckets(struct walk *walk, struct spread *spread)
{
	uint64_t *counts[SPREAD_BUFFER];

	for (int first = 0; first < spread->held; first += SPREAD_BUFFER) {
		const int64_t *values = spread->values + first;
		int count = spread->held - first < SPREAD_BUFFER ? spread->held - first : SPREAD_BUFFER;

		/* The buckets are far from the processor: all are asked for before the first one is needed. */
		for (int i = 0; i < count; i++) {
			int64_t bucket = bucket_of(values[i] < 0 ? -(uint64_t)values[i] : (uint64_t)values[i]);

			counts[i] = count_of(walk, spread, values[i] < 0 ? -bucket : bucket);
			__builtin_prefetch(counts[i], 1);
		}
		for (int i = 0; i < count; i++)
			++*counts[i];
	}
	spread->held = 0;
}

static void resize(struct walk *walk, struct spread *spread, int32_t room)
{
	spread->values = walk_grow(walk, spread->values, room, sizeof(*spread->values));
	walk->kept_bytes += ((int64_t)room - spread->room) * (int64_t)sizeof(*spread->values);
	spread->room = room;
}

/* For one more value, which is kept if it may be, else all go into buckets. */
void spread_make_room(struct walk *walk, struct spread *spread, int64_t most)
{
	if (!spread->pages) {
		int32_t room = spread->room ? 2 * spread->room : FIRST_ROOM;
		int64_t more = ((int64_t)room - spread->room) * (int64_t)sizeof(*spread->values);

		if (spread->room < most && (room <= SMALL || walk->kept_bytes + more <= walk->plan.keep_bytes)) {
			resize(walk, spread, room);
			return;
		}
	}
	to_buckets(walk, spread);
	if (spread->room != SPREAD_BUFFER)
		resize(walk, spread, SPREAD_BUFFER);
}

/* All values have come: where there are buckets, they are in them. */
void spread_settle(struct walk *walk, struct spread *spread)
{
	if (spread->pages)
		to_buckets(walk, spread);
}

void spread_add_many(struct walk *walk, struct spread *spread, const int64_t *values, int count, int64_t most)
{
	if (spread->held + count <= spread->room) {
		memcpy(spread->values + spread->held, values, count * sizeof(*values));
		spread->held += count;
		spread->count += count;
		return;
	}
	for (int i = 0; i < count; i++)
		spread_add(walk, spread, values[i], most);
}

void spread_add_all(struct walk *walk, struct spread *spread, const struct spread *other, int64_t most)
{
	spread_add_many(walk, spread, other->values, other->held, most);
	for (int64_t page = 0; other->pages && page < 2 * BUCKET_PAGES; page++) {
		int64_t first = (page % BUCKET_PAGES) << BUCKET_BITS;

		for (int64_t i = 0; other->pages[page] && i < 1 << BUCKET_BITS; i++)
			if (other->pages[page][i])
				spread_count(walk, spread, page < BUCKET_PAGES ? first + i : -(first + i),
					     other->pages[page][i]);
	}
}

/* The buckets that are not empty, into arrays if there are any; returns how many. */
int64_t spread_buckets(const struct spread *spread, int64_t *bucket, int64_t *count)
{
	int64_t found = 0;

	for (int64_t page = 0; spread->pages && page < 2 * BUCKET_PAGES; page++) {
		int64_t first = (page % BUCKET_PAGES) << BUCKET_BITS;

		for (int64_t i = 0; spread->pages[page] && i < 1 << BUCKET_BITS; i++) {
			if (!spread->pages[page][i])
				continue;
			if (bucket) {
				bucket[found] = page < BUCKET_PAGES ? first + i : -(first + i);
				count[found] = (int64_t)spread->pages[page][i];
			}
			found++;
		}
	}
	return found;
}

void spread_free(struct spread *spread)
{
	for (int i = 0; spread->pages && i < 2 * BUCKET_PAGES; i++)
		free(spread->pages[i]);
	free(spread->pages);
	free(spread->values);
	*spread = (struct spread){ 0 };
}
