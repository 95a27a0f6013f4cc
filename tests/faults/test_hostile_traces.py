"""Damaged and hostile traces in every report: an error of two lines, or the truth. Nothing else."""

from __future__ import annotations

import copy
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from funcsnoop.analyze.partial import open_partial
from funcsnoop.analyze.trace import Trace
from funcsnoop.cli.export import NAMES as EXPORTS
from funcsnoop.cli.usage import NAMES
from funcsnoop.errors import TraceError
from funcsnoop.record.recovery import finish_copy
from funcsnoop.record.writer import TraceWriter
from funcsnoop.schemas import EVENTS, METADATA_KEY

from ..unit.traces import Recording, function, write
from .hostile import FULL, MUTATIONS, NOTEBOOK, CrashError, Worker, complaint

REPORTS = ("summary", "latency", "callgraph", "args", "calls", "threads")
#: Of the summary there is no CSV and no Parquet.
FORMATS = ("table", "json", "ndjson", "markdown", "csv", "parquet")
#: What those reports need that don't do without.
NEEDED = {
    "hist": ["--focus", "f"],
    "heatmap": ["--focus", "f"],
    "explain": ["--focus", "f"],
    "path": ["--id", "0"],
    "diff": ["{whole}"],
}
#: All that reads a trace; {out} is a file to write.
COMMANDS = [
    *(["analyze", report, "{trace}", *NEEDED.get(report, [])] for report in NAMES),
    ["analyze", "callgraph", "{trace}", "--focus", "g"],
    ["analyze", "hist", "{trace}", "--focus", "g", "--arg", "0"],
    ["analyze", "slowest", "{trace}", "--focus", "f", "--arg", "1", "--ret"],
    ["report", "{trace}", "--force", "-o", "{out}"],
    *(["export", "{trace}", "--to", form, "--force", "-o", "{out}"] for form in EXPORTS),
]
RECOVER = ["recover", "{trace}", "--force", "-o", "{out}"]
#: In a short run, each trace is read by those above and by so many of the others.
OTHERS = 4
KINDS = (
    "truncated",
    "flipped",
    "footer",
    "overwritten",
    "partial",
    "metadata",
    "metadata",
    "events",
    "events",
)

HOSTILE_NAMES = (
    "\x1b[31mred\x1b[0m",
    "two\nlines",
    "</script><b>",
    "x" * 65536,
    "\udcff\udcfe",
    "\u202egnp.exe",
    "\x00",
    "",
    "a,b;\"c'|`",
    "é̀\u200d𝕏",
    "=cmd()",
)
VALUES = (
    None, True, -1, 0, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**200, -(2**63), 1.5, 1e308, "7",
    "", [], {}, [[]], [None], {"a": {}}, *HOSTILE_NAMES,
)  # fmt: skip


#: Behind each commit of a `.partial` file.
SEAL_BYTES = 32

#: The events without dictionaries, whose order says nothing.
PLAIN = pa.schema(
    [
        (field.name, field.type.value_type if pa.types.is_dictionary(field.type) else field.type)
        for field in EVENTS
    ]
)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as one:
        yield one


def sample() -> Recording:
    """Three threads, nesting, recursion, tail calls, a lost exit, many values and few."""
    recording = Recording()
    rng = random.Random(3)
    now = 1000
    for number in range(120):
        pid = 7 + number % 3
        base = 1 << 20
        recording.entry("f", now + 1, base, rng.randrange(4), rng.getrandbits(64), pid=pid)
        recording.entry("g", now + 2, base - 64, rng.randrange(1000), pid=pid)
        recording.entry("h", now + 3, base - 64, number, pid=pid)
        recording.exit("h", now + 5 + rng.randrange(50), base - 64, 0, pid=pid)
        recording.exit("g", now + 60, base - 64, 2**64 - 1, pid=pid)
        if number % 40:
            recording.exit("f", now + 70, base, rng.randrange(3), pid=pid)
        now += 100
    return recording


def thirds(rows: int) -> list[tuple[int, int]]:
    """(first row, number of rows) of each commit."""
    third = rows // 3
    return [(0, third), (third, third), (2 * third, rows - 2 * third)]


