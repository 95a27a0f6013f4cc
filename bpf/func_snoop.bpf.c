// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * One event for each entry to, and each exit from, a traced function.
 *
 * The functions share these programs: the attach cookie of a probe tells which function it stands
 * for. Compiled by bcc when a recording starts. The registers (REG_*, FRAME_AT_RETURN) come from
 * bpf/arch.py, which is the one place that knows the architecture; sizes have defaults here and
 * are set with -D to what a recording needs. The records are read as NumPy arrays by
 * bpf/layout.py, which must agree with the structs below.
 */
#include <uapi/linux/ptrace.h>
#include <asm/page.h>

/* Processes that can be followed at once. */
#ifndef MAX_PROCS
#define MAX_PROCS 3
#endif
/* Functions that can be traced at once. */
#ifndef MAX_FUNCS
#define MAX_FUNCS 1024
#endif
/* The ring buffer: a power of two, and a multiple of the page size. */
#ifndef RINGBUF_BYTES
#define RINGBUF_BYTES (256 * 1024)
#endif
/* With the terminating NUL. */
#ifndef FUNC_NAME_LEN
#define FUNC_NAME_LEN 64
#endif
/* Argument registers to record, 0 to 6. */
#ifndef MAX_ARGS
#define MAX_ARGS 6
#endif
/* Threads that can end between two looks of the recorder, with their names kept. */
#ifndef MAX_ENDED
#define MAX_ENDED 8192
#endif
/* Threads whose losses can be told apart, and the ring that reports them. */
#ifndef MAX_LOSING
#define MAX_LOSING 8192
#endif
#ifndef LOSS_RING_BYTES
#define LOSS_RING_BYTES (256 * 1024)
#endif
/*
 * EVENT_NAME      copy the function's name into each event (layout "full"; without it, "lean")
 * ALL_PROCESSES   no process filter, but not the process RECORDER_TGID
 * FOLLOW          processes that a followed one forks are followed too
 * PIDNS_DEV, PIDNS_INO
 *                 the recorder's pid namespace, where it is not the root one: ids are filtered and
 *                 reported as they are there
 */

/*
 * Helpers by number (include/uapi/linux/bpf.h), since each version of bcc declares another set.
 */
static u64 (*snoop_ktime_get_ns)(void) = (void *)5;
static u64 (*snoop_get_current_pid_tgid)(void) = (void *)14;
static long (*snoop_get_current_comm)(void *text, u32 size) = (void *)16;
static u64 (*snoop_get_current_task)(void) = (void *)35;
static u64 (*snoop_ktime_get_boot_ns)(void) = (void *)125;
static u64 (*snoop_get_func_ip)(void *ctx) = (void *)173;
static u64 (*snoop_get_attach_cookie)(void *ctx) = (void *)174;

/* Left to a timed poll by the reader: a wake-up costs more than the rest of this program. */
#define SNOOP_NO_WAKEUP 1

enum event_type {
	EVENT_ENTRY,
	EVENT_EXIT,
	EVENT_TAIL, /* an exit by a tail jump: what it returns is not known yet */
};

/*
 * The cookie of a probe on an instruction by which a function is left tells about it in the bits
 * above the function's own number.
 */
#define COOKIE_FUNCTION(cookie) ((cookie) & 0xffffffffULL)
#define COOKIE_CONDITION(cookie) (((cookie) >> 32) & 0xf)
#define COOKIE_CONDITIONAL (1ULL << 36)
#define COOKIE_TAIL (1ULL << 37)
/*
 * That of a perf event's return probe names the process that it is for, 0 for any: the kernel's own
 * filter does not hold there on 6.1, and a return would be seen once for each process traced.
 */
#define COOKIE_OWNER(cookie) ((u32)((cookie) >> 40))

struct func_trace_event {
	enum event_type type;
	u64 cookie;
	u32 pid;
	u32 tgid;
	u64 timestamp; /* CLOCK_MONOTONIC, ns */
#ifdef EVENT_NAME
	char name[FUNC_NAME_LEN];
#endif
	u64 args[MAX_ARGS]; /* entries only */
	u64 ret_val;	    /* exits only */
	u64 frame;	    /* stack pointer at the function's entry: equal at both sides of a call */
};

