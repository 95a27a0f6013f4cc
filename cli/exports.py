"""The machine formats: tables as JSON, NDJSON, CSV, Parquet and Markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from ..printable import printable

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

#: What JSON may hold as it is and a terminal would obey, or show as something else.
_STEERING = re.compile(
    r"[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb]"
)

#: Rows are turned into text this many at a time.
_BLOCK = 1 << 16


class Format(NamedTuple):
    """How to write a table that comes in frames: `write(frames, schema, out)`; `binary` formats are not for
    terminals.
    """

    write: Callable[[Iterable[pl.DataFrame], pa.Schema, BinaryIO], None]
    suffix: str
    binary: bool


def plain(value: Any) -> Any:
    """`value` as JSON has it: a decimal is an integer here, whatever its size."""
    if isinstance(value, Decimal):
        return int(value)
    raise TypeError(f"not for JSON: {type(value)}")


def to_json(value: Any, indent: int | None = None) -> str:
    """`value` as JSON that may be shown: what would steer a terminal is `\\u` and its number."""
    return _escaped(json.dumps(value, default=plain, ensure_ascii=False, indent=indent))


def _escaped(text: str) -> str:
    if text.isascii() and "\x7f" not in text:
        return text
    # Such characters stand in strings only, so that the escape is the same string.
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def write_ndjson(frames: Iterable[pl.DataFrame], schema: pa.Schema, out: BinaryIO) -> None:
    """An object a line."""
    for line in _json_lines(frames):
        out.write(line + b"\n")


def write_json(frames: Iterable[pl.DataFrame], schema: pa.Schema, out: BinaryIO) -> None:
    """An array of objects, one a line."""
    separator = b"[\n"
    for line in _json_lines(frames):
        out.write(separator + line)
        separator = b",\n"
    out.write(b"[]\n" if separator == b"[\n" else b"\n]\n")


def _json_lines(frames: Iterable[pl.DataFrame]) -> Iterator[bytes]:
    import polars as pl

    for frame in frames:
        nested = any(isinstance(kind, pl.Decimal | pl.List) for kind in frame.dtypes)
        for block in frame.iter_slices(_BLOCK):
            if nested:
                # Polars writes decimals as strings.
                for row in block.to_dicts():
                    yield to_json(row).encode()
            else:
                yield from _escaped(block.write_ndjson()).encode().split(b"\n")[:-1]


def write_csv(frames: Iterable[pl.DataFrame], schema: pa.Schema, out: BinaryIO) -> None:
    """Comma-separated with a header; null is empty, lists are JSON, control characters are escaped."""
    out.write(",".join(schema.names).encode() + b"\n")
    for frame in frames:
        for block in frame.iter_slices(_BLOCK):
            # Polars, given `out`, has an error of its own for a reader that has left.
            out.write(_flat(block).write_csv(include_header=False).encode())


def write_markdown(frames: Iterable[pl.DataFrame], schema: pa.Schema, out: BinaryIO) -> None:
    """A pipe table, numbers to the right."""
    import pyarrow as pa

    numeric = [
        pa.types.is_integer(f.type) or pa.types.is_floating(f.type) or pa.types.is_decimal(f.type)
        for f in schema
    ]
    ruler = ["---:" if number else "---" for number in numeric]
    out.write(f"| {' | '.join(schema.names)} |\n| {' | '.join(ruler)} |\n".encode())
    for frame in frames:
        for row in _flat(frame).iter_rows():
            cells = ("" if cell is None else _markdown(str(cell)) for cell in row)
            out.write(f"| {' | '.join(cells)} |\n".encode())


def _markdown(text: str) -> str:
    for character in "\\|*_`<>[]":
        text = text.replace(character, "\\" + character)
    return text


def write_parquet(frames: Iterable[pl.DataFrame], schema: pa.Schema, out: BinaryIO) -> None:
    """Parquet with exactly the types, nullability and descriptions of `schema`."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(out, schema, compression="zstd", write_page_checksum=True) as writer:
        for frame in frames:
            writer.write_table(to_arrow(frame, schema))


def to_arrow(frame: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    """`frame` as an Arrow table of `schema`."""
    import pyarrow as pa

    table = frame.to_arrow()
    columns = []
    for field in schema:
        column = table[field.name]
        if pa.types.is_dictionary(field.type):
            column = column.cast(field.type.value_type).dictionary_encode()
        columns.append(column.cast(field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Text with control characters spelled out, lists and decimals as text."""
    import polars as pl

    columns = []
    for name, kind in frame.schema.items():
        column = frame[name]
        if isinstance(kind, pl.List):
            texts = [json.dumps(value, default=plain) for value in column.to_list()]
            columns.append(pl.Series(name, texts, pl.String))
        elif isinstance(kind, pl.String | pl.Categorical):
            known = {text: printable(text) for text in column.unique().drop_nulls().cast(pl.String).to_list()}
            text = column.cast(pl.String)
            changed = {old: new for old, new in known.items() if old != new}
            columns.append(text.replace(changed) if changed else text)
        else:
            columns.append(column)
    return pl.DataFrame(columns)


FORMATS = {
    "json": Format(write_json, ".json", False),
    "ndjson": Format(write_ndjson, ".ndjson", False),
    "csv": Format(write_csv, ".csv", False),
    "parquet": Format(write_parquet, ".parquet", True),
    "markdown": Format(write_markdown, ".md", False),
}
