// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Whose turn it is: links can be in place before they count, and stop to count before they are taken out.
 */
#pragma once

#include "event.bpf.h"

/* Nobody's turn any more. */
#define TURN_OVER 0xffffffff

/* One write here starts and stops any number of probes at one moment. */
BPF_ARRAY(turn, u32, 1);

/* Whether a probe with this cookie counts. */
static __always_inline bool has_turn(u64 cookie)
{
	int zero = 0;
	u32 *now = turn.lookup(&zero);

	return now && *now == COOKIE_TURN(cookie);
}

static __always_inline void end_turns(void)
{
	int zero = 0;
	u32 over = TURN_OVER;

	turn.update(&zero, &over);
}
