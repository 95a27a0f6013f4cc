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

struct valued {
	uint64_t value;
	uint64_t count : 56; /* 0 where nothing is */
	uint64_t group : 8; /* its place in `groups`, as long as these are by value */
};

/* A value and the duration of its call, INT64_MIN where that is not complete. */
struct noted {
	uint64_t value;
	int64_t duration;
};

struct registers {
	struct noted *noted; /* not yet worked on */
	int32_t noted_count;
	int32_t noted_room;
	int64_t count;
	int64_t missed;
	unsigned __int128 sum; /* of values as they are read, modulo 2^128 */
	uint64_t least; /* in the order of the type: signed ones have their top bit turned */
	uint64_t greatest;
	struct valued *table;
	int32_t table_bits;
	int32_t different; /* values in `table` */
	uint8_t *sketch; /* NULL as long as `table` has all values */
	struct spread values; /* buckets only, and only with `sketch` */
	uint64_t few[FEW];
	struct spread *groups; /* FEW, by `few`; or 2 * OCTAVES, by magnitude, then by that of negative ones */
	int32_t few_count; /* -1: by magnitude */
	uint8_t spare; /* upper bits of the register that the type leaves out */
	uint8_t is_signed;
	uint8_t is_bool;
};

struct registers *registers_new(struct walk *walk, int kind);
void registers_work(struct walk *walk, struct registers *registers);
void registers_free(struct registers *registers);

#define NOT_COMPLETE INT64_MIN

/*
 * A call had `raw` in the register. That is noted, and worked on when there is more of it: a register's tables
 * are then near the processor, whereas those of all registers are not.
 */
static inline void registers_add(struct walk *walk, struct registers *registers, uint64_t raw, int64_t duration)
{
	if (registers->noted_count == registers->noted_room)
		registers_work(walk, registers);
	registers->noted[registers->noted_count++] = (struct noted){ raw, duration };
}

#endif
