"""The BPF ring buffer as NumPy arrays.

The kernel maps three things from the buffer's file descriptor (kernel/bpf/ringbuf.c): the
consumer's position (writable) at offset 0, the producer's position one page later, then the data,
twice in a row, so that a record that wraps reads as one piece. Since all our records have one size,
record i stands i strides behind the consumer's position, and one slice holds them all.
"""

from __future__ import annotations

import mmap
import os
import select
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .layout import BUSY, DISCARDED, RING_HEADER


class Ring:
    """Reads records of one NumPy type from the ring buffer behind `descriptor`."""

    def __init__(self, descriptor: int, size: int, record: np.dtype[Any]) -> None:
        page = mmap.PAGESIZE
        self.size = size
        self.record = record
        # The kernel rounds each record, with its header, up to 8 bytes.
        self.stride = (RING_HEADER.itemsize + record.itemsize + 7) & ~7
        padding = self.stride - RING_HEADER.itemsize - record.itemsize
        slot: list[Any] = [("header", RING_HEADER), ("record", record)]
        if padding:
            slot.append(("_padding", f"V{padding}"))
        self._slot = np.dtype(slot)
        self._descriptor = descriptor
        self._stop = os.eventfd(0, os.EFD_CLOEXEC)
        self._epoll: select.epoll | None = None
        self._consumer_map = mmap.mmap(descriptor, page, offset=0)
        self._producer_map = mmap.mmap(descriptor, page + 2 * size, offset=page, prot=mmap.PROT_READ)
        self._consumer = np.frombuffer(self._consumer_map, np.uint64, 1)
        self._producer = np.frombuffer(self._producer_map, np.uint64, 1)
        self._data = np.frombuffer(self._producer_map, np.uint8, 2 * size, page)

    def waiting(self) -> int:
        """Bytes that producers have reserved and this reader has not taken."""
        return int(self._producer[0]) - int(self._consumer[0])

    def take(self) -> NDArray[Any]:
        """Copy out all finished records, in order, and give their room back to the producers.

        Returns a structured array of the record type; empty where nothing is ready.
        """
        start = int(self._consumer[0])
        # The producer's position is read before the headers that it covers: x86-64 keeps the order
        # of loads, and each header's busy bit is cleared only when its record is whole.
        count = (int(self._producer[0]) - start) // self.stride
        offset = start & (self.size - 1)
        slots = self._data[offset : offset + count * self.stride].view(self._slot)
        busy = slots["header"]["length"] & np.uint32(BUSY) != 0
        if busy.any():
            slots = slots[: int(busy.argmax())]
        records = slots["record"].copy()
        discarded = slots["header"]["length"] & np.uint32(DISCARDED) != 0
        if discarded.any():
            records = records[~discarded]
        self._consumer[0] = start + len(slots) * self.stride
        return records

    def await_filling(self, seconds: float) -> None:
        """Wait for at most so long, or until the kernel side finds that the ring is filling, or `wake`."""
        if self._epoll is None:
            self._epoll = select.epoll()
            self._epoll.register(self._stop, select.EPOLLIN)
            # Edge-triggered: it is readable whenever anything is in it, and the kernel side wakes for more.
            self._epoll.register(self._descriptor, select.EPOLLIN | select.EPOLLET)
        self._epoll.poll(seconds)

    def wake(self) -> None:
        """End the wait, and all to come."""
        os.eventfd_write(self._stop, 1)

    def close(self) -> None:
        """Unmap the buffer."""
        if self._epoll is not None:
            self._epoll.close()
        os.close(self._stop)
        del self._consumer, self._producer, self._data
        self._consumer_map.close()
        self._producer_map.close()