def commit(path: Path, recording: Recording, *, finish: bool) -> Path:
    """A trace as the recorder writes it, in three commits; without `finish` what its death leaves."""
    table, about = recording.events(), recording.about()

    def so_far(count: int) -> Any:
        counts = about["counts"] | {"produced": count, "recorded": count}
        return about | {"counts": counts, "end_reason": "recording"}

    writer = TraceWriter(str(path), force=True)
    try:
        writer.begin(so_far)
        for first, size in thirds(table.num_rows):
            writer.write(table.slice(first, size).unify_dictionaries())
        if finish:
            writer.finish(about)
            return path
    finally:
        writer.close()
    return writer.partial


def commands(kind: str, rng: random.Random) -> list[list[str]]:
    """Every report, each in some format; in a short run, some."""
    basic = [words for words in COMMANDS if words[1] in REPORTS]
    others = [words for words in COMMANDS if words not in basic]
    found = []
    for words in basic + (others if FULL else rng.sample(others, OTHERS)):
        form = ["--format", rng.choice(FORMATS[:4] if words[1] == "summary" else FORMATS)]
        found.append([*words, *(form if words[0] == "analyze" else [])])
    return [RECOVER, *found] if kind == "partial" else found


class Left(NamedTuple):
    """What is left of a `.partial` file: which commits, their rows, and how many others are known of."""

    commits: tuple[bool, ...]
    rows: pa.Table
    damaged: int

    def what_is_wrong(self, metadata: Any) -> str | None:
        """With what metadata say of it, be it of the file itself or of the trace that it becomes."""
        counts, notices = metadata["counts"], metadata["notices"]
        damaged = counts["lost"].get("damaged", 0)
        if (counts["recorded"], damaged) != (self.rows.num_rows, self.damaged):
            return f"counts {counts} of {self.rows.num_rows} rows, {self.damaged} damaged"
        if counts["produced"] != counts["recorded"] + sum(counts["lost"].values()):
            return f"counts {counts} do not add up"
        damage = f"{self.damaged} events are missing: the part of the file that held them is damaged"
        for text, said in (
            ("the recording was not finished: events after its last commit are missing", True),
            (damage, self.damaged > 0),
            ("the function table is damaged", not self.commits[0]),
        ):
            if any(notice.startswith(text) for notice in notices) != said:
                return f"says {notices}, and not just {text!r}"
        return None


