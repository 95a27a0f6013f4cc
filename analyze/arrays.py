"""Names for the NumPy arrays that pairing passes around."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Flags: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int64]
Bytes: TypeAlias = NDArray[np.int8]
Codes: TypeAlias = NDArray[np.int32]
Addresses: TypeAlias = NDArray[np.uint64]
