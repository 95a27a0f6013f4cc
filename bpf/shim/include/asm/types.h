/* SPDX-License-Identifier: GPL-2.0 OR MIT: included by bcc, nothing of it is needed */
