// SPDX-License-Identifier: GPL-2.0 OR MIT
#pragma once

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
