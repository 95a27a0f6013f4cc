/* SPDX-License-Identifier: MIT */
#include "registers.h"

#include <stdlib.h>
#include <string.h>

#include "walk.h"

#define FIRST_BITS 3
#define CHUNK 512
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

/* Least, greatest and sum: of values that are all counted these are found when all have come. */
static void add_figures(struct registers *registers, uint64_t value, uint64_t times)
{
	uint64_t ordered = registers->is_signed ? value ^ TOP_BIT : value;

	registers->least = ordered < registers->least ? ordered : registers->least;
	registers->greatest = ordered > registers->greatest ? ordered : registers->greatest;
	registers->sum += (unsigned __int128)value * times;
	/* In 128 bits a negative number has ones above. */
	if (registers->is_signed && (int64_t)value < 0)
		registers->sum -= (unsigned __int128)times << 64;
}

static void add_counted(struct registers *registers)
{
	for (int64_t i = 0; i < registers_values(registers); i++)
		if (registers_value(registers, i)->count)
			add_figures(registers, registers_value(registers, i)->value,
				    registers_value(registers, i)->count);
}

/* From here on not all values are counted. */
static void begin_sketch(struct walk *walk, struct registers *registers)
{
	registers->sketch = walk_grow(walk, NULL, 1 << SKETCH_BITS, 1);
	memset(registers->sketch, 0, 1 << SKETCH_BITS);
	for (int64_t i = 0; i < registers_values(registers); i++) {
		const struct valued *valued = registers_value(registers, i);

		if (!valued->count)
			continue;
		sketch_add(registers, valued->value);
		spread_count(walk, &registers->values, signed_bucket(registers, valued->value), valued->count);
	}
	add_counted(registers);
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
	registers->in_table = 0;
	for (int64_t i = 0; i < size; i++) {
		if ((int64_t)old[i].count <= less)
			continue;
		*place_of(registers, old[i].value) =
			(struct valued){ old[i].value, old[i].count - less, old[i].group };
		registers->in_table++;
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

/* Give a value that comes up for the first time, and is counted at `valued`, a group. */
static void meet(struct walk *walk, struct registers *registers, struct valued *valued, uint64_t value)
{
	if (!registers->groups)
		registers->groups = new_groups(walk, FEW);
	if (registers->few_count == FEW)
		group_by_octave(walk, registers);
	valued->value = value;
	if (registers->few_count >= 0) {
		registers->few[registers->few_count] = value;
		valued->group = registers->few_count++;
	}
}

/* Where a value is counted. */
static inline struct valued *counted_at(struct walk *walk, struct registers *registers, uint64_t value)
{
	struct valued *valued;

	if (value < SMALL_VALUES) {
		if (!registers->small) {
			registers->small = walk_grow(walk, NULL, SMALL_VALUES, sizeof(*registers->small));
			memset(registers->small, 0, SMALL_VALUES * sizeof(*registers->small));
		}
		valued = &registers->small[value];
		if (!valued->count)
			meet(walk, registers, valued, value);
		return valued;
	}
	valued = registers->table ? place_of(registers, value) : NULL;
	if (valued && valued->count)
		return valued;
	if (!valued || 4LL * (registers->in_table + 1) > 3LL << registers->table_bits)
		make_room(walk, registers);
	valued = place_of(registers, value);
	registers->in_table++;
	meet(walk, registers, valued, value);
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

/* Of some calls what `column` held. */
static void work(struct walk *walk, struct registers *registers, int column, const uint64_t *raw,
		 const int64_t *duration, const uint8_t *has, int count)
{
	uint64_t values[CHUNK];
	int is_signed = registers->is_signed;

	for (int i = 0; i < count; i++)
		values[i] = as_type(registers, raw[i]);
	for (int i = 0; registers->table && i < count; i++)
		if (values[i] >= SMALL_VALUES)
			__builtin_prefetch(&registers->table[map_hash(values[i]) >> (64 - registers->table_bits)]);
	for (int i = 0; i < count; i++) {
		struct valued *valued;

		if (!(has[i] >> column & 1))
			continue;
		valued = counted_at(walk, registers, values[i]);
		valued->count++;
		registers->count++;
		if (registers->sketch) {
			add_figures(registers, values[i], 1);
			sketch_add(registers, values[i]);
			spread_count(walk, &registers->values, signed_bucket(registers, values[i]), 1);
		}
		if (duration[i] == NOT_COMPLETE)
			continue;
		int group = registers->few_count >= 0 ? (int)valued->group : octave_of(values[i], is_signed);

		spread_add(walk, &registers->groups[group], duration[i], walk->plan.keep_group);
	}
}

/* The same, of the calls from `first` on, in parts that are near the processor when they are read again. */
void registers_work(struct walk *walk, struct registers *registers, int column, const struct finished_calls *calls,
		    int64_t first, int64_t count)
{
	for (int64_t end = first + count; first < end; first += CHUNK)
		work(walk, registers, column, calls->value[column] + first, calls->duration + first,
		     calls->has + first, end - first < CHUNK ? (int)(end - first) : CHUNK);
}

static int groups_of(const struct registers *registers)
{
	return !registers->groups ? 0 : registers->few_count < 0 ? 2 * OCTAVES : FEW;
}

/* All values have come. */
void registers_end(struct walk *walk, struct registers *registers)
{
	if (!registers->sketch)
		add_counted(registers);
	for (int i = 0; i < groups_of(registers); i++)
		spread_settle(walk, &registers->groups[i]);
}

void registers_free(struct registers *registers)
{
	for (int i = 0; i < groups_of(registers); i++)
		spread_free(&registers->groups[i]);
	free(registers->groups);
	spread_free(&registers->values);
	free(registers->small);
	free(registers->table);
	free(registers->sketch);
	free(registers);
}
