"""The same answer from funcsnoop, from a window query in DuckDB, and from a loop over pandas rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd

from funcsnoop.analyze.effort import Effort
from funcsnoop.analyze.trace import Trace

#: By name: calls, self_ns, max_ns. (The total of a recursive function is a question of definition.)
Answer = dict[str, tuple[int, int, int]]

#: A call is an entry and the exit that follows it on the same frame of the thread; its parent is the
#: innermost call around it. Without losses and tail calls that is all there is to pairing.
QUERY = """
with numbered as (
    select row_number() over () as row, * from events
), paired as (
    select *, lead(row) over frames as exit_row, lead(timestamp) over frames as left_at,
        lead(type) over frames as follows
    from numbered
    window frames as (partition by pid, frame order by row)
), depths as (
    select *, sum(case when type = 'entry' then 1 else -1 end) over (
        partition by pid order by row rows between unbounded preceding and current row
    ) as depth
    from paired
), calls as (
    select name, pid, row, depth, left_at - timestamp as duration
    from depths where type = 'entry' and follows = 'exit'
), parents as (
    select inner_calls.pid, outer_calls.row as row, sum(inner_calls.duration) as inside
    from calls as inner_calls
    asof join calls as outer_calls
        on inner_calls.pid = outer_calls.pid and inner_calls.depth = outer_calls.depth + 1
        and inner_calls.row > outer_calls.row
    group by all
)
select calls.name, count(*), sum(duration - coalesce(inside, 0))::bigint, max(duration)
from calls left join parents using (pid, row) group by calls.name
"""


def with_funcsnoop(path: Path) -> Answer:
    # What was asked before is known: here it is to be worked out each time.
    table = (
        Trace(path, Effort(cache=False)).latency().select("function", "calls", "self_ns", "max_ns").collect()
    )
    return {name: tuple(rest) for name, *rest in table.rows()}


def with_duckdb(path: Path) -> Answer:
    with duckdb.connect() as connection:
        connection.execute("set threads = 2")
        connection.execute(f"create view events as select * from read_parquet('{path}')")
        return {name: tuple(rest) for name, *rest in connection.execute(QUERY).fetchall()}


def with_pandas(path: Path) -> Answer:
    events = pd.read_parquet(path, columns=["type", "pid", "name", "timestamp"])
    stacks: dict[int, list[list]] = {}
    answer: dict[str, list[int]] = {}
    for row in events.itertuples(index=False):
        stack = stacks.setdefault(row.pid, [])
        if row.type == "entry":
            stack.append([row.name, row.timestamp, 0])
            continue
        name, begin, inside = stack.pop()
        duration = row.timestamp - begin
        if stack:
            stack[-1][2] += duration
        sums = answer.get(name, (0, 0, 0))
        answer[name] = [sums[0] + 1, sums[1] + duration - inside, max(sums[2], duration)]
    return {name: tuple(sums) for name, sums in answer.items()}


WAYS: dict[str, Callable[[Path], Answer]] = {
    "funcsnoop": with_funcsnoop,
    "DuckDB window query": with_duckdb,
    "loop over pandas rows": with_pandas,
}


def timed(way: str, path: Path) -> tuple[float, Answer]:
    begin = time.perf_counter()
    answer = WAYS[way](path)
    return time.perf_counter() - begin, answer