class Mutations:
    """`apply(seed)` writes a mutated trace: its path, and whether it may only be refused or read right."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.recording = sample()
        self.about = self.recording.about()
        self.table = self.recording.events()
        self.path = directory / "trace.parquet"
        self.whole = commit(self.path, self.recording, finish=True).read_bytes()
        self.unfinished = commit(directory / "other.parquet", self.recording, finish=False)
        self.committed = self.unfinished.read_bytes()
        ends = [found.start() + SEAL_BYTES for found in re.finditer(b"FSNPSEAL", self.committed)]
        #: Of each commit and its seal.
        self.places = list(pairwise([0, *ends]))

    def left(self) -> Left:
        """What must come back of the `.partial` file: each commit that is what it was, with its seal."""
        content = self.unfinished.read_bytes()
        kept = [content[at:end] == self.committed[at:end] for at, end in self.places]
        table = self.table.cast(PLAIN)
        sizes = [(0, 0), *thirds(table.num_rows)]  # the first has the function table
        parts = [table.slice(first, size) for (first, size), keep in zip(sizes, kept, strict=True) if keep]
        last = max((i for i, keep in enumerate(kept) if keep), default=0)
        # The counts in a commit tell of all before it, and a seal, wherever it may be by now, of its own.
        told = sum(
            size
            for i, ((_, size), (at, end)) in enumerate(zip(sizes, self.places, strict=True))
            if i <= last or content.find(self.committed[end - SEAL_BYTES : end], at + 1) >= 0
        )
        rows = pa.concat_tables([table.slice(0, 0), *parts])
        return Left(tuple(kept), rows, told - rows.num_rows)

    def apply(self, seed: int) -> tuple[str, Path, bool]:
        rng = random.Random(seed)
        kind = KINDS[seed % len(KINDS)]
        if kind == "partial":
            self.unfinished.write_bytes(self.bytes(rng.choice(KINDS[:4]), self.committed, rng))
            return kind, self.unfinished, False
        if kind == "metadata":
            write(self.path, self.table, self.metadata(rng))
            return kind, self.path, False
        if kind == "events":
            write(self.path, self.events(rng), self.about)
            return kind, self.path, False
        self.path.write_bytes(self.bytes(kind, self.whole, rng))
        return kind, self.path, True

    def bytes(self, kind: str, whole: bytes, rng: random.Random) -> bytes:
        content = bytearray(whole)
        if kind == "truncated":
            return whole[: rng.randrange(len(whole))] + rng.choice([b"", b"PAR1"])
        if kind == "overwritten":
            at, size = rng.randrange(len(whole)), rng.choice([1, 2, 8, 64, 4096])
            part = bytes(rng.choice([b"\0", b"\xff", bytes([rng.randrange(256)])])) * size
            other = rng.randrange(len(whole))
            content[at : at + size] = rng.choice([part, rng.randbytes(size), whole[other : other + size]])
            return bytes(content[: len(whole)])
        least = len(whole) - 16_000 if kind == "footer" else 0
        for _ in range(rng.choice([1, 1, 1, 3])):
            content[rng.randrange(max(0, least), len(whole))] ^= 1 << rng.randrange(8)
        return bytes(content)

    def metadata(self, rng: random.Random) -> Any:
        about = copy.deepcopy(self.about)
        about["loss_windows"] = [
            {"pid": 7, "tgid": 7, "start_ns": 2000, "end_ns": 3000, "frame": 1 << 20, "events": 3}
        ]
        for _ in range(rng.choice([1, 1, 2, 5])):
            place: Any = about
            while True:
                key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
                if not isinstance(place[key], dict | list) or not place[key] or rng.random() < 0.2:
                    break
                place = place[key]
            act = rng.randrange(6)
            if act == 0:
                del place[key]
            elif act == 1 and isinstance(place, list):
                place.append(place[key])
            elif isinstance(place[key], str) and act < 5:
                place[key] = rng.choice(HOSTILE_NAMES)
            elif isinstance(place[key], int) and act < 5:
                place[key] = rng.choice([-(2**63), -1, 0, 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1])
            else:
                place[key] = rng.choice(VALUES)
            if not about:
                break
        raw = json.dumps(about)
        if rng.random() < 0.1:
            raw = raw.replace(
                '"f"', rng.choice(['"\\ud800"', '"\\u12"', '"\\q"', "NaN", "1e999", '"f", "f"'])
            )
        if rng.random() < 0.1:
            raw = raw[:-1] + ', "functions": [], "counts": null}'
        return raw.encode()

    def events(self, rng: random.Random) -> pa.Table:
        count = self.table.num_rows
        seeded = np.random.default_rng(rng.randrange(1 << 30))
        ends = np.array([-(2**63), -1, 0, 2**63 - 1], np.int64)
        choices: dict[str, Callable[[], pa.Array[Any]]] = {
            "cookie": lambda: pa.array(seeded.integers(1, rng.choice([4, 5, 2**63]), count), pa.uint64()),
            "timestamp": lambda: pa.array(
                seeded.choice(ends, count)
                if rng.random() < 0.5
                else np.sort(self.table["timestamp"].to_numpy())[::-1],
                pa.int64(),
            ),
            "frame": lambda: pa.array(
                seeded.integers(0, rng.choice([1, 3, 2**63]), count, np.uint64, endpoint=True), pa.uint64()
            ),
            "pid": lambda: pa.array(np.arange(count) + rng.choice([0, 2**32 - count]), pa.uint32()),
            "tgid": lambda: pa.array(seeded.integers(0, 2**32, count), pa.uint32()),
            "type": lambda: pa.array(
                seeded.choice(
                    rng.choice([["entry"], ["exit"], ["entry", "exit"], ["entry", "\x1b[2J", ""]]), count
                )
            ).dictionary_encode(),
            "name": lambda: pa.array(
                seeded.choice(["f", "\x1b[31m", "x" * 65536], count)
            ).dictionary_encode(),
            "arg0": lambda: pa.nulls(count, pa.uint64()),
            "arg1": lambda: pa.array(seeded.choice(np.array([0, 2**63, 2**64 - 1], np.uint64), count)),
            "ret_val": lambda: pa.array(seeded.integers(0, 2**64, count, np.uint64), pa.uint64()),
        }
        table = self.table
        for name in rng.sample(sorted(choices), rng.choice([1, 1, 2, 4])):
            place = EVENTS.get_field_index(name)
            table = table.set_column(place, EVENTS.field(name), choices[name]().cast(EVENTS.field(name).type))
        if rng.random() < 0.1:
            table = table.slice(0, rng.randrange(3))
        return table.replace_schema_metadata(None)


def test_mutations(worker: Worker, tmp_path: Path) -> None:
    mutations = Mutations(tmp_path)
    whole, out, recovered = (tmp_path / name for name in ("whole.parquet", "out", "recovered.parquet"))
    whole.write_bytes(mutations.whole)
    problems: list[str] = []
    outcomes: dict[str, list[int]] = {kind: [0, 0] for kind in KINDS}
    truth: dict[tuple[str, ...], tuple[str, bytes]] = {}
    damages: set[tuple[bool, ...]] = set()

    def filled(words: list[str], path: Path) -> list[str]:
        return [word.format(trace=path, whole=whole, out=out) for word in words]

    def written() -> bytes:
        content = out.read_bytes() if out.exists() else b""
        out.unlink(missing_ok=True)
        return content

    def expected(words: list[str]) -> tuple[str, bytes]:
        key = tuple(words)
        if key not in truth:
            saved = mutations.path.read_bytes()
            mutations.path.write_bytes(mutations.whole)
            (reply,) = worker.ask({"commands": [filled(words, mutations.path)]})
            assert reply["status"] == 0, reply
            truth[key] = reply["stdout"], written()
            mutations.path.write_bytes(saved)
        return truth[key]

    def what_is_wrong(words: list[str], reply: dict[str, Any], exact: bool) -> str | None:
        content = written()
        wrong = complaint(reply)
        if wrong is None and reply.get("seconds", 0) > 10:
            wrong = f"took {reply['seconds']:.0f} s"
        if wrong is None and reply["status"] == 0 and exact:
            wrong = None if (reply["stdout"], content) == expected(words) else "silently wrong"
        return wrong

    def what_is_lost(words: list[str], reply: dict[str, Any], left: Left) -> str | None:
        """What was committed and is whole is read, by reports and `recover`; what else there was is told."""
        if not any(left.commits):
            refused = "is committed" in reply["stderr"] and reply["status"] == 1
            return None if refused else "takes it for something"
        if words == RECOVER:
            if reply["status"]:
                return f"is not recovered: {reply['stderr']}"
            with pq.ParquetFile(recovered, page_checksum_verification=True) as file:
                rows, raw = file.read().cast(PLAIN), file.metadata.metadata[METADATA_KEY]
            if not rows.equals(left.rows):
                return "recovers something else"
            metadata = json.loads(raw)
            if not all(f"notice: {notice}\n" in reply["stderr"] for notice in metadata["notices"]):
                return "does not tell what is missing"
            return left.what_is_wrong(metadata)
        if left.rows.num_rows and reply["status"]:
            return f"is refused: {reply['stderr']}"
        if words[0] != "analyze" or "summary" in words:
            return None  # where it was read from is a part of these
        (whole_one,) = worker.ask({"commands": [filled(words, recovered)]})
        same = (whole_one["status"], whole_one["stdout"]) == (reply["status"], reply["stdout"])
        return None if same else "is not what it is when it is recovered"

    for seed in range(MUTATIONS):
        kind, path, exact = mutations.apply(seed)
        left = mutations.left() if kind == "partial" else None
        recovered.unlink(missing_ok=True)
        if left is not None:
            damages.add(left.commits)
        for words in commands(kind, random.Random(seed)):
            try:
                (reply,) = worker.ask({"commands": [filled(words, path)]})
            except CrashError as crash:
                problems.append(f"{seed} {kind} {' '.join(words)}: {crash}")
                continue
            outcomes[kind][reply["status"] != 0] += 1
            if words == RECOVER and out.exists():
                out.rename(recovered)
            wrong = what_is_wrong(words, reply, exact)
            if wrong is None and left is not None:
                wrong = what_is_lost(words, reply, left)
            if wrong:
                problems.append(f"{seed} {kind} {' '.join(words)}: {wrong}")
        try:
            (reply,) = worker.ask({"open": [str(path)]})
        except CrashError as crash:
            problems.append(f"{seed} {kind} open: {crash}")
            continue
        if wrong := complaint(reply):
            problems.append(f"{seed} {kind} open: {wrong}")
    assert not problems, f"{len(problems)}:\n" + "\n".join(problems[:30])
    # What is asked here is not answered by refusing everything, nor by looking at nothing.
    for kind in ("metadata", "events"):
        assert all(outcomes[kind]), outcomes
    # Some lack their end, some a part before it.
    assert any(all(kept[:-1]) and not kept[-1] for kept in damages), damages
    assert any(kept[-1] and not all(kept) for kept in damages), damages
    assert outcomes["flipped"][1] > MUTATIONS // len(KINDS), outcomes


def test_what_was_committed_comes_back(tmp_path: Path) -> None:
    """Each commit that is what it was, whatever was done to the rest of the file; what lacks is told."""
    mutations = Mutations(tmp_path)
    damages = Counter()
    for seed in range(10 * MUTATIONS):
        rng = random.Random(seed)
        path = mutations.unfinished
        path.write_bytes(mutations.bytes(rng.choice(KINDS[:4]), mutations.committed, rng))
        left = mutations.left()
        damages[left.commits] += 1
        if not any(left.commits):
            with pytest.raises(TraceError, match=r"nothing in .* is committed"):
                open_partial(path)
            continue
        found = open_partial(path)
        with pq.ParquetFile(path, metadata=found.row_groups, page_checksum_verification=True) as file:
            assert file.read().cast(PLAIN).equals(left.rows), (seed, left.commits)
        assert left.what_is_wrong(found.metadata) is None, (seed, left.commits)
        # The damage stays in the file.
        with path.open("rb") as unfinished:
            finish_copy(unfinished.fileno(), mutations.path, found.end, found.row_groups, found.metadata)
        trace = Trace(mutations.path)
        calls = trace.answers().threads["events"].sum()
        assert (trace.rows, calls) == (left.rows.num_rows, left.rows.num_rows), (seed, left.commits)
    # All that can be left was, also nothing.
    assert len(damages) == 1 << len(mutations.places), damages


def refuses(worker: Worker, path: Path, message: str) -> None:
    """Every report refuses the trace, for this reason, at once."""
    asked = [["analyze", report, str(path)] for report in REPORTS]
    for reply in worker.ask({"commands": asked, "open": [str(path)]}):
        assert complaint(reply) is None
        assert reply["status"] == 1
        if reply["stderr"] != NOTEBOOK:
            assert message in reply["stderr"]
        assert reply.get("seconds", 0) < 10


def serves(worker: Worker, path: Path) -> list[dict[str, Any]]:
    """Every report in every format that is text reads the trace."""
    asked = [
        ["analyze", report, str(path), "--format", form]
        for report in REPORTS
        for form in FORMATS[:5]
        if (report, form) != ("summary", "csv")
    ]
    replies = worker.ask({"commands": asked, "open": [str(path)]})
    for reply in replies:
        assert complaint(reply) is None
        assert reply["status"] == 0, reply["stderr"]
    return replies


def test_a_bomb(tmp_path: Path) -> None:
    """1e9 rows, all alike, in a file of some kilobytes."""
    rows = 10**9
    path = tmp_path / "bomb.parquet"
    recording = sample()
    about = recording.about()
    about["counts"] = {"produced": rows, "recorded": rows, "lost": {}, "filtered": {}, "after_limit": 0}
    table = recording.events().slice(0, 1)
    part = pa.Table.from_arrays(
        [
            pa.DictionaryArray.from_arrays(
                pa.array(np.zeros(1 << 20, np.int8), column.type.index_type), column.chunk(0).dictionary
            )
            if pa.types.is_dictionary(column.type)
            else pa.array(np.full(1 << 20, 7), column.type)
            for column in table.columns
        ],
        schema=EVENTS,
    )
    # One row group of 2^20 rows, that the footer names over and over.
    write(path, part, about)
    small = path.read_bytes()
    footer = pq.read_metadata(path)
    while footer.num_rows < rows:
        footer.append_row_groups(footer)
    counts = about["counts"]
    counts["produced"] = counts["recorded"] = footer.num_rows
    with pq.ParquetWriter(pa.BufferOutputStream(), EVENTS) as writer:
        writer.add_key_value_metadata({METADATA_KEY: json.dumps(about).encode()})
    named = writer.writer.metadata
    named.append_row_groups(footer)
    sink = pa.BufferOutputStream()
    named.write_metadata_file(sink)
    size = int.from_bytes(small[-8:-4], "little")
    path.write_bytes(small[: -8 - size] + sink.getvalue().to_pybytes()[4:])
    assert path.stat().st_size < 16_000_000
    with Worker() as worker:
        refuses(worker, path, "names some rows twice")
        (reply,) = worker.ask({"commands": [["analyze", "latency", str(path)]]})
        assert reply["peak"] < 1 << 30


def test_many_functions(worker: Worker, tmp_path: Path) -> None:
    recording = sample()
    about = recording.about()
    about["functions"] += [function(cookie, f"f{cookie}") for cookie in range(10, 250_000)]
    path = write(tmp_path / "t.parquet", recording.events(), about)
    (reply,) = worker.ask({"commands": [["analyze", "latency", str(path), "--format", "json"]]})
    assert complaint(reply) is None
    assert [row["function"] for row in json.loads(reply["stdout"])] == ["f", "g", "h"]
    assert reply["seconds"] < 40


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=range(len(HOSTILE_NAMES)))
def test_names(worker: Worker, tmp_path: Path, name: str) -> None:
    """Names are shown so that no terminal obeys them; in JSON they are what they were."""
    recording = Recording()
    recording.entry("f", 1001, 4096, 1).entry("g", 1002, 4080).exit("g", 1003, 4080).exit("f", 1004, 4096)
    about = recording.about()
    for row in about["functions"]:
        row["symbol"] = row["demangled"] = row["module"] = name
    about["command"] = about["command_line"] = about["notices"] = [name]
    about["host"] = about["kernel"] = about["attach"] = about["end_reason"] = name
    for row in about["threads"]:
        row["name"] = name
    path = write(tmp_path / "t.parquet", recording.events(), about)
    replies = serves(worker, path)
    for reply in replies[:-1]:
        if reply["stdout"].startswith(("[", "{")):
            lines = reply["stdout"].splitlines() if reply["stdout"].startswith('{"') else [reply["stdout"]]
            for line in lines:
                json.loads(line)
    latency = json.loads(replies[5]["stdout"])
    assert latency[0]["function"] == name.encode("utf-8", "backslashreplace").decode()


@pytest.mark.parametrize("raw", ['"\\ud800"', '"\\udc1b[31m"', '"\\u0000"'])
def test_escapes_that_are_no_characters(worker: Worker, tmp_path: Path, raw: str) -> None:
    recording = sample()
    about = json.dumps(recording.about()).replace('"testhost"', raw)
    about = about.replace('"demangled": "f"', f'"demangled": {raw}')
    serves(worker, write(tmp_path / "t.parquet", recording.events(), about.encode()))


def test_unknown_functions(worker: Worker, tmp_path: Path) -> None:
    recording = sample()
    table = recording.events()
    place = EVENTS.get_field_index("cookie")
    other = pa.array([99] * table.num_rows, pa.uint64())
    table = table.set_column(place, EVENTS.field(place), other)
    path = write(tmp_path / "t.parquet", table, recording.about())
    refuses(worker, path, "cookie 99")


def test_false_seals_take_little_time(worker: Worker, tmp_path: Path) -> None:
    """Marks of commits by the hundred thousand, none of them real."""
    path = tmp_path / "t.parquet.partial"
    path.write_bytes(b"FSNPSEAL" * 100_000)
    refuses(worker, path, "committed")


def test_a_footer_without_its_checksums(worker: Worker, tmp_path: Path) -> None:
    """Seals that are gone, or a checksum that is gone, are damage like any other."""
    path = commit(tmp_path / "t.parquet", sample(), finish=True)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"funcsnoop.crc32", b"funcsnoop.crc33"))
    refuses(worker, path, "checksum of its metadata is gone")
    path.write_bytes(whole.replace(b"FSNPSEAL", b"FSNPSEAM"))
    refuses(worker, path, "checksums of its rows are gone")
    # In the footer, that is: commits have spaces there.
    assert b'"host":"testhost"' in whole
    path.write_bytes(whole.replace(b'"host":"testhost"', b'"host":"tesshost"'))
    refuses(worker, path, "does not have the checksum")
    path.write_bytes(whole)
    serves(worker, path)
