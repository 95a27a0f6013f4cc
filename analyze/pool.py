"""Run `engine.process` on many partitions here: a local stand-in for the scheduler of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from .engine import process
from .figures import Figures
from .question import Partition, Question


def process_all(
    work: Sequence[tuple[Partition, Question]], jobs: int, done: Callable[[int], None]
) -> list[Figures]:
    """The figures of each partition, by `jobs` processes; `done` is told the number of each that is ready.

    Raises what `process` raises.
    """
    if jobs == 1:
        found = []
        for number, (partition, question) in enumerate(work):
            found.append(process(partition, question))
            done(number)
        return found
    # A forked child would have the locks of our threads as they happen to be.
    with ProcessPoolExecutor(min(jobs, len(work)), mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(process, *each) for each in work]
        number_of = {future: number for number, future in enumerate(futures)}
        for future in as_completed(futures):
            if future.exception() is not None:
                pool.shutdown(wait=True, cancel_futures=True)
            future.result()
            done(number_of[future])
        return [future.result() for future in futures]
