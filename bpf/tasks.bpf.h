// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Programs that see processes and threads begin and end.
 */
#pragma once

#include "processes.bpf.h"
#include "turn.bpf.h"

/* What is left of a thread of a followed process. */
struct ended_thread {
	u64 timestamp; /* CLOCK_MONOTONIC, ns: an id can come again before the recorder looks */
	u32 pid;
	u32 tgid;
};

struct left_thread {
	char name[16];
	u32 levels; /* that live_calls still has of it */
};

BPF_HASH(ended_threads, struct ended_thread, struct left_thread, MAX_ENDED);
/* Processes whose leader another thread's exec has replaced: tgid -> when (CLOCK_MONOTONIC, ns). */
BPF_HASH(replaced_leaders, u32, u64, 64);

#ifdef FOLLOW
#define SNOOP_CLONE_THREAD 0x10000

/* On the raw tracepoint task_newtask(task, clone_flags), in the context of the parent. */
int task_start(struct bpf_raw_tracepoint_args *ctx)
{
	u64 task = ctx->args[0];
	struct snoop_birth birth = {};
	u32 pid, tgid, *threads;

	if (!current_ids(&pid, &tgid) || !is_followed(tgid))
		return 0;
	if (ctx->args[1] & SNOOP_CLONE_THREAD) {
		threads = live_threads.lookup(&tgid);
		if (threads)
			__sync_fetch_and_add(threads, 1);
		return 0;
	}
	birth.start = snoop_ktime_get_boot_ns();
	birth.parent = tgid;
	if (newborn.update(&task, &birth))
		count_unfollowed();
	return 0;
}
#endif

/* On the raw tracepoint sched_process_exec(task, old_pid, bprm): an exec from a thread that is not the
 * leader gives it the leader's id, and ends links with a pid filter, which hold on to the old leader. */
int task_exec(struct bpf_raw_tracepoint_args *ctx)
{
	u32 pid, tgid;
	u64 now = snoop_ktime_get_ns();

#ifdef LIVE_CALLS
	if (current_ids(&pid, &tgid) && is_followed(tgid)) {
#ifndef PIDNS_INO
		u32 before = ctx->args[1];

		if (before != pid)
			leave_all(before, tgid);
#endif
		leave_all(pid, tgid);
	}
#endif
	if ((u32)ctx->args[1] == (u32)snoop_get_current_pid_tgid())
		return 0;
	if (current_ids(&pid, &tgid) && is_followed(tgid))
		replaced_leaders.update(&tgid, &now);
	return 0;
}

/* On the raw tracepoint sched_process_exit: a short-lived thread has a name only here. */
int thread_end(void *ctx)
{
	struct ended_thread ended = {};
	struct left_thread left = {};
	struct snoop_counts *count;
	u32 pid, tgid;
	int zero = 0;

	if (!current_ids(&pid, &tgid))
		return 0;
	/* Killed, it cannot say so itself. The kernel waits for return probes when it closes the links, and
	 * would wait as long as new ones are asked for. */
	if (tgid == RECORDER_TGID) {
		if (pid == tgid)
			end_turns();
		return 0;
	}
	if (!is_followed(tgid))
		return 0;
	ended.timestamp = snoop_ktime_get_ns();
	ended.pid = pid;
	ended.tgid = tgid;
	snoop_get_current_comm(left.name, sizeof(left.name));
#ifdef LIVE_CALLS
	left.levels = leave_all(pid, tgid);
#endif
	/* Whoever gets this id next has losses of its own. */
	report_loss(pid, tgid);
	if (ended_threads.update(&ended, &left)) {
		count = counts.lookup(&zero);
		if (count)
			__sync_fetch_and_add(&count->unnoted, 1);
	}
#ifdef FOLLOW
	u32 *threads = live_threads.lookup(&tgid);

	if (threads) {
		__sync_fetch_and_add(threads, -1);
		/* Two that end at once can both see none left, and delete twice, which does no harm. */
		if (!*threads) {
			snoop_proc.delete(&tgid);
			live_threads.delete(&tgid);
		}
	}
#endif
	return 0;
}
