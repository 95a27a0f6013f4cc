// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Whose events count: followed processes, and those that they fork.
 */
#pragma once

#include "losses.bpf.h"

/* How a process came to be followed that another one forked. */
struct snoop_birth {
	u64 start; /* CLOCK_BOOTTIME, ns */
	u32 parent; /* tgid */
	u32 tgid;
	u32 root_tgid; /* in the root pid namespace */
	u32 padding;
};

/* Followed processes: tgid as the recorder sees it -> tgid in the root pid namespace, once known. */
BPF_HASH(snoop_proc, u32, u32, MAX_PROCS);

#ifdef PIDNS_INO
struct snoop_pidns_info {
	u32 pid;
	u32 tgid;
};
static long (*snoop_get_ns_current_pid_tgid)(u64 dev, u64 ino, void *info, u32 size) = (void *)120;
#endif

/* The ids of the current thread as the recorder sees them; false where it cannot see the thread. */
static __always_inline bool current_ids(u32 *pid, u32 *tgid)
{
#ifdef PIDNS_INO
	struct snoop_pidns_info info = {};

	if (snoop_get_ns_current_pid_tgid(PIDNS_DEV, PIDNS_INO, &info, sizeof(info)))
		return false;
	*pid = info.pid;
	*tgid = info.tgid;
#else
	u64 ids = snoop_get_current_pid_tgid();

	*pid = (u32)ids;
	*tgid = ids >> 32;
#endif
	return true;
}

#ifdef FOLLOW
/* Forked processes that have done nothing yet, by the address of their first thread's task_struct: the
 * parent, in whose context a fork is seen, cannot tell their ids. */
BPF_HASH(newborn, u64, struct snoop_birth, MAX_PROCS);
/* What the recorder is still to be told, by tgid. */
BPF_HASH(births, struct snoop_birth, u8, MAX_PROCS);
/* Threads of the processes whose whole life is followed, by tgid: at none the process is over. */
BPF_HASH(live_threads, u32, u32, MAX_PROCS);

static __always_inline void count_unfollowed(void)
{
	int zero = 0;
	struct snoop_counts *count = counts.lookup(&zero);

	if (count)
		__sync_fetch_and_add(&count->unfollowed, 1);
}

/* Follow the current process if a followed one has forked it. */
static __always_inline bool adopt(u32 tgid)
{
	u64 task = snoop_get_current_task();
	struct snoop_birth *birth = newborn.lookup(&task);
	u32 root_tgid = snoop_get_current_pid_tgid() >> 32, one = 1;
	u8 nothing = 0;

	if (!birth)
		return false;
	if (snoop_proc.update(&tgid, &root_tgid)) {
		newborn.delete(&task);
		count_unfollowed();
		return false;
	}
	birth->tgid = tgid;
	birth->root_tgid = root_tgid;
	births.update(birth, &nothing);
	newborn.delete(&task);
	live_threads.update(&tgid, &one);
	return true;
}
#endif

static __always_inline bool is_followed(u32 tgid)
{
#ifdef ALL_PROCESSES
	/* Not the recorder: it would record how it records. */
	return tgid != RECORDER_TGID;
#else
	u32 *root_tgid = snoop_proc.lookup(&tgid);

	if (!root_tgid) {
#ifdef FOLLOW
		return adopt(tgid);
#else
		return false;
#endif
	}
	if (!*root_tgid)
		*root_tgid = snoop_get_current_pid_tgid() >> 32;
	return true;
#endif
}
