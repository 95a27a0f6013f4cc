"""Which exit belongs to which entry: equal thread, frame and function, and the chain rule.

A frame, the stack pointer at a function's entry, identifies an activation: among the events of one
thread on one frame a call's entry is followed by its exit. Only tail calls share a frame, since the
caller's stack is given up before the callee starts. Their exits arrive one right after the other when
the last of them returns:

    entry f, entry g, exit g, exit f        f ends with a tail call of g

So the events on one frame fall into *episodes*, a run of entries and then a run of exits, and the exits
mirror the entries around the boundary. An episode in which they don't, because events are missing, is
searched with a stack of its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .arrays import Addresses, Codes, Flags, Ints


def match(thread: Codes, frame: Addresses, function: Codes, entry: Flags, usable: Flags) -> Ints:
    """Pair the entries and exits of events that stand thread after thread, each in its own order.

    `thread` numbers the threads from 0, ascending; `usable` says which events take part (entries of
    functions without exit probes would only be in the way). Returns for each event the position of its
    partner, or -1. No pair ever crosses a thread, a frame or a function.
    """
    partner = np.full(len(frame), -1, np.int64)
    # Positions in 32 bits, where they fit, halve the memory that all this moves.
    narrow = np.int32 if len(frame) < 1 << 30 else np.int64
    rows = np.arange(len(frame), dtype=narrow) if usable.all() else np.flatnonzero(usable).astype(narrow)
    if not len(rows):
        return partner
    order, first_on_frame = _by_activation(thread[rows], frame[rows])
    place = rows[order]  # of each sorted event, its position in the thread's order
    is_entry, code = entry[place], function[place]

    index = np.arange(len(place), dtype=narrow)
    none, zero = narrow(-1), narrow(0)
    group = np.maximum.accumulate(np.where(first_on_frame, index, zero))
    last_entry = np.maximum.accumulate(np.where(is_entry, index, none))
    last_exit = np.maximum.accumulate(np.where(is_entry, none, index))
    # An exit that doesn't follow the run's previous exit at once belongs to no open entry of the episode.
    apart = np.zeros(len(place), np.bool_)
    apart[1:] = ~is_entry[1:] & ~is_entry[:-1] & (place[1:] != place[:-1] + 1)
    last_apart = np.maximum.accumulate(np.where(apart, index, none))

    exits = np.flatnonzero(~is_entry)
    boundary = last_entry[exits]
    in_chain = (boundary >= group[exits]) & (last_apart[exits] <= boundary)
    exits, boundary = exits[in_chain], boundary[in_chain]
    mirrored = 2 * boundary + 1 - exits
    fits = (mirrored >= group[exits]) & (mirrored > last_exit[boundary])
    fits &= code[mirrored * fits] == code[exits]

    irregular = np.unique(boundary[~fits])
    if len(irregular):
        fits &= ~np.isin(boundary, irregular, assume_unique=False)
    partner[place[exits[fits]]] = place[mirrored[fits]]
    partner[place[mirrored[fits]]] = place[exits[fits]]

    if len(irregular):
        run_start = np.maximum(last_exit[irregular] + 1, group[irregular])
        chain_end = np.searchsorted(boundary, irregular, side="right") - 1
        run_end = exits[chain_end] + 1
        found: list[tuple[int, int]] = []
        for start, after_entries, end in zip(
            run_start.tolist(), (irregular + 1).tolist(), run_end.tolist(), strict=True
        ):
            pairs = _search(code[start:end].tolist(), after_entries - start)
            found.extend((start + entry_at, start + exit_at) for entry_at, exit_at in pairs)
        pairs_found = place[np.array(found, np.int64).reshape(-1, 2)]
        partner[pairs_found[:, 0]] = pairs_found[:, 1]
        partner[pairs_found[:, 1]] = pairs_found[:, 0]
    return partner


def _search(functions: list[int], entries: int) -> list[tuple[int, int]]:
    """Pair an episode's first `entries` events with the exits after them as a stack would.

    An exit returns to the nearest open entry of its function, and those above it have lost their exits;
    an exit without such an entry has lost its entry, and leaves the stack as it is.
    """
    open_entries: dict[int, list[int]] = {}
    for position in range(entries):
        open_entries.setdefault(functions[position], []).append(position)
    height = entries
    found = []
    for position in range(entries, len(functions)):
        candidates = open_entries.get(functions[position])
        while candidates:
            candidate = candidates.pop()
            if candidate < height:
                height = candidate
                found.append((candidate, position))
                break
    return found


def _by_activation(thread: Codes, frame: Addresses) -> tuple[Ints, Flags]:
    """Order events by (thread, frame), in each as they came, and mark the first of each group.

    NumPy sorts 16-bit integers by radix, many times faster than wider ones. The frames of a thread lie
    close together, so that numbers for all (thread, frame) mostly take one or two rounds of 16 bits.
    """
    count = len(frame)
    heads = np.flatnonzero(np.r_[True, thread[1:] != thread[:-1]])
    sizes = np.diff(np.r_[heads, count])
    lowest = np.minimum.reduceat(frame, heads)
    spans = np.maximum.reduceat(frame, heads) - lowest
    aligned = not int(np.bitwise_or.reduce(frame)) & 7
    unit = np.uint64(3 if aligned else 0)
    room = sum((int(span) >> int(unit)) + 1 for span in spans.tolist())
    if room > 1 << 32:
        order = np.lexsort((frame, thread)).astype(np.int64)
        ordered, owner = frame[order], thread[order]
        first = np.ones(count, np.bool_)
        first[1:] = (ordered[1:] != ordered[:-1]) | (owner[1:] != owner[:-1])
        return order, first
    number = frame - (np.repeat(lowest, sizes) if len(heads) > 1 else lowest[0])
    number >>= unit
    if len(heads) > 1:
        number += np.repeat(np.cumsum((spans >> unit) + np.uint64(1)) - (spans >> unit) - np.uint64(1), sizes)
    return _radix_order(number.astype(np.uint32), room)


def _radix_order(number: NDArray[np.uint32], room: int) -> tuple[Ints, Flags]:
    """The stable order of numbers below `room`, and which of them begin a group of equal ones."""
    order = np.argsort(number.astype(np.uint16), kind="stable")
    if room > 1 << 16:
        high = (number >> np.uint32(16)).astype(np.uint16)
        order = order[np.argsort(high[order], kind="stable")]
    ordered = number[order]
    first = np.ones(len(number), np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    return order, first
