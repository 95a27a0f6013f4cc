"""The ring's view, on memory laid out by hand as the kernel lays it out."""

import mmap
import os

import numpy as np
import pytest

from funcsnoop.bpf.layout import BUSY, DISCARDED, RING_HEADER, event_dtype
from funcsnoop.bpf.ring import Ring

SIZE = 2 * mmap.PAGESIZE
RECORD = event_dtype("lean", 2)
STRIDE = (RING_HEADER.itemsize + RECORD.itemsize + 7) & ~7


class Memory:
    """Consumer page, producer page, and the data, once only: nothing here wraps."""

    def __init__(self):
        self.descriptor = os.memfd_create("ring")
        os.ftruncate(self.descriptor, 2 * mmap.PAGESIZE + 2 * SIZE)

    def set_positions(self, consumer, producer):
        os.pwrite(self.descriptor, consumer.to_bytes(8, "little"), 0)
        os.pwrite(self.descriptor, producer.to_bytes(8, "little"), mmap.PAGESIZE)

    def consumer(self):
        return int.from_bytes(os.pread(self.descriptor, 8, 0), "little")

    def put(self, index, cookie, flags=0):
        record = np.zeros((), RECORD)
        record["cookie"] = cookie
        header = (RECORD.itemsize | flags).to_bytes(4, "little") + bytes(4)
        os.pwrite(self.descriptor, header + record.tobytes(), 2 * mmap.PAGESIZE + index * STRIDE)


@pytest.fixture
def memory():
    memory = Memory()
    yield memory
    os.close(memory.descriptor)


def test_takes_all_that_is_ready_and_gives_the_room_back(memory):
    for i in range(5):
        memory.put(i, 100 + i)
    memory.set_positions(0, 5 * STRIDE)
    ring = Ring(memory.descriptor, SIZE, RECORD)
    assert ring.waiting() == 5 * STRIDE
    assert ring.take()["cookie"].tolist() == [100, 101, 102, 103, 104]
    assert memory.consumer() == 5 * STRIDE
    assert len(ring.take()) == 0
    ring.close()


def test_stops_before_a_record_that_is_still_being_written(memory):
    for i, flags in enumerate([0, 0, BUSY, 0]):
        memory.put(i, i, flags)
    memory.set_positions(0, 4 * STRIDE)
    ring = Ring(memory.descriptor, SIZE, RECORD)
    assert ring.take()["cookie"].tolist() == [0, 1]
    assert memory.consumer() == 2 * STRIDE
    memory.put(2, 2)
    assert ring.take()["cookie"].tolist() == [2, 3]
    ring.close()


def test_leaves_out_what_was_discarded(memory):
    for i, flags in enumerate([0, DISCARDED, 0]):
        memory.put(i, i, flags)
    memory.set_positions(0, 3 * STRIDE)
    ring = Ring(memory.descriptor, SIZE, RECORD)
    assert ring.take()["cookie"].tolist() == [0, 2]
    assert memory.consumer() == 3 * STRIDE
    ring.close()


def test_positions_go_on_past_the_size(memory):
    memory.put(1, 7)
    memory.set_positions(4 * SIZE + STRIDE, 4 * SIZE + 2 * STRIDE)
    ring = Ring(memory.descriptor, SIZE, RECORD)
    assert ring.take()["cookie"].tolist() == [7]
    ring.close()
