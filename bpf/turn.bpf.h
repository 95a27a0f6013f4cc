// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Whose turn it is: links can be in place before they count, and stop to count before they are taken out.
 *
 * Links are exchanged for others while calls go on. For that time both are in place, and a probe of each
 * sees the same entry or exit: the new one first, as the kernel runs the newest first at one instruction,
 * and a `ret` before what follows the return. If the turn changes between the two, neither would report:
 * so the new one leaves word of what it has passed over, and the old one reports that.
 *
 * A session link sees exits of only those calls whose entries it took. So once it is the new one's turn, exits of
 * calls that are under way are still the old one's (TURN_OLD_EXITS), until generic_catch is there for the functions
 * of those calls: a return probe, which sees all exits, and counts those of calls that entered in its turn.
 */
#pragma once

#include "event.bpf.h"
#include "limits.bpf.h"

/* Nobody's turn any more. */
#define TURN_OVER 0xffffffff
/* In `next`: exits that session links of the turn before see still count. */
#define TURN_OLD_EXITS 0x80000000
/* What cookies tell of a turn that do not tell the whole, and of TURN_OVER what none tells. */
#define TURN_SHOWN(turn) ((turn) & 0x800000ff)

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

/* What sees an event. */
enum seen_by {
	BY_PROBE,
	BY_LEAVE, /* generic_leave, entry_and_leave */
	BY_SESSION,
	BY_CATCH, /* generic_catch */
};

/* Whether a probe with this cookie counts. */
static __always_inline bool has_turn(enum seen_by seen_by, u64 cookie, u32 pid, bool is_entry, u64 frame)
{
	struct snoop_passed key = { .pid = pid, .function = COOKIE_FUNCTION(cookie), .is_entry = is_entry };
	int zero = 0;
	struct snoop_turn *this = turn.lookup(&zero);
	u32 whole = COOKIE_WHOLE_TURN(cookie), now, next;
	bool mine, is_new;
	u64 *passed;

	if (!this)
		return false;
	now = this->now;
	next = this->next;
	if (seen_by == BY_CATCH) {
		mine = now != TURN_OVER && whole + (next >> 31) < now;
		is_new = now != TURN_OVER;
	} else if (seen_by == BY_SESSION) {
		mine = is_entry ? now == whole : now <= whole + (next >> 31);
		is_new = whole == (next & ~TURN_OLD_EXITS);
	} else {
		u32 shown = seen_by == BY_LEAVE ? COOKIE_LEAVE_TURN(cookie) : COOKIE_TURN(cookie);

		mine = TURN_SHOWN(now) == shown;
		is_new = (next & 0xff) == shown;
	}
	if (!next || now == TURN_OVER)
		return mine;
	if (is_new) {
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
