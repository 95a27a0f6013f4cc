/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#ifndef SNOOP_KCONFIG_H
#define SNOOP_KCONFIG_H
#define CONFIG_BPF_SYSCALL 1
#endif
