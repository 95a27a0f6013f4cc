// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Whose turn it is: links can be in place before they count, and stop to count before they are taken out.
 *
 * Links are exchanged for others while calls go on. For that time both are in place, and a probe of each
 * sees the same entry or exit: the new one first, as the kernel runs the newest first at one instruction,
 * and a `ret` before what follows the return. If the turn changes between the two, neither would report:
 * so the new one leaves word of what it has passed over, and the old one reports that.
 */
#pragma once

#include "event.bpf.h"
#include "limits.bpf.h"

/* Nobody's turn any more. */
#define TURN_OVER 0xffffffff

struct snoop_turn {
	u32 now;
	u32 next; /* that of the new links while links are exchanged, also when it has come; else 0 */
};

struct snoop_passed {
	u32 pid;
	u32 function;
	u32 is_entry;
};

/* One write here starts and stops any number of probes at one moment. */
BPF_ARRAY(turn, struct snoop_turn, 1);
/* Entries and exits that a new link has passed over and the old one is still to see: the frame. */
BPF_HASH(passed_over, struct snoop_passed, u64, MAX_PASSED);

/* Whether a probe with this cookie counts. */
static __always_inline bool has_turn(u64 cookie, u32 pid, bool is_entry, u64 frame)
{
	struct snoop_passed key = { .pid = pid, .function = COOKIE_FUNCTION(cookie), .is_entry = is_entry };
	int zero = 0;
	struct snoop_turn *this = turn.lookup(&zero);
	u64 *passed;
	bool mine;

	if (!this)
		return false;
	mine = this->now == COOKIE_TURN(cookie);
	if (!this->next || this->now == TURN_OVER)
		return mine;
	if (COOKIE_TURN(cookie) == this->next) {
		if (mine)
			passed_over.delete(&key);
		else
			passed_over.update(&key, &frame);
		return mine;
	}
	passed = passed_over.lookup(&key);
	if (passed && *passed == frame) {
		passed_over.delete(&key);
		return true;
	}
	return mine;
}

static __always_inline bool is_over(void)
{
	int zero = 0;
	struct snoop_turn *this = turn.lookup(&zero);

	return !this || this->now == TURN_OVER;
}

static __always_inline void end_turns(void)
{
	struct snoop_turn over = { .now = TURN_OVER };
	int zero = 0;

	turn.update(&zero, &over);
}
