"""In the place of a trace where none is to be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import OutputError

if TYPE_CHECKING:
    import pyarrow as pa

    from ..schemas import TraceMetadata
    from .writer import SoFar


class NoFile:
    """Does what `TraceWriter` does, without a file."""

    def __init__(self) -> None:
        self.rows = 0

    def begin(self, so_far: SoFar) -> None:
        """Nothing is to be committed."""

    def write(self, table: pa.Table) -> None:
        self.rows += table.num_rows

    def bytes_written(self) -> int:
        return 0

    def finish(self, metadata: TraceMetadata) -> None:
        """Nothing is to be finished."""

    def give_up(self, failure: BaseException, metadata: TraceMetadata) -> OutputError:
        result = OutputError(
            f"the recording broke off: {type(failure).__name__}: {failure}", "Start it again."
        )
        result.__cause__ = failure
        return result

    def left_as_it_is(self, failure: BaseException) -> OutputError:
        return OutputError(
            "the recording broke off: out of memory", "Record less: fewer functions, --args 0."
        )

    def abort(self) -> None:
        """Nothing is left behind."""
