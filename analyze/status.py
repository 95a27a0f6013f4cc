"""What is known of a call one side of which was not recorded."""

from __future__ import annotations

import numpy as np

from ..schemas import STATUS
from .arrays import Bytes, Flags

COMPLETE, OPEN, UNWOUND, LOST = range(4)
#: Stands for null: entry-only functions have no status.
NONE = -1
NAMES = list(STATUS)


def status(
    complete: Flags,
    is_entry: Flags,
    entry_only: Flags,
    left: Flags,
    lost: Flags,
) -> Bytes:
    """The status of each call, as a position in `STATUS` or -1 for null.

    `left` says of an entry whether a later event shows that its frame was given up, or its thread or
    process has ended; `lost` whether events were lost while the missing side could have been among them.
    Where both apply `lost` wins.
    """
    result = np.full(len(complete), OPEN, np.int8)
    result[is_entry & left] = UNWOUND
    result[lost] = LOST
    result[is_entry & entry_only] = NONE
    result[complete] = COMPLETE
    return result
