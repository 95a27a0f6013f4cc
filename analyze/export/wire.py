"""Many protobuf messages of one shape at once, in NumPy.

A message object takes some microseconds for each call of a trace, and there are millions. Here a field of all
messages is a column of bytes, of which a part counts in each row; `pack` puts the rows one after the other.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..arrays import Bytes, Flags, Ints

VARINT: Final = 0
LENGTH_DELIMITED: Final = 2

#: For each message some bytes, of which the first so many count.
Column = tuple[NDArray[np.uint8], Ints]


def key(message: Any, field: str) -> int:
    """What stands before a field of a generated message class."""
    found = message.DESCRIPTOR.fields_by_name[field]
    is_number = found.type not in (found.TYPE_MESSAGE, found.TYPE_STRING, found.TYPE_BYTES)
    number: int = found.number
    return number << 3 | (VARINT if is_number else LENGTH_DELIMITED)


def varint(values: NDArray[Any]) -> Column:
    """Integers, not negative: 7 bits a byte, the lowest first, the highest bit set but in the last."""
    rest = values.astype(np.uint64)
    size = np.ones(len(rest), np.int64)
    for bits in range(7, 64, 7):
        size += rest >= np.uint64(1 << bits)
    width = int(size.max(initial=1))
    data = np.empty((len(rest), width), np.uint8)
    for place in range(width):
        data[:, place] = (rest & np.uint64(0x7F)).astype(np.uint8) | ((size > place + 1) * np.uint8(0x80))
        rest >>= np.uint64(7)
    return data, size


def same(value: int, count: int) -> Column:
    """One integer for all messages."""
    data, size = varint(np.array([value]))
    return np.broadcast_to(data, (count, data.shape[1])), np.broadcast_to(size, count)


def integer(key: int | NDArray[Any], values: NDArray[Any] | int, count: int) -> list[Column]:
    """A field that holds an integer; `key` and `values` can differ by message."""
    return [same(part, count) if isinstance(part, int) else varint(part) for part in (key, values)]


def embedded(key: int, fields: Sequence[Column]) -> list[Column]:
    """A field that holds a message of `fields`."""
    total = reduce(np.add, (size for _, size in fields))
    return [same(key, len(total)), varint(total), *fields]


def only(where: Flags, fields: Sequence[Column]) -> list[Column]:
    """`fields` in those messages only."""
    return [(data, np.where(where, size, 0)) for data, size in fields]


def pack(fields: Sequence[Column]) -> bytes:
    """The messages, one after the other."""
    data = np.concatenate([data for data, _ in fields], axis=1)
    counts = np.concatenate(
        [np.arange(data.shape[1]) < np.expand_dims(size, 1) for data, size in fields], axis=1
    )
    packed: Bytes = data[counts]
    return packed.tobytes()
