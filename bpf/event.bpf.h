// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What an event says, and what a cookie: bpf/layout.py has the same in Python.
 */
#pragma once

#include "limits.bpf.h"

enum event_type {
	EVENT_ENTRY,
	EVENT_EXIT,
	EVENT_TAIL, /* an exit by a tail jump: what it returns is not known yet */
	EVENT_SPAN, /* an entry and the exit that comes next in its thread, in one */
	EVENT_TAIL_SPAN,
};

/*
 * The cookie of a probe holds the function's number, and above it what its program needs to know:
 *
 *   bits   programs                        what
 *   0-31   all                             the function
 *   32-35  generic_leave, entry_and_leave  the condition of a conditional jump
 *   36     generic_leave, entry_and_leave  it is conditional
 *   37     generic_leave, entry_and_leave  it is a tail jump
 *   38-45  generic_leave, entry_and_leave  when the probe counts, modulo 256: see turn.bpf.h
 *   32-39  generic_entry, generic_exit     the same
 *   40-61  generic_session, generic_catch  the same, whole
 *   40-55  generic_entry                   how far the function has moved the stack pointer down by then, in
 *                                          units of 8 bytes
 *   40-61  generic_exit on a perf event    the process that the probe is for, 0 for any: the kernel's own
 *                                          filter does not hold there on 6.1, and a return would be seen
 *                                          once for each process traced
 *   62     generic_entry                   the function's exits are seen by a return probe
 *   63     generic_entry                   its exits are not seen
 */
#define COOKIE_FUNCTION(cookie) ((cookie) & 0xffffffffULL)
#define COOKIE_CONDITION(cookie) (((cookie) >> 32) & 0xf)
#define COOKIE_CONDITIONAL (1ULL << 36)
#define COOKIE_TAIL (1ULL << 37)
#define COOKIE_LEAVE_TURN(cookie) ((u32)((cookie) >> 38) & 0xff)
#define COOKIE_TURN(cookie) ((u32)((cookie) >> 32) & 0xff)
#define COOKIE_WHOLE_TURN(cookie) ((u32)((cookie) >> 40) & 0x3fffff)
#define COOKIE_MOVED(cookie) ((((cookie) >> 40) & 0xffff) << 3)
#define COOKIE_OWNER(cookie) ((u32)((cookie) >> 40))
#define COOKIE_BY_RETURN (1ULL << 62)
#define COOKIE_ENTRY_ONLY (1ULL << 63)

struct func_trace_event {
	enum event_type type;
	u64 cookie;
	u32 pid;
	u32 tgid;
	u64 timestamp; /* CLOCK_MONOTONIC, ns */
#ifdef EVENT_NAME
	char name[FUNC_NAME_LEN];
#endif
	u64 args[MAX_ARGS]; /* not of exits */
	u64 ret_val;	    /* not of entries */
	u64 frame;	    /* stack pointer at the function's entry: equal at both sides of a call */
#ifdef WAIT_NS
	u64 end; /* of spans: when the function was left; the timestamp is when it was entered */
#endif
};
