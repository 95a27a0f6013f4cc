/* SPDX-License-Identifier: MIT */
/*
 * What a walk has gathered, as arrays that Python has made room for: `walk_sizes` says how much. Numbers of
 * 128 bits are two of 64, the lower one first.
 */
#include <string.h>

#include "walk.h"

/* The columns of structs that are handed over as they are. */
_Static_assert(sizeof(struct way) == 15 * sizeof(int64_t), "see analyze/native.py");
_Static_assert(sizeof(struct place) == 2 * sizeof(int64_t), "see analyze/native.py");
_Static_assert(sizeof(struct edge) == 2 * sizeof(int64_t), "see analyze/native.py");

struct sizes {
	int64_t ways;
	int64_t places;
	int64_t edges;
	int64_t functions; /* that were called */
	int64_t durations;
	int64_t duration_buckets;
	int64_t registers;
	int64_t values;
	int64_t value_buckets;
	int64_t sketches;
	int64_t groups;
	int64_t group_durations;
	int64_t group_buckets;
};

/* Spreads one after the other: `kept` and `buckets` are how many of each follow for one. */
struct spreads {
	int64_t *kept;
	int64_t *buckets;
	int64_t *value;
	int64_t *bucket;
	int64_t *count;
	int64_t spread_count;
	int64_t kept_count;
	int64_t bucket_count;
};

static void put_spread(struct spreads *to, const struct spread *spread)
{
	int64_t kept = spread->held;
	int64_t buckets = spread_buckets(spread, to->bucket ? to->bucket + to->bucket_count : NULL,
					 to->bucket ? to->count + to->bucket_count : NULL);

	if (to->kept) {
		to->kept[to->spread_count] = kept;
		to->buckets[to->spread_count] = buckets;
		if (kept)
			memcpy(to->value + to->kept_count, spread->values, kept * sizeof(*to->value));
	}
	to->spread_count++;
	to->kept_count += kept;
	to->bucket_count += buckets;
}

struct register_header {
	int64_t function;
	int64_t column;
	int64_t count;
	int64_t missed;
	uint64_t sum[2];
	uint64_t least;
	uint64_t greatest;
	int64_t is_signed;
	int64_t values;
	int64_t sketched;
	int64_t value_buckets;
	int64_t groups;
};

struct arrays {
	int64_t *ways;
	int64_t *places;
	int64_t *edges;
	int64_t *functions; /* row, sum, two of squares, least, greatest */
	struct spreads durations;
	struct register_header *registers;
	uint64_t *value;
	int64_t *count;
	int64_t *value_bucket;
	int64_t *value_bucket_count;
	uint8_t *sketches;
	int64_t *group; /* its value, or ~ its octave */
	struct spreads groups;
};

static int64_t group_key(const struct registers *registers, int i)
{
	if (registers->few_count >= 0)
		return (int64_t)registers->few[i];
	return i;
}

/* One register's table and groups; NULL arrays only count. */
static void put_register(struct arrays *to, struct sizes *sizes, const struct registers *registers,
			 struct register_header *header)
{
	int groups = !registers->groups ? 0 : registers->few_count < 0 ? 2 * OCTAVES : registers->few_count;

	for (int64_t i = 0; i < registers_values(registers); i++) {
		const struct valued *valued = registers_value(registers, i);

		if (!valued->count)
			continue;
		if (to) {
			to->value[sizes->values] = valued->value;
			to->count[sizes->values] = valued->count;
		}
		header->values++;
		sizes->values++;
	}
	if (registers->sketch) {
		if (to)
			memcpy(to->sketches + (sizes->sketches << SKETCH_BITS), registers->sketch,
			       1 << SKETCH_BITS);
		header->sketched = 1;
		sizes->sketches++;
	}
	header->value_buckets = spread_buckets(&registers->values, to ? to->value_bucket + sizes->value_buckets : NULL,
					       to ? to->value_bucket_count + sizes->value_buckets : NULL);
	sizes->value_buckets += header->value_buckets;
	for (int i = 0; i < groups; i++) {
		if (!registers->groups[i].count)
			continue;
		if (to)
			to->group[sizes->groups] = group_key(registers, i);
		header->groups += registers->few_count < 0 ? -1 : 1;
		sizes->groups++;
	}
}

static void gather(struct walk *walk, struct sizes *sizes, struct arrays *to)
{
	struct spreads counted = { 0 }, grouped = { 0 };
	struct spreads *durations = to ? &to->durations : &counted, *groups = to ? &to->groups : &grouped;

	*sizes = (struct sizes){
		.ways = walk->tally.way_count, .places = walk->tally.place_count, .edges = walk->tally.edge_count,
	};
	for (int64_t row = 0; row < walk->functions; row++) {
		const struct function_tally *function = walk->tally.functions[row];

		if (!function)
			continue;
		if (to) {
			int64_t *figures = &to->functions[6 * sizes->functions];

			figures[0] = row;
			figures[1] = function->sum;
			figures[2] = (int64_t)function->squares;
			figures[3] = (int64_t)(function->squares >> 64);
			figures[4] = function->least;
			figures[5] = function->greatest;
		}
		sizes->functions++;
		put_spread(durations, &function->durations);
		for (int column = 0; column < COLUMNS; column++) {
			const struct registers *registers = function->registers[column];

			if (!registers || !registers->count)
				continue;
			struct register_header header = {
				.function = row, .column = column, .count = registers->count,
				.missed = registers->missed,
				.sum = { (uint64_t)registers->sum, (uint64_t)(registers->sum >> 64) },
				.least = registers->least, .greatest = registers->greatest,
				.is_signed = registers->is_signed,
			};

			put_register(to, sizes, registers, &header);
			int many = !registers->groups ? 0 : registers->few_count < 0 ? 2 * OCTAVES : FEW;

			for (int i = 0; i < many; i++)
				if (registers->groups[i].count)
					put_spread(groups, &registers->groups[i]);
			if (to)
				to->registers[sizes->registers] = header;
			sizes->registers++;
		}
	}
	sizes->durations = durations->kept_count;
	sizes->duration_buckets = durations->bucket_count;
	sizes->group_durations = groups->kept_count;
	sizes->group_buckets = groups->bucket_count;
}

void walk_sizes(struct walk *walk, struct sizes *sizes)
{
	gather(walk, sizes, NULL);
}

void walk_export(struct walk *walk, struct arrays *arrays)
{
	struct sizes sizes;

	gather(walk, &sizes, arrays);
	if (!sizes.ways)
		return;
	memcpy(arrays->ways, walk->tally.ways, sizes.ways * sizeof(struct way));
	memcpy(arrays->places, walk->tally.places, sizes.places * sizeof(struct place));
	memcpy(arrays->edges, walk->tally.edges, sizes.edges * sizeof(struct edge));
}

/* Of each thread, in order of appearance: calls, events, first, last, busy. */
void walk_thread_tallies(const struct walk *walk, int64_t *figures)
{
	for (int64_t i = 0; i < walk->thread_count; i++) {
		const struct thread_tally *tally = &walk->threads[i]->tally;
		const int64_t row[] = { tally->calls, tally->events, tally->first, tally->last, tally->busy };

		memcpy(figures + 5 * i, row, sizeof(row));
	}
}
