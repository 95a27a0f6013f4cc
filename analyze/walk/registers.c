/* SPDX-License-Identifier: MIT */
#include "registers.h"

#include <stdlib.h>
#include <string.h>

#include "walk.h"

#define FIRST_BITS 3
#define MOST_NOTED 128
#define TOP_BIT (1ULL << 63)

/* `kind` is the number of bits, negated for signed types, 1 for a bool. */
struct registers *registers_new(struct walk *walk, int kind)
{
	struct registers *registers = walk_grow(walk, NULL, 1, sizeof(*registers));

	*registers = (struct registers){
		.least = UINT64_MAX, .is_signed = kind < 0, .is_bool = kind == 1,
		.spare = kind == 1 ? 56 : 64 - abs(kind),
	};
	return registers;
}

static void sketch_add(struct registers *registers, uint64_t value)
{
	/* A finalizer as of MurmurHash3, so that every bit depends on every other. */
	value ^= value >> 33;
	value *= 0xff51afd7ed558ccdULL;
	value ^= value >> 33;
	value *= 0xc4ceb9fe1a85ec53ULL;
	value ^= value >> 33;
	uint64_t rest = value << SKETCH_BITS | 1ULL << (SKETCH_BITS - 1);
	uint8_t rank = (uint8_t)(1 + __builtin_clzll(rest));
	uint8_t *place = &registers->sketch[value >> (64 - SKETCH_BITS)];

	if (*place < rank)
		*place = rank;
}

static int64_t signed_bucket(const struct registers *registers, uint64_t value)
{
	int negative = registers->is_signed && (int64_t)value < 0;
	int64_t bucket = bucket_of(negative ? -value : value);

	return negative ? -bucket : bucket;
}

/* From here on the table has not all values. */
static void begin_sketch(struct walk *walk, struct registers *registers)
{
	registers->sketch = walk_grow(walk, NULL, 1 << SKETCH_BITS, 1);
	memset(registers->sketch, 0, 1 << SKETCH_BITS);
	for (int64_t i = 0; i < 1LL << registers->table_bits; i++) {
		const struct valued *valued = &registers->table[i];

		if (!valued->count)
			continue;
		sketch_add(registers, valued->value);
		spread_count(walk, &registers->values, signed_bucket(registers, valued->value), valued->count);
	}
}

static struct valued *place_of(const struct registers *registers, uint64_t value)
{
	uint64_t mask = (1ULL << registers->table_bits) - 1;
	uint64_t i = map_hash(value) >> (64 - registers->table_bits);

	while (registers->table[i].count && registers->table[i].value != value)
		i = (i + 1) & mask;
	return &registers->table[i];
}

static void rebuild(struct walk *walk, struct registers *registers, int bits, int64_t less)
{
	struct valued *old = registers->table;
	int64_t size = old ? 1LL << registers->table_bits : 0;

	registers->table = walk_grow(walk, NULL, 1LL << bits, sizeof(*old));
	memset(registers->table, 0, sizeof(*old) << bits);
	registers->table_bits = bits;
	registers->different = 0;
	for (int64_t i = 0; i < size; i++) {
		if (old[i].count <= less)
			continue;
		*place_of(registers, old[i].value) = (struct valued){ old[i].value, old[i].count - less };
		registers->different++;
	}
	free(old);
}

static int by_count(const void *one, const void *other)
{
	int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;

	return (a > b) - (a < b);
}

/* Make room in the table: a larger one if it may be, else without the rarer half of the values. */
static void make_room(struct walk *walk, struct registers *registers)
{
	int bits = registers->table ? registers->table_bits + 1 : FIRST_BITS;
	int64_t more = (int64_t)sizeof(struct valued) << (registers->table ? bits - 1 : bits);

	if (bits <= walk->plan.value_bits && (bits <= 11 || walk->kept_bytes + more <= walk->plan.keep_bytes)) {
		rebuild(walk, registers, bits, 0);
		walk->kept_bytes += more;
		return;
	}
	if (!registers->sketch)
		begin_sketch(walk, registers);
	/* The median of a thousand counts is near enough to the median of all. */
	int64_t sample[1024], found = 0;

	for (int64_t i = 0; found < 1024 && i < 1LL << registers->table_bits; i++)
		if (registers->table[i].count)
			sample[found++] = registers->table[i].count;
	qsort(sample, found, sizeof(*sample), by_count);
	int64_t less = sample[found / 2];

	rebuild(walk, registers, registers->table_bits, less);
	registers->missed += less;
}

