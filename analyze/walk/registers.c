/* SPDX-License-Identifier: MIT */
#include "registers.h"

#include <stdlib.h>
#include <string.h>

#include "walk.h"

#define FIRST_BITS 3
#define MOST_NOTED 512
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

static inline struct valued *place_of(const struct registers *registers, uint64_t value)
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
		if ((int64_t)old[i].count <= less)
			continue;
		*place_of(registers, old[i].value) =
			(struct valued){ old[i].value, old[i].count - less, old[i].group };
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

static inline int octave_of(uint64_t value, int is_signed)
{
	int negative = is_signed && (int64_t)value < 0;
	uint64_t magnitude = negative ? -value : value;

	return (magnitude ? 64 - __builtin_clzll(magnitude) : 0) + (negative ? OCTAVES : 0);
}

static struct spread *new_groups(struct walk *walk, int count)
{
	struct spread *groups = calloc(count, sizeof(*groups));

	if (!groups)
		longjmp(walk->failed, WALK_NO_MEMORY);
	return groups;
}

static void group_by_octave(struct walk *walk, struct registers *registers)
{
	struct spread *few = registers->groups;

	registers->groups = new_groups(walk, 2 * OCTAVES);
	for (int i = 0; i < FEW; i++) {
		int octave = octave_of(registers->few[i], registers->is_signed);

		spread_add_all(walk, &registers->groups[octave], &few[i], walk->plan.keep_group);
		spread_free(&few[i]);
	}
	free(few);
	registers->few_count = -1;
}

/* Where a value is counted that is not in the table yet. */
static struct valued *meet(struct walk *walk, struct registers *registers, uint64_t value)
{
	if (!registers->table || 4LL * (registers->different + 1) > 3LL << registers->table_bits)
		make_room(walk, registers);
	if (!registers->groups)
		registers->groups = new_groups(walk, FEW);
	if (registers->few_count == FEW)
		group_by_octave(walk, registers);
	struct valued *valued = place_of(registers, value);

	valued->value = value;
	registers->different++;
	if (registers->few_count >= 0) {
		registers->few[registers->few_count] = value;
		valued->group = registers->few_count++;
	}
	return valued;
}

static inline uint64_t as_type(const struct registers *registers, uint64_t raw)
{
	uint64_t value = raw << registers->spare;

	if (registers->is_signed)
		return (uint64_t)((int64_t)value >> registers->spare);
	value >>= registers->spare;
	return registers->is_bool ? value != 0 : value;
}

/* Read the values as their type, and ask for the memory where they are counted. */
static void read_values(struct registers *registers, struct noted *noted, int count)
{
	uint64_t turned = registers->is_signed ? TOP_BIT : 0;
	uint64_t least = registers->least, greatest = registers->greatest;
	unsigned __int128 sum = 0;

	for (int i = 0; i < count; i++) {
		uint64_t value = as_type(registers, noted[i].value), ordered = value ^ turned;

		least = ordered < least ? ordered : least;
		greatest = ordered > greatest ? ordered : greatest;
		sum += value;
		/* In 128 bits a negative number has ones above. */
		if (turned && (int64_t)value < 0)
			sum -= (unsigned __int128)1 << 64;
		noted[i].value = value;
		if (registers->table)
			__builtin_prefetch(&registers->table[map_hash(value) >> (64 - registers->table_bits)]);
	}
	registers->least = least;
	registers->greatest = greatest;
	registers->sum += sum;
	registers->count += count;
}

/* Work on what was noted, and make room for more of it. */
void registers_work(struct walk *walk, struct registers *registers)
{
	struct noted *noted = registers->noted;
	int count = registers->noted_count;

	read_values(registers, noted, count);
	for (int i = 0; i < count; i++) {
		uint64_t value = noted[i].value;
		struct valued *valued = registers->table ? place_of(registers, value) : NULL;

		if (!valued || !valued->count)
			valued = meet(walk, registers, value);
		valued->count++;
		if (registers->sketch) {
			sketch_add(registers, value);
			spread_count(walk, &registers->values, signed_bucket(registers, value), 1);
		}
		if (noted[i].duration == NOT_COMPLETE)
			continue;
		int group = registers->few_count >= 0 ? (int)valued->group : octave_of(value, registers->is_signed);

		spread_add(walk, &registers->groups[group], noted[i].duration, walk->plan.keep_group);
	}
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
