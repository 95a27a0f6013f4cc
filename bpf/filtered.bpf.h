// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Events that a filter has left out, by the reason for it.
 */
#pragma once

#include "helpers.bpf.h"

struct snoop_filtered {
	u64 brief;
	u64 deep;
	u64 unsampled;
	u64 over_budget;
	u64 unknown;	/* of the brief ones, exits of calls whose entry is not kept: how long they took is not known */
	u64 untracked;	/* of those lost, the ones of calls that there was no room for here */
	u64 roots;	/* outermost calls, and those of them that are recorded: with SAMPLE */
	u64 sampled_roots;
};

BPF_PERCPU_ARRAY(filtered, struct snoop_filtered, 1);

static __always_inline struct snoop_filtered *left_out(void)
{
	int zero = 0;

	return filtered.lookup(&zero);
}

#define LEAVE_OUT(reason, events)                                          \
	do {                                                               \
		struct snoop_filtered *out = left_out();                   \
                                                                           \
		if (out)                                                   \
			__sync_fetch_and_add(&out->reason, (u64)(events)); \
	} while (0)