static int octave_of(const struct registers *registers, uint64_t value)
{
	int negative = registers->is_signed && (int64_t)value < 0;
	uint64_t magnitude = negative ? -value : value;

	return (magnitude ? 64 - __builtin_clzll(magnitude) : 0) + (negative ? OCTAVES : 0);
}

static void group_by_octave(struct walk *walk, struct registers *registers)
{
	struct spread *few = registers->groups;

	registers->groups = calloc(2 * OCTAVES, sizeof(*few));
	if (!registers->groups) {
		registers->groups = few;
		longjmp(walk->failed, WALK_NO_MEMORY);
	}
	for (int i = 0; i < registers->few_count; i++) {
		spread_add_all(walk, &registers->groups[octave_of(registers, registers->few[i])], &few[i],
			       walk->plan.keep_group);
		spread_free(&few[i]);
	}
	free(few);
	registers->few_count = -1;
}

static void count_value(struct walk *walk, struct registers *registers, uint64_t value)
{
	if (!registers->table || 4LL * (registers->different + 1) > 3LL << registers->table_bits)
		make_room(walk, registers);
	struct valued *valued = place_of(registers, value);

	if (!valued->count) {
		valued->value = value;
		registers->different++;
		if (registers->few_count >= 0 && registers->few_count < FEW) {
			if (!registers->groups) {
				registers->groups = calloc(FEW, sizeof(struct spread));
				if (!registers->groups)
					longjmp(walk->failed, WALK_NO_MEMORY);
			}
			registers->few[registers->few_count++] = value;
		} else if (registers->few_count == FEW) {
			group_by_octave(walk, registers);
		}
	}
	valued->count++;
	if (registers->sketch) {
		sketch_add(registers, value);
		spread_count(walk, &registers->values, signed_bucket(registers, value), 1);
	}
}

static uint64_t as_type(const struct registers *registers, uint64_t raw)
{
	uint64_t value = raw << registers->spare;

	if (registers->is_signed)
		return (uint64_t)((int64_t)value >> registers->spare);
	value >>= registers->spare;
	return registers->is_bool ? value != 0 : value;
}

static int group_of(const struct registers *registers, uint64_t value)
{
	for (int i = 0; i < registers->few_count; i++)
		if (registers->few[i] == value)
			return i;
	return octave_of(registers, value);
}

/* Work on what was noted, and make room for more of it. */
void registers_work(struct walk *walk, struct registers *registers)
{
	struct noted *noted = registers->noted;
	int count = registers->noted_count;

	for (int i = 0; i < count; i++) {
		uint64_t value = as_type(registers, noted[i].value);
		uint64_t ordered = registers->is_signed ? value ^ TOP_BIT : value;

		if (ordered < registers->least)
			registers->least = ordered;
		if (ordered > registers->greatest)
			registers->greatest = ordered;
		registers->sum += registers->is_signed ? (unsigned __int128)(__int128)(int64_t)value : value;
		noted[i].value = value;
		if (registers->table)
			__builtin_prefetch(&registers->table[map_hash(value) >> (64 - registers->table_bits)]);
	}
	registers->count += count;
	for (int i = 0; i < count; i++)
		count_value(walk, registers, noted[i].value);
	for (int i = 0; i < count; i++)
		if (noted[i].duration != NOT_COMPLETE)
			spread_add(walk, &registers->groups[group_of(registers, noted[i].value)],
				   noted[i].duration, walk->plan.keep_group);
	registers->noted_count = 0;
	if (registers->noted_room < MOST_NOTED) {
		registers->noted_room = registers->noted_room ? 2 * registers->noted_room : 8;
		registers->noted = walk_grow(walk, noted, registers->noted_room, sizeof(*noted));
	}
}

void registers_free(struct registers *registers)
{
	int groups = !registers->groups ? 0 : registers->few_count < 0 ? 2 * OCTAVES : FEW;

	for (int i = 0; i < groups; i++)
		spread_free(&registers->groups[i]);
	free(registers->groups);
	spread_free(&registers->values);
	free(registers->noted);
	free(registers->table);
	free(registers->sketch);
	free(registers);
}
