"""Random call trees, and the events that running them would leave."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from hypothesis import strategies as st

from .traces import Recording, function

#: The last two share a name, in different modules.
FUNCTIONS = [
    "f",
    "g",
    "h",
    function(4, "twin_a", demangled="twin", module="/lib/a.so"),
    function(5, "twin_b", demangled="twin", module="/lib/b.so"),
]
SYMBOLS = ["f", "g", "h", "twin_a", "twin_b"]


@dataclass
class Node:
    """A call to make: `step` is how much deeper its frame is than its caller's, `tail` whether it is a
    tail call, which only a last child can be.
    """

    function: int
    step: int
    tail: bool
    children: list[Node]


@dataclass
class Call:
    """A call that was made, as pairing should find it."""

    function: int
    depth: int
    parent: int | None  # place in the thread's calls
    chained: bool = False  # shares its frame with a call that it made or that made it
    start: int = -1
    end: int = -1
    inside: list[Call] = field(default_factory=list)

    @property
    def self_ns(self) -> int:
        return self.end - self.start - sum(call.end - call.start for call in self.inside)


NODES = st.recursive(
    st.builds(Node, st.integers(0, 4), st.integers(1, 3), st.booleans(), st.just([])),
    lambda children: st.builds(
        Node, st.integers(0, 4), st.integers(1, 3), st.booleans(), st.lists(children, max_size=4)
    ),
    max_leaves=12,
)
#: For each thread the calls that it makes one after the other.
PROGRAMS = st.lists(st.lists(NODES, min_size=1, max_size=3), min_size=1, max_size=3)

Event = tuple[str, int, int, Call]


def run(roots: list[Node]) -> tuple[list[Event], list[Call]]:
    """The events (kind, function, frame, call) of a thread, in order, and its calls in order of start."""
    calls: list[Call] = []

    def go(node: Node, frame: int, above: int | None, last: bool) -> Iterator[Event]:
        tail = node.tail and last and above is not None
        frame = frame if tail else frame - 16 * node.step
        call = Call(node.function, 0 if above is None else calls[above].depth + 1, above)
        here = len(calls)
        calls.append(call)
        if above is not None:
            calls[above].inside.append(call)
            if tail:
                call.chained = calls[above].chained = True
        yield "entry", node.function, frame, call
        for place, child in enumerate(node.children):
            yield from go(child, frame, here, place == len(node.children) - 1)
        yield "exit", node.function, frame, call

    events = [event for root in roots for event in go(root, 1 << 20, None, False)]
    return events, calls


def record(program: list[list[Node]], rng: random.Random) -> tuple[Recording, list[list[Call]], list[Call]]:
    """Run the threads of `program` interleaved at random.

    Returns the recording, each thread's calls, and for each event the call that it is of.
    """
    recording = Recording(functions=list(FUNCTIONS))
    threads = [run(roots) for roots in program]
    queues = [iter(events) for events, _ in threads]
    owners: list[Call] = []
    now = 0
    turns = [thread for thread, (events, _) in enumerate(threads) for _ in events]
    rng.shuffle(turns)
    for thread in turns:
        kind, called, frame, call = next(queues[thread])
        now += rng.randint(1, 50)
        if kind == "entry":
            call.start = now
            recording.entry(SYMBOLS[called], now, frame, pid=100 + thread)
        else:
            call.end = now
            recording.exit(SYMBOLS[called], now, frame, pid=100 + thread)
        owners.append(call)
    return recording, [calls for _, calls in threads], owners
