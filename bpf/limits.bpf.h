// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What a recording sets with -D, and what it gets otherwise.
 */
#pragma once

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
/* That the machine may have. */
#ifndef CPUS
#define CPUS 1
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
/* Threads and functions of which a side can be under way while links are exchanged. */
#ifndef MAX_PASSED
#define MAX_PASSED 8192
#endif
/* With LIVE_CALLS: threads, and calls that they are in at one time. */
#ifndef MAX_LIVE_THREADS
#define MAX_LIVE_THREADS 8192
#endif
#ifndef MAX_LIVE_CALLS
#define MAX_LIVE_CALLS 65536
#endif
/* The recorder's own process, as it sees itself. */
#ifndef RECORDER_TGID
#define RECORDER_TGID 0
#endif
/*
 * EVENT_NAME      copy the function's name into each event (layout "full"; without it, "lean")
 * ALL_PROCESSES   no process filter, but not the process RECORDER_TGID
 * FOLLOW          processes that a followed one forks are followed too
 * LIVE_CALLS      keep the calls that each thread is in, for the filters that filters.bpf.h lists
 * PIDNS_DEV, PIDNS_INO
 *                 the recorder's pid namespace, where it is not the root one: ids are filtered and
 *                 reported as they are there
 */
