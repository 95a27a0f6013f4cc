"""Say of a recording that was cut off what is missing, as far as that is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..schemas.chain import RECORDING
from ..schemas.metadata import FunctionInfo, unplaced_loss
from .chain import Commit


def account(found: dict[str, Any], row_groups: pq.FileMetaData, commits: list[Commit]) -> list[str]:
    """Bring the counts, loss windows and notices of `found`, the metadata, in line with the rows there are.

    Returns the new notices.

    `unsaved` events had been produced when the last commit was made, and are in none; nobody knows how many
    came after. `damaged` ones are in commits that fail their checksum.
    """
    counts, windows, notices = found["counts"], found["loss_windows"], []
    lost = counts["lost"]
    in_kernel = sum(lost.values())
    left_out = sum(counts.setdefault("filtered", {}).values()) + counts["after_limit"]
    rows = row_groups.num_rows
    last = max(i for i, commit in enumerate(commits) if commit.intact)
    committed = counts["recorded"] + sum(commit.rows for commit in commits[last + 1 :])
    damaged = max(0, committed - rows)
    if has_no_start(commits):
        notices.append(
            "the function table is damaged: of functions only the names are known, from the events"
        )
    if damaged:
        notices.append(f"{damaged:,} events are missing: the part of the file that held them is damaged")
        lost["damaged"] = damaged
        windows.append(unplaced_loss(0, damaged))
    if found["end_reason"] == RECORDING:
        placed = sum(window["events"] for window in found["loss_windows"]) - damaged
        if in_kernel > placed:
            windows.append(unplaced_loss(0, in_kernel - placed))
        unsaved = max(0, counts["produced"] - committed - in_kernel - left_out)
        lost["unsaved"] = unsaved
        windows.append(unplaced_loss(_start_of_last(row_groups), unsaved))
        more = f"; at least {unsaved:,} of them" if unsaved else ""
        notices.append(f"the recording was not finished: events after its last commit are missing{more}")
    counts["recorded"] = rows
    counts["produced"] = rows + sum(lost.values()) + left_out
    found["notices"] = [*found["notices"], *notices]
    return notices


def has_no_start(commits: list[Commit]) -> bool:
    """Whether the first commit, which holds the function table, is lost."""
    return not commits[0].intact or commits[0].start > 0


def functions_of(descriptor: int, row_groups: pq.FileMetaData) -> list[FunctionInfo]:
    """A function table from the events, where that of the recorder is damaged: cookies and names only."""
    names: dict[int, str] = {}
    with pq.ParquetFile(
        f"/proc/self/fd/{descriptor}", metadata=row_groups, page_checksum_verification=True
    ) as file:
        for batch in file.iter_batches(columns=["cookie", "name"]):
            cookies, places = np.unique(batch["cookie"].to_numpy(), return_index=True)
            symbols = batch["name"].take(pa.array(places)).to_pylist()
            names |= zip(cookies.tolist(), symbols, strict=True)
    return [
        {
            "cookie": cookie,
            "symbol": name,
            "demangled": name,
            "module": "",
            "build_id": None,
            "address": 0,
            "offset": 0,
            "size": 0,
            "aliases": [],
            "site": 0,
            "site_class": "stepped",
            "exit": "return",
            "exit_reason": "not known: the start of the file was damaged",
        }
        for cookie, name in sorted(names.items())
    ]


def _start_of_last(row_groups: pq.FileMetaData) -> int:
    """The earliest time among the last rows: an event that is missing after them is hardly older."""
    if not row_groups.num_row_groups:
        return 0
    last = row_groups.row_group(row_groups.num_row_groups - 1)
    column = last.column(row_groups.schema.names.index("timestamp"))
    return int(column.statistics.min) if column.is_stats_set else 0