/* produced == lost + what the ring took, on each CPU. */
struct snoop_counts {
	u64 produced;
	u64 lost;
	u64 unplaced; /* of those lost, the ones that no loss record tells of */
	u64 unfollowed; /* processes that there was no room to follow */
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

/* What is left of a thread of a followed process. */
struct ended_thread {
	u64 timestamp; /* CLOCK_MONOTONIC, ns */
	u32 tgid;
	char name[16];
	u32 padding;
};

struct func_name {
	char text[FUNC_NAME_LEN];
};

/* How a process came to be followed that another one forked. */
struct snoop_birth {
	u64 start; /* CLOCK_BOOTTIME, ns */
	u32 parent; /* tgid */
	u32 root_tgid; /* its own, in the root pid namespace */
};

/* Followed processes: tgid as the recorder sees it -> tgid in the root pid namespace, once known. */
BPF_HASH(snoop_proc, u32, u32, MAX_PROCS);
BPF_HASH(func_names, u64, struct func_name, MAX_FUNCS);
BPF_PERCPU_ARRAY(counts, struct snoop_counts, 1);
BPF_HASH(ended_threads, u32, struct ended_thread, MAX_ENDED);
/* Processes whose leader another thread's exec has replaced: tgid -> when (CLOCK_MONOTONIC, ns). */
BPF_HASH(replaced_leaders, u32, u64, 64);
BPF_HASH(losing, u32, struct snoop_loss, MAX_LOSING);
BPF_ARRAY(any_loss, u32, 1);
BPF_RINGBUF_OUTPUT(losses, LOSS_RING_BYTES / PAGE_SIZE);
BPF_RINGBUF_OUTPUT(events, RINGBUF_BYTES / PAGE_SIZE);

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
BPF_HASH(births, u32, struct snoop_birth, MAX_PROCS);
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

