// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The kernel's helpers by number (include/uapi/linux/bpf.h), since each version of bcc declares another set.
 */
#pragma once

static u64 (*snoop_ktime_get_ns)(void) = (void *)5;
static u32 (*snoop_get_prandom_u32)(void) = (void *)7;
static u64 (*snoop_get_current_pid_tgid)(void) = (void *)14;
static long (*snoop_get_current_comm)(void *text, u32 size) = (void *)16;
static u64 (*snoop_get_current_task)(void) = (void *)35;
static long (*snoop_probe_read_user)(void *to, u32 size, const void *from) = (void *)112;
static u64 (*snoop_ktime_get_boot_ns)(void) = (void *)125;
static u64 (*snoop_get_func_ip)(void *ctx) = (void *)173;
static u64 (*snoop_get_attach_cookie)(void *ctx) = (void *)174;

/* Flags of a ring: whether its reader is woken. */
#define SNOOP_NO_WAKEUP 1
#define SNOOP_FORCE_WAKEUP 2
