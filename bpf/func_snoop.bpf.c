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
#include "send.bpf.h"
#include "turn.bpf.h"
#ifdef LIVE_CALLS
#include "filters.bpf.h"
#endif
#include "tasks.bpf.h"
#ifdef REG_FLAGS
#include "jumps.bpf.h"
#endif

/* Take note of one event. For an entry, whether the call's exit is wanted: not where it does not count, because
 * it is another link's turn or the process is not followed, nor where a filter leaves the call out. */
static __always_inline bool snoop(struct pt_regs *ctx, enum seen_by seen_by, enum event_type type, u64 cookie, u64 frame)
{
	u64 now = type == EVENT_ENTRY ? 0 : snoop_ktime_get_ns();
	struct sender by = {};
	int zero = 0;

	if (!current_ids(&by.pid, &by.tgid) || !has_turn(seen_by, cookie, by.pid, type == EVENT_ENTRY, frame) ||
	    !is_followed(by.tgid))
		return false;
	by.count = counts.lookup(&zero);
	if (!by.count)
		return true;
	/* Atomic although per CPU: another thread can preempt this one here and count as well. */
	__sync_fetch_and_add(&by.count->produced, 1);
#ifdef LIVE_CALLS
	if (type == EVENT_ENTRY)
		return enter_call(&by, ctx, cookie, frame);
	leave_call(&by, ctx, type, COOKIE_FUNCTION(cookie), frame, now);
#else
	if (type == EVENT_ENTRY)
		send_entry(&by, ctx, COOKIE_FUNCTION(cookie), frame);
	else
		send_exit(&by, ctx, type, COOKIE_FUNCTION(cookie), frame, now);
#endif
	return true;
}

int generic_entry(struct pt_regs *ctx)
{
	u64 cookie = snoop_get_attach_cookie(ctx);

	snoop(ctx, BY_PROBE, EVENT_ENTRY, cookie, ctx->REG_SP + COOKIE_MOVED(cookie));
	return 0;
}

int generic_exit(struct pt_regs *ctx)
{
	u64 cookie = snoop_get_attach_cookie(ctx);
	u32 pid, tgid, owner = COOKIE_OWNER(cookie);

	if (owner && (!current_ids(&pid, &tgid) || tgid != owner))
		return 0;
	snoop(ctx, BY_PROBE, EVENT_EXIT, cookie, ctx->REG_SP - FRAME_AT_RETURN);
	return 0;
}

/*
 * Both sides of a session link (kernel 6.13). From the entry side, 1 tells the kernel to leave the
 * return address of this call alone, as for any process that is not followed, a call that a filter leaves out,
 * and once the recording is over.
 */
int generic_session(struct pt_regs *ctx)
{
	u64 cookie = snoop_get_attach_cookie(ctx);

	if (snoop_get_func_ip(ctx) != ctx->REG_IP) {
		snoop(ctx, BY_SESSION, EVENT_EXIT, cookie, ctx->REG_SP - FRAME_AT_RETURN);
		return 0;
	}
	return snoop(ctx, BY_SESSION, EVENT_ENTRY, cookie | COOKIE_BY_RETURN, ctx->REG_SP) ? 0 : 1;
}

#ifdef BUDGET
/* A return probe for calls whose entries a session link has seen that is no more. */
int generic_catch(struct pt_regs *ctx)
{
	u64 cookie = snoop_get_attach_cookie(ctx);
	u64 frame = ctx->REG_SP - FRAME_AT_RETURN;
	u32 pid, tgid;

	if (current_ids(&pid, &tgid) && is_innermost(pid, cookie, frame))
		snoop(ctx, BY_CATCH, EVENT_EXIT, cookie, frame);
	return 0;
}
#endif

#ifdef REG_FLAGS
static __always_inline void leave(struct pt_regs *ctx, u64 cookie)
{
	if (cookie & COOKIE_CONDITIONAL && !taken(ctx->REG_FLAGS, COOKIE_CONDITION(cookie)))
		return;
	snoop(ctx, BY_LEAVE, cookie & COOKIE_TAIL ? EVENT_TAIL : EVENT_EXIT, cookie, ctx->REG_SP);
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

	snoop(ctx, BY_LEAVE, EVENT_ENTRY, cookie, ctx->REG_SP);
	leave(ctx, cookie);
	return 0;
}
#endif
