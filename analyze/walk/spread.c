/* SPDX-License-Identifier: MIT */
#include "spread.h"

#include <stdlib.h>

#include "walk.h"

#define FIRST_ROOM 16
/* A spread that has no more values than this keeps them, however many there are: buckets take as much. */
#define SMALL 1024

void spread_count(struct walk *walk, struct spread *spread, int64_t bucket, uint64_t times)
{
	uint64_t magnitude = bucket < 0 ? -(uint64_t)bucket : (uint64_t)bucket;
	uint64_t page = (magnitude >> BUCKET_BITS) + (bucket < 0 ? BUCKET_PAGES : 0);

	if (!spread->pages) {
		spread->pages = walk_grow(walk, NULL, 2 * BUCKET_PAGES, sizeof(*spread->pages));
		for (int i = 0; i < 2 * BUCKET_PAGES; i++)
			spread->pages[i] = NULL;
	}
	if (!spread->pages[page]) {
		uint64_t *new = walk_grow(walk, NULL, 1 << BUCKET_BITS, sizeof(*new));

		for (int i = 0; i < 1 << BUCKET_BITS; i++)
			new[i] = 0;
		spread->pages[page] = new;
	}
	spread->pages[page][magnitude & ((1 << BUCKET_BITS) - 1)] += times;
	spread->count += (int64_t)times;
}

static void add_bucket(struct walk *walk, struct spread *spread, int64_t value)
{
	int64_t bucket = bucket_of(value < 0 ? -(uint64_t)value : (uint64_t)value);

	spread_count(walk, spread, value < 0 ? -bucket : bucket, 1);
}

static void to_buckets(struct walk *walk, struct spread *spread)
{
	int64_t *values = spread->values, count = spread->count;

	spread->values = NULL;
	spread->count = 0;
	for (int64_t i = 0; i < count; i++)
		add_bucket(walk, spread, values[i]);
	free(values);
	walk->kept_bytes -= spread->room * (int64_t)sizeof(*values);
	spread->room = 0;
}

/* Where there is no room: for more values if they may be kept, else in buckets. */
void spread_add_slowly(struct walk *walk, struct spread *spread, int64_t value, int64_t most)
{
	if (!spread->pages) {
		int64_t room = spread->room ? 2 * spread->room : FIRST_ROOM;
		int64_t more = (room - spread->room) * (int64_t)sizeof(*spread->values);

		if (spread->room < most && (room <= SMALL || walk->kept_bytes + more <= walk->plan.keep_bytes)) {
			spread->values = walk_grow(walk, spread->values, room, sizeof(*spread->values));
			spread->room = room;
			walk->kept_bytes += more;
			spread->values[spread->count++] = value;
			return;
		}
		to_buckets(walk, spread);
	}
	add_bucket(walk, spread, value);
}

void spread_add_all(struct walk *walk, struct spread *spread, const struct spread *other, int64_t most)
{
	if (!other->pages) {
		for (int64_t i = 0; i < other->count; i++)
			spread_add(walk, spread, other->values[i], most);
		return;
	}
	if (!spread->pages)
		to_buckets(walk, spread);
	for (int64_t page = 0; page < 2 * BUCKET_PAGES; page++) {
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
