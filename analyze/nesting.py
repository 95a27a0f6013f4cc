"""Which call runs inside which: depth, parents, and when a call without an exit must have been left."""

from __future__ import annotations

import numpy as np

from .arrays import Addresses, Codes, Flags, Ints


def next_reaching(frame: Addresses, at: Ints, wanted: Addresses) -> Ints:
    """For each event of `at` the first later event whose frame is `wanted` or above; else len(frame).

    The stack grows down, so an event at or above a call's frame comes when that call is gone, or ends
    with a tail call. A pyramid of block maxima is climbed and descended by all at once: O(len(at) log n)
    however the frames lie.
    """
    count = len(frame)
    result = np.full(len(at), count, np.int64)
    if not len(at):
        return result
    levels = [frame]
    while len(levels[-1]) > 1:
        below = levels[-1]
        if len(below) % 2:
            below = np.append(below, np.uint64(0))
            levels[-1] = below
        levels.append(np.maximum(below[0::2], below[1::2]))

    node = at.copy()
    height = np.zeros(len(at), np.int64)
    climbing = np.arange(len(at))
    for level, maxima in enumerate(levels[:-1]):
        here = node[climbing]
        sibling = here | 1
        found = ((here & 1) == 0) & (maxima[sibling] >= wanted[climbing])
        hits = climbing[found]
        node[hits] = sibling[found]
        height[hits] = level
        climbing = climbing[~found]
        node[climbing] >>= 1
    height[climbing] = -1  # nothing reaches it

    for level in range(len(levels) - 1, 0, -1):
        descending = np.flatnonzero(height == level)
        left = node[descending] * 2
        left += levels[level - 1][left] < wanted[descending]
        node[descending] = left
        height[descending] = level - 1
    ended = height == 0
    # Zeros that fill a level up to an even length are no events.
    result[ended] = np.minimum(node[ended], count)
    return result


def depths(count: int, start: Ints, closed_by: Ints, left_before: Ints) -> Codes:
    """How many intervals are open before each of `count` events.

    Intervals begin with the events `start`. Some end with the events `closed_by`; others are found to
    have been left just before the events `left_before` (`count` where that is after the last).
    """
    step = np.zeros(count + 1, np.int32)
    step[start + 1] += 1
    step[closed_by + 1] -= 1
    np.subtract.at(step, left_before, np.int32(1))
    return np.cumsum(step[:count], dtype=np.int32)


def parents(depth: Codes) -> Ints:
    """The index of each call's parent among calls in order of their start; -1 at a root.

    A call one deeper than the call before it is that one's child. Any other has the parent of the
    previous call of its depth, which a forward fill in order of (depth, start) brings.
    """
    count = len(depth)
    parent = np.full(count, -1, np.int64)
    if not count:
        return parent
    first_child = np.zeros(count, np.bool_)
    first_child[1:] = depth[1:] == depth[:-1] + 1
    # NumPy sorts 16-bit integers by radix, and nearly every trace is shallower than that.
    small = int(depth.max()) < 1 << 16
    order = np.argsort(depth.astype(np.uint16) if small else depth, kind="stable")
    source = np.maximum.accumulate(np.where(first_child[order], np.arange(count), 0))
    parent[order] = order[source] - 1
    parent[depth == 0] = -1
    return parent


def crossing(close: Ints, parent: Ints) -> bool:
    """Whether a call is around others that outlast it, as where a thread switches stacks.

    `close` is where each call ends, -1 for those that are around nothing; `parent` comes from `parents`,
    and up to the first call that is outlasted it is right.
    """
    inner = np.flatnonzero(parent >= 0)
    return bool((close[inner] > close[parent[inner]]).any())


def innermost(start: Ints, close: Ints) -> Ints:
    """For each call the last one before it that ends after its start, -1 without: whatever crosses what.

    Calls stand in order of `start`; `close` is -1 for those that do not count.
    """
    # Backwards, the first one that reaches further.
    backwards = np.maximum(close[::-1], 0).astype(np.uint64)
    at = np.arange(len(start), dtype=np.int64)[::-1]
    found = np.empty(len(start), np.int64)
    found[at] = next_reaching(backwards, len(start) - 1 - at, start[at].astype(np.uint64) + np.uint64(1))
    return len(start) - 1 - found


def outlasted(start: Ints, close: Ints, wanted: Ints) -> Flags:
    """Which of the calls `wanted` end while a call is open that began inside of them."""
    ends = np.maximum(close, 0).astype(np.uint64)
    later = next_reaching(ends, wanted, ends[wanted] + np.uint64(1))
    return (later < len(close)) & (np.append(start, np.iinfo(np.int64).max)[later] < close[wanted])


def levels(parent: Ints) -> Codes:
    """How many callers each call has; links double their length in each round."""
    link = parent.copy()
    level = (link >= 0).astype(np.int32)
    while True:
        pending = np.flatnonzero(link >= 0)
        if not len(pending):
            return level
        above = link[pending]
        level[pending], link[pending] = level[pending] + level[above], link[above]


def nearest(parent: Ints, wanted: Flags) -> Ints:
    """The nearest ancestor of each call for which `wanted` holds, by index; -1 where there is none.

    Links over unwanted ancestors double their length in each round, so a recursion that is thousands of
    incomplete calls deep takes a dozen rounds.
    """
    link = parent.copy()
    while True:
        pending = np.flatnonzero(link >= 0)
        pending = pending[~wanted[link[pending]]]
        if not len(pending):
            return link
        link[pending] = link[link[pending]]


def outermost(group: Ints, start: Ints, end: Ints) -> Flags:
    """Which intervals lie in no earlier interval of their group, for intervals sorted by (group, start).

    `group` ascends from 0; `start` and `end` are positions, not negative.
    """
    if not len(group):
        return np.zeros(0, np.bool_)
    span = np.int64(int(end.max()) + 1)
    reach = np.maximum.accumulate(group * span + end)
    result = np.ones(len(group), np.bool_)
    result[1:] = reach[:-1] < group[1:] * span + start[1:]
    return result
