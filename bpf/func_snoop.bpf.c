// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * One event for each entry to, and each exit from, a traced function.
 *
 * The functions share these programs: the attach cookie of a probe tells which function it stands
 * for. Compiled by bcc when a recording starts. The registers (REG_*, FRAME_AT_RETURN) come from
 * bpf/arch.py, which is the one place that knows the architecture; sizes have defaults and
 * are set with -D to what a recording needs. The records are read as NumPy arrays by
 * bpf/layout.py, which must agree with the structs in the headers.
 */
#include <uapi/linux/ptrace.h>
#include <asm/page.h>

#include "limits.bpf.h"
#include "helpers.bpf.h"
#include "event.bpf.h"
#include "losses.bpf.h"
#include "processes.bpf.h"
#include "turn.bpf.h"
#include "tasks.bpf.h"
#ifdef REG_FLAGS
#include "jumps.bpf.h"
#endif

struct func_name {
	char text[FUNC_NAME_LEN];
};

BPF_HASH(func_names, u64, struct func_name, MAX_FUNCS);
BPF_RINGBUF_OUTPUT(events, RINGBUF_BYTES / PAGE_SIZE);

/* Send one event. False where it does not count: it is another link's turn, or the process is not followed. */
static __always_inline bool snoop(struct pt_regs *ctx, enum event_type type, u64 cookie, u64 frame)
{
	/* The clock is read last on the way in and first on the way out: what this program costs
	 * stays outside of the call that it measures. */
	u64 function = COOKIE_FUNCTION(cookie), now = type == EVENT_ENTRY ? 0 : snoop_ktime_get_ns();
	struct func_trace_event *event;
	struct snoop_counts *count;
	u32 pid, tgid;
	int zero = 0;

	if (!current_ids(&pid, &tgid) || !has_turn(cookie, pid, type == EVENT_ENTRY, frame) ||
	    !is_followed(tgid))
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
	event->cookie = function;
	event->pid = pid;
	event->tgid = tgid;
	event->frame = frame;
#ifdef EVENT_NAME
	struct func_name *name = func_names.lookup(&function);

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
	u64 cookie = snoop_get_attach_cookie(ctx);

	snoop(ctx, EVENT_ENTRY, cookie, ctx->REG_SP + COOKIE_MOVED(cookie));
	return 0;
}

int generic_exit(struct pt_regs *ctx)
{
	u64 cookie = snoop_get_attach_cookie(ctx);
	u32 pid, tgid, owner = COOKIE_OWNER(cookie);

	if (owner && (!current_ids(&pid, &tgid) || tgid != owner))
		return 0;
	snoop(ctx, EVENT_EXIT, cookie, ctx->REG_SP - FRAME_AT_RETURN);
	return 0;
}

/*
 * Both sides of a session link (kernel 6.13). From the entry side, 1 tells the kernel to leave the
 * return address of this call alone, as for any process that is not followed, and once the recording is over.
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
static __always_inline void leave(struct pt_regs *ctx, u64 cookie)
{
	if (cookie & COOKIE_CONDITIONAL && !taken(ctx->REG_FLAGS, COOKIE_CONDITION(cookie)))
		return;
	snoop(ctx, cookie & COOKIE_TAIL ? EVENT_TAIL : EVENT_EXIT, cookie, ctx->REG_SP);
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

	snoop(ctx, EVENT_ENTRY, cookie, ctx->REG_SP);
	leave(ctx, cookie);
	return 0;
}
#endif
