/* SPDX-License-Identifier: GPL-2.0 OR MIT
 * The registers that a uprobe program sees; bpf/arch.py gives the fields for each architecture. */
#ifndef SNOOP_PTRACE_H
#define SNOOP_PTRACE_H
struct pt_regs {
	PT_REGS_FIELDS;
};
#endif
