/* SPDX-License-Identifier: GPL-2.0 OR MIT
 * bcc multiplies a ring's page count with this; the recorder passes the real size. */
#ifndef PAGE_SIZE
#define PAGE_SIZE 4096
#endif
