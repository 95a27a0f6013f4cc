// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * How many calls of each function there have been, where only so many are recorded.
 */
#pragma once

#include "helpers.bpf.h"
#include "limits.bpf.h"

/* By function, which are numbered from 1: its calls, recorded or not. Or, with SHARED_BUDGET, the function
 * that it shares a budget with. */
BPF_ARRAY(budgets, u64, MAX_FUNCS + 1);
#define SHARED_BUDGET (1ULL << 63)
/* When the first call over its budget was left out (CLOCK_MONOTONIC, ns): for the recorder, which takes it. */
BPF_HASH(spent, u32, u64, MAX_FUNCS);

/* The calls so far; `number` is that of a function, and becomes that of whose budget it is. */
static __always_inline u64 *calls_of_budget(int *number)
{
	u64 *calls = budgets.lookup(number);

	if (calls && *calls & SHARED_BUDGET) {
		*number = (u32)*calls;
		calls = budgets.lookup(number);
	}
	return calls;
}

static __always_inline bool within_budget(u32 function)
{
	int number = function;
	u64 now, before, *calls = calls_of_budget(&number);

	if (!calls)
		return false;
	before = __sync_fetch_and_add(calls, 1);
	if (before == BUDGET) {
		now = snoop_ktime_get_ns();
		function = number;
		spent.update(&function, &now);
	}
	return before < BUDGET;
}

static __always_inline bool is_over_budget(u32 function)
{
	int number = function;
	u64 *calls = calls_of_budget(&number);

	return !calls || *calls > BUDGET;
}
