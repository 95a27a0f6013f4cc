// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Events that the ring had no room for: how many, and which thread missed them when.
 */
#pragma once

#include "helpers.bpf.h"
#include "limits.bpf.h"

/* produced == lost + what the ring took, on each CPU. */
struct snoop_counts {
	u64 produced;
	u64 lost;
	u64 unplaced; /* of those lost, the ones that no loss record tells of */
	u64 unfollowed; /* processes that there was no room to follow */
	u64 unnoted; /* ends of threads that there was no room to note */
	u64 until_wake; /* events that come before the ring's reader is woken */
};

/* Events that one thread lost one after the other. */
struct snoop_loss {
	u64 first; /* CLOCK_MONOTONIC, ns */
	u64 last;
	u64 frame; /* the highest: calls below it may have lost a side, calls above it have not */
	u64 events;
	u32 pid;
	u32 tgid;
};

BPF_PERCPU_ARRAY(counts, struct snoop_counts, 1);
BPF_HASH(losing, u64, struct snoop_loss, MAX_LOSING);
BPF_ARRAY(any_loss, u32, 1);
BPF_RINGBUF_OUTPUT(losses, LOSS_RING_BYTES / PAGE_SIZE);

/* The ring had no room for `events` of this thread, of calls at `frame`; the first of them happened at `since`
 * (0: now). Only this thread writes its entry, so nothing here races. */
static __always_inline void note_loss(struct snoop_counts *count, u32 pid, u32 tgid, u64 frame, u64 since, u32 events)
{
	u64 now = snoop_ktime_get_ns();
	u64 ids = (u64)tgid << 32 | pid;
	struct snoop_loss *loss = losing.lookup(&ids);
	int zero = 0;
	u32 yes = 1;

	if (!since)
		since = now;
	__sync_fetch_and_add(&count->lost, events);
	if (loss && loss->events) {
		loss->events += events;
		loss->last = now;
		if (since < loss->first)
			loss->first = since;
		if (frame > loss->frame)
			loss->frame = frame;
	} else {
		struct snoop_loss first = {
			.first = since, .last = now, .frame = frame, .events = events, .pid = pid, .tgid = tgid
		};

		if (losing.update(&ids, &first))
			__sync_fetch_and_add(&count->unplaced, events);
	}
	any_loss.update(&zero, &yes);
}

/* An event came through: if the thread lost some before it, say so. Where the ring for that is full too,
 * the loss waits, and grows, until the next event. */
static __always_inline void report_loss(u32 pid, u32 tgid)
{
	u64 ids = (u64)tgid << 32 | pid;
	struct snoop_loss *loss, *report;
	int zero = 0;
	u32 *any = any_loss.lookup(&zero);

	if (!any || !*any)
		return;
	loss = losing.lookup(&ids);
	if (!loss || !loss->events)
		return;
	report = losses.ringbuf_reserve(sizeof(struct snoop_loss));
	if (!report)
		return;
	*report = *loss;
	losses.ringbuf_submit(report, SNOOP_NO_WAKEUP);
	loss->events = 0;
}
