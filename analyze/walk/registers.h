/* SPDX-License-Identifier: MIT */
/*
 * What one register held in the calls of one function, and how long they took then: analyze/arguments.py
 * says which figures that gives.
 *
 * Values are counted one by one as long as the different ones are few enough to keep. Then those that
 * hardly occur are dropped again and again, as frequent-items sketches do (Misra and Gries 1982), which
 * makes every count too low by at most `missed`; the number of different ones comes from a HyperLogLog
 * sketch (Flajolet and others 2007), and the median from log-linear buckets.
 */
#ifndef FUNCSNOOP_REGISTERS_H
#define FUNCSNOOP_REGISTERS_H

#include <stdint.h>

#include "spread.h"

/* Up to so many different values have a group each; more are grouped by the power of two. */
#define FEW 16
/* By magnitude: 0, 1, 2…3, 4…7 and so on, and below 0. */
#define OCTAVES 65
#define SKETCH_BITS 14
#define SMALL_VALUES 256

struct valued {
	uint64_t value;
	uint64_t count : 56; /* 0 where nothing is */
	uint64_t group : 8; /* its place in `groups`, as long as these are by value */
};

#define ARGS 6
#define COLUMNS (ARGS + 1) /* arg0 … arg5, ret_val */

/* A call that is over, or of which no more is known. */
struct finished {
	uint64_t value[COLUMNS];
	int64_t duration; /* NOT_COMPLETE for a call that is not */
	int32_t function;
	uint32_t has; /* a bit for each register that has a value */
};

#define NOT_COMPLETE INT64_MIN

/* The same of many calls, an array for each field. */
struct finished_calls {
	uint64_t *value[COLUMNS];
	int64_t *duration;
	uint8_t *has;
};

struct registers {
	int64_t count;
	int64_t missed;
	unsigned __int128 sum; /* of values as they are read, modulo 2^128 */
	uint64_t least; /* in the order of the type: signed ones have their top bit turned */
	uint64_t greatest;
	struct valued *small; /* SMALL_VALUES, by value; the others are in `table` */
	struct valued *table;
	int32_t table_bits;
	int32_t in_table;
	uint8_t *sketch; /* NULL as long as all values are counted */
	struct spread values; /* buckets only, and only with `sketch` */
	uint64_t few[FEW];
	struct spread *groups; /* FEW, by `few`; or 2 * OCTAVES, by magnitude, then by that of negative ones */
	int32_t few_count; /* -1: by magnitude */
	uint8_t spare; /* upper bits of the register that the type leaves out */
	uint8_t is_signed;
	uint8_t is_bool;
};

struct registers *registers_new(struct walk *walk, int kind);
/* Of the values that are counted, the small ones first: how many places there are, and one of them. */
static inline int64_t registers_values(const struct registers *registers)
{
	return SMALL_VALUES + (registers->table ? 1LL << registers->table_bits : 0);
}

static inline const struct valued *registers_value(const struct registers *registers, int64_t place)
{
	static const struct valued nothing;

	if (place >= SMALL_VALUES)
		return &registers->table[place - SMALL_VALUES];
	return registers->small ? &registers->small[place] : &nothing;
}

void registers_work(struct walk *walk, struct registers *registers, int column, const struct finished_calls *calls,
		    int64_t first, int64_t count);
void registers_end(struct walk *walk, struct registers *registers);
void registers_free(struct registers *registers);

#endif
