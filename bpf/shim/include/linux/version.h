/* SPDX-License-Identifier: GPL-2.0 OR MIT
 * Uprobe programs are not tied to a kernel version since 5.0; any number will do. */
#ifndef KERNEL_VERSION
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
#endif
#ifndef LINUX_VERSION_CODE
#define LINUX_VERSION_CODE KERNEL_VERSION(5, 15, 0)
#endif