	if (!birth)
		return false;
	birth->root_tgid = root_tgid;
	births.update(&tgid, birth);
	newborn.delete(&task);
	live_threads.update(&tgid, &one);
	if (snoop_proc.update(&tgid, &root_tgid)) {
		count_unfollowed();
		return false;
	}
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

/* The ring had no room for an event. Only this thread writes its entry, so nothing here races. */
static __always_inline void note_loss(struct snoop_counts *count, u32 pid, u32 tgid, u64 frame)
{
	u64 now = snoop_ktime_get_ns();
	struct snoop_loss *loss = losing.lookup(&pid);
	int zero = 0;
	u32 yes = 1;

	__sync_fetch_and_add(&count->lost, 1);
	if (loss && loss->events) {
		loss->events++;
		loss->last = now;
		if (frame > loss->frame)
			loss->frame = frame;
	} else {
		struct snoop_loss first = {
			.first = now, .last = now, .frame = frame, .events = 1, .pid = pid, .tgid = tgid
		};

		if (losing.update(&pid, &first))
			__sync_fetch_and_add(&count->unplaced, 1);
	}
	any_loss.update(&zero, &yes);
}

/* An event came through: if the thread lost some before it, say so. Where the ring for that is full too,
 * the loss waits, and grows, until the next event. */
static __always_inline void report_loss(u32 pid)
{
	struct snoop_loss *loss, *report;
	int zero = 0;
	u32 *any = any_loss.lookup(&zero);

	if (!any || !*any)
		return;
	loss = losing.lookup(&pid);
	if (!loss || !loss->events)
		return;
	report = losses.ringbuf_reserve(sizeof(struct snoop_loss));
	if (!report)
		return;
	*report = *loss;
	losses.ringbuf_submit(report, SNOOP_NO_WAKEUP);
	loss->events = 0;
}

/* Send one event. False where the process is not followed. */
static __always_inline bool snoop(struct pt_regs *ctx, enum event_type type, u64 cookie, u64 frame)
{
	/* The clock is read last on the way in and first on the way out: what this program costs
	 * stays outside of the call that it measures. */
	u64 now = type == EVENT_ENTRY ? 0 : snoop_ktime_get_ns();
	struct func_trace_event *event;
	struct snoop_counts *count;
	u32 pid, tgid;
	int zero = 0;

	if (!current_ids(&pid, &tgid) || !is_followed(tgid))
		return false;
	count = counts.lookup(&zero);
	if (!count)
		return true;
	/* Atomic although per CPU: another thread can preempt this one here and count as well. */
	__sync_fetch_and_add(&count->produced, 1);
	event = events.ringbuf_reserve(sizeof(struct func_trace_event));
	if (!event) {
		note_loss(count, pid, tgid, frame);
		return true;
	}
	report_loss(pid);
	event->type = type;
	event->cookie = cookie;
	event->pid = pid;
	event->tgid = tgid;
	event->frame = frame;
#ifdef EVENT_NAME
	struct func_name *name = func_names.lookup(&cookie);

	if (name)
		__builtin_memcpy(event->name, name->text, sizeof(event->name));
	else
		__builtin_memset(event->name, 0, sizeof(event->name));
#endif
	if (type == EVENT_ENTRY) {
#if MAX_ARGS > 0
		event->args[0] = ctx->REG_ARG0;
#endif
#if MAX_ARGS > 1
		event->args[1] = ctx->REG_ARG1;
#endif
#if MAX_ARGS > 2
		event->args[2] = ctx->REG_ARG2;
#endif
#if MAX_ARGS > 3
		event->args[3] = ctx->REG_ARG3;
#endif
#if MAX_ARGS > 4
		event->args[4] = ctx->REG_ARG4;
#endif
#if MAX_ARGS > 5
		event->args[5] = ctx->REG_ARG5;
#endif
		event->timestamp = snoop_ktime_get_ns();
	} else {
		event->ret_val = ctx->REG_RETURN;
		event->timestamp = now;
	}
	events.ringbuf_submit(event, SNOOP_NO_WAKEUP);
	return true;
}

int generic_entry(struct pt_regs *ctx)
{
	snoop(ctx, EVENT_ENTRY, snoop_get_attach_cookie(ctx), ctx->REG_SP);
	return 0;
}

int generic_exit(struct pt_regs *ctx)
{
	u64 cookie = snoop_get_attach_cookie(ctx);
	u32 pid, tgid, owner = COOKIE_OWNER(cookie);

	if (owner && (!current_ids(&pid, &tgid) || tgid != owner))
		return 0;
	snoop(ctx, EVENT_EXIT, COOKIE_FUNCTION(cookie), ctx->REG_SP - FRAME_AT_RETURN);
	return 0;
}

/*
 * Both sides of a session link (kernel 6.13). From the entry side, 1 tells the kernel to leave the
 * return address of this call alone, as for any process that is not followed.
 */
int generic_session(struct pt_regs *ctx)
{
	u64 cookie = snoop_get_attach_cookie(ctx);

	if (snoop_get_func_ip(ctx) != ctx->REG_IP) {
		snoop(ctx, EVENT_EXIT, cookie, ctx->REG_SP - FRAME_AT_RETURN);
		return 0;
	}
	return snoop(ctx, EVENT_ENTRY, cookie, ctx->REG_SP) ? 0 : 1;
}

#ifdef REG_FLAGS
/* Whether a conditional jump is taken: x86's condition codes, of which an odd one negates the other. */
static __always_inline bool taken(u64 flags, u32 condition)
{
	bool carry = flags & (1 << 0), parity = flags & (1 << 2), zero = flags & (1 << 6);
	bool sign = flags & (1 << 7), overflow = flags & (1 << 11);
	bool holds;

	switch (condition >> 1) {
	case 0:
		holds = overflow;
		break;
	case 1:
		holds = carry;
		break;
	case 2:
		holds = zero;
		break;
	case 3:
		holds = carry || zero;
		break;
	case 4:
		holds = sign;
		break;
	case 5:
		holds = parity;
		break;
	case 6:
		holds = sign != overflow;
		break;
	default:
		holds = zero || sign != overflow;
	}
	return condition & 1 ? !holds : holds;
}

static __always_inline void leave(struct pt_regs *ctx, u64 cookie)
{
	if (cookie & COOKIE_CONDITIONAL && !taken(ctx->REG_FLAGS, COOKIE_CONDITION(cookie)))
		return;
	snoop(ctx, cookie & COOKIE_TAIL ? EVENT_TAIL : EVENT_EXIT, COOKIE_FUNCTION(cookie), ctx->REG_SP);
}

/* On an instruction by which a function is left: a return, or a jump to another function. */
int generic_leave(struct pt_regs *ctx)
{
	leave(ctx, snoop_get_attach_cookie(ctx));
	return 0;
}

/* The same where the function's first instruction is such a one: it is entered and left here. Two
 * links at one place would run in an order that is not ours to choose. */
int entry_and_leave(struct pt_regs *ctx)
{
	u64 cookie = snoop_get_attach_cookie(ctx);

	snoop(ctx, EVENT_ENTRY, COOKIE_FUNCTION(cookie), ctx->REG_SP);
	leave(ctx, cookie);
	return 0;
}
#endif

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
	u32 pid, tgid;

	if (!current_ids(&pid, &tgid) || !is_followed(tgid))
		return 0;
	ended.timestamp = snoop_ktime_get_ns();
	ended.tgid = tgid;
	snoop_get_current_comm(ended.name, sizeof(ended.name));
	ended_threads.update(&pid, &ended);
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
