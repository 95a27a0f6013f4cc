"""What a commit says of the recording: only what has changed since the last one.

The function table alone can take megabytes, and a commit is made every second.
"""

from __future__ import annotations

import json
from typing import Any

from ..schemas import TraceMetadata
from ..schemas.chain import ROW_KEYS, CommitNote, ManyRows

#: In these, rows that were committed can still change; in the other lists of `ROW_KEYS` they only grow.
_LIVE_KEYS = frozenset({"processes", "threads"})
#: From as many rows on columns are worth it.
_MANY = 100


class Changes:
    """Call `note` for the text of a commit, and `committed` when the commit is sealed."""

    def __init__(self) -> None:
        self._committed: dict[str, list[dict[str, Any]]] = {key: [] for key in ROW_KEYS}
        self._noted: dict[str, dict[int, dict[str, Any]]] = {}

    def note(self, metadata: TraceMetadata) -> bytes:
        """What `metadata` has that no commit holds yet, as JSON of type `CommitNote`."""
        whole: dict[str, Any] = dict(metadata)
        self._noted = {key: self._changed(key, whole.pop(key)) for key in ROW_KEYS}
        note: CommitNote = {"values": whole, "rows": {}, "many": {}}
        for key, rows in self._noted.items():
            if key not in _LIVE_KEYS and len(rows) >= _MANY:
                note["many"][key] = _as_columns(rows)
            elif rows:
                note["rows"][key] = {str(position): row for position, row in rows.items()}
        return json.dumps(note).encode()

    def committed(self) -> None:
        for key, rows in self._noted.items():
            kept = self._committed[key]
            if key in _LIVE_KEYS:
                for position, row in sorted(rows.items()):
                    kept[position : position + 1] = [row]
            else:
                kept += rows.values()
        self._noted = {}

    def _changed(self, key: str, rows: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
        kept = self._committed[key]
        if key not in _LIVE_KEYS:
            return dict(enumerate(rows[len(kept) :], len(kept)))
        return {
            position: dict(row)  # a copy: the recorder goes on changing its own
            for position, row in enumerate(rows)
            if position >= len(kept) or kept[position] != row
        }


def _as_columns(rows: dict[int, dict[str, Any]]) -> ManyRows:
    """Rows of one list, which follow each other and have the same fields."""
    columns = {field: [row[field] for row in rows.values()] for field in next(iter(rows.values()))}
    same = {field: values[0] for field, values in columns.items() if values.count(values[0]) == len(values)}
    return {
        "first": min(rows),
        "count": len(rows),
        "same": same,
        "columns": {field: values for field, values in columns.items() if field not in same},
    }
