/* SPDX-License-Identifier: MIT */
/* A hash table from 64-bit keys to 32-bit values that grows and never forgets: open addressing. */
#ifndef FUNCSNOOP_MAP_H
#define FUNCSNOOP_MAP_H

#include <stdint.h>

#define MAP_NONE INT32_MIN

struct walk;

struct map {
	uint64_t *keys;
	int32_t *values; /* MAP_NONE where nothing is */
	int32_t bits; /* 0: nothing allocated */
	int64_t used;
};

int32_t *map_insert(struct walk *walk, struct map *map, uint64_t key);
void map_free(struct map *map);

static inline uint64_t map_hash(uint64_t key)
{
	/* Multiplied by the golden ratio the upper bits depend on all of the key. */
	return key * 0x9e3779b97f4a7c15ULL;
}

/* Where the value of `key` is, or NULL. */
static inline int32_t *map_find(const struct map *map, uint64_t key)
{
	if (!map->bits)
		return 0;
	uint64_t mask = (1ULL << map->bits) - 1;
	for (uint64_t i = map_hash(key) >> (64 - map->bits);; i = (i + 1) & mask) {
		if (map->values[i] == MAP_NONE)
			return 0;
		if (map->keys[i] == key)
			return &map->values[i];
	}
}

#endif
