/* SPDX-License-Identifier: MIT */
#include "map.h"

#include <stdlib.h>

#include "walk.h"

static void map_double(struct walk *walk, struct map *map)
{
	struct map larger = { .bits = map->bits ? map->bits + 1 : 4 };
	int64_t size = 1LL << larger.bits;

	/* One block, the values behind the keys. */
	larger.keys = walk_grow(walk, NULL, size, sizeof(*larger.keys) + sizeof(*larger.values));
	larger.values = (int32_t *)(larger.keys + size);
	for (int64_t i = 0; i < size; i++)
		larger.values[i] = MAP_NONE;
	for (int64_t i = 0; map->bits && i < 1LL << map->bits; i++)
		if (map->values[i] != MAP_NONE)
			*map_insert(walk, &larger, map->keys[i]) = map->values[i];
	map_free(map);
	*map = larger;
}

/* Where the value of `key` is to be written; one that is new is MAP_NONE, and must not stay it. */
int32_t *map_insert(struct walk *walk, struct map *map, uint64_t key)
{
	int32_t *found = map_find(map, key);
	uint64_t mask, i;

	if (found)
		return found;
	if (!map->bits || 4 * (map->used + 1) > 3LL << map->bits)
		map_double(walk, map);
	mask = (1ULL << map->bits) - 1;
	for (i = map_hash(key) >> (64 - map->bits); map->values[i] != MAP_NONE;)
		i = (i + 1) & mask;
	map->keys[i] = key;
	map->used++;
	return &map->values[i];
}

void map_free(struct map *map)
{
	free(map->keys);
	*map = (struct map){ 0 };
}
