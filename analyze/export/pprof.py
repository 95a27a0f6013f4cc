"""pprof's profiles: a sample a stack, with how often it was called and the time in it."""

from __future__ import annotations

import gzip
from typing import Any, BinaryIO

from .profile_proto import profile
from .source import Source
from .stacks import Stacks


def write(source: Source, out: BinaryIO) -> None:
    """Samples of calls/count and wall/nanoseconds (self time), the threads and processes summed up.

    https://github.com/google/pprof/blob/main/proto/README.md. Addresses are those in the ELF file, as if each
    module were mapped at 0; build ids say which file it was. What was lost, and which times
    these are, is in the comments.
    """
    stacks = Stacks(source)
    metadata = source.metadata
    found = profile()
    numbers = {"": 0}  # the first string must be the empty one

    def text(string: str) -> int:
        return numbers.setdefault(string, len(numbers))

    found.sample_type.add(type=text("calls"), unit=text("count"))
    found.sample_type.add(type=text("wall"), unit=text("nanoseconds"))
    found.default_sample_type = text("calls" if source.weight == "calls" else "wall")
    found.time_nanos = metadata["started"]["realtime_ns"]
    found.duration_nanos = metadata["ended"]["monotonic_ns"] - metadata["started"]["monotonic_ns"]
    about = (" ".join(metadata["command_line"]), source.trace.times, str(source.loss))
    found.comment.extend(text(line) for line in about if line)

    modules: dict[str, Any] = {}
    for number, function in enumerate(metadata["functions"], 1):
        module = modules.get(function["module"])
        if module is None:
            module = modules[function["module"]] = found.mapping.add(
                id=len(modules) + 1,
                filename=text(function["module"]),
                build_id=text(function["build_id"] or ""),
                has_functions=True,
            )
        module.memory_limit = max(module.memory_limit, function["address"] + max(function["size"], 1))
        found.function.add(
            id=number,
            name=text(function["demangled"]),
            system_name=text(function["symbol"]),
            filename=text(function["module"]),
        )
        location = found.location.add(id=number, mapping_id=module.id, address=function["address"])
        location.line.add(function_id=number)
    for stack, values in enumerate(zip(stacks.calls.tolist(), stacks.self_ns.tolist(), strict=True)):
        path = [function + 1 for function in stacks.leaf_first(stack)]
        found.sample.add(location_id=path, value=values)
    found.string_table.extend(numbers)
    # Without a name and a time in its head the file depends on the trace alone.
    with gzip.GzipFile("", "wb", fileobj=out, mtime=0) as packed:
        packed.write(found.SerializeToString())
