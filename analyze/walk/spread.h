/* SPDX-License-Identifier: MIT */
/*
 * How values are distributed: each of them while they are few, in log-linear buckets when they are many.
 *
 * The buckets are those of analyze/loglinear.py: exact below 256, then 128 to each power of two. Values
 * below 0, which only a clock that went back gives, have the bucket of their magnitude, negated.
 */
#ifndef FUNCSNOOP_SPREAD_H
#define FUNCSNOOP_SPREAD_H

#include <stdint.h>

struct walk;

#define BUCKET_BITS 7
#define BUCKET_PAGES 58 /* of 1 << BUCKET_BITS buckets, for all values of 64 bits */

/* Buckets of one spread lie near each other: values go there so many at a time. */
#define SPREAD_BUFFER 256

struct spread {
	int64_t count;
	int64_t *values; /* all of them; or where there are pages, those that are not in buckets yet */
	int32_t held; /* in `values` */
	int32_t room;
	uint64_t **pages; /* of positive buckets, then of negative ones; NULL where nothing is */
};

static inline int64_t bucket_of(uint64_t value)
{
	int length = value ? 64 - __builtin_clzll(value) : 0;
	int shift = length > BUCKET_BITS + 1 ? length - BUCKET_BITS - 1 : 0;

	return ((int64_t)shift << BUCKET_BITS) + (int64_t)(value >> shift);
}

void spread_make_room(struct walk *walk, struct spread *spread, int64_t most);
void spread_settle(struct walk *walk, struct spread *spread);
void spread_add_many(struct walk *walk, struct spread *spread, const int64_t *values, int count, int64_t most);
void spread_add_all(struct walk *walk, struct spread *spread, const struct spread *other, int64_t most);
void spread_count(struct walk *walk, struct spread *spread, int64_t bucket, uint64_t times);
int64_t spread_buckets(const struct spread *spread, int64_t *bucket, int64_t *count);
void spread_free(struct spread *spread);

/* Add a value to those, which are kept as they are up to `most`. */
static inline void spread_add(struct walk *walk, struct spread *spread, int64_t value, int64_t most)
{
	if (spread->held == spread->room)
		spread_make_room(walk, spread, most);
	spread->values[spread->held++] = value;
	spread->count++;
}

#endif
