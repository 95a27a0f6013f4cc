"""What a killed recorder leaves behind, torn, damaged or whole: what comes back is what was committed."""

from __future__ import annotations

import fcntl
import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import funcsnoop
from funcsnoop.analyze.chain import Commit, walk
from funcsnoop.analyze.partial import Partial, open_partial
from funcsnoop.errors import TraceError
from funcsnoop.record.writer import TraceWriter
from funcsnoop.schemas.chain import SEAL, SEAL_MAGIC

from .partials import about, partial, recording, rows

SIZES = [1000, 3, 3000, 600]
TOTAL = sum(SIZES)
NOISE = random.Random(1).randbytes(100)


@pytest.fixture
def left(tmp_path: Path) -> Path:
    return partial(tmp_path / "t.parquet", SIZES)


def commits_of(path: Path) -> list[Commit]:
    with path.open("rb") as file:
        return walk(file.fileno())


def expected(sizes: list[int], kept: Callable[[int], bool] = lambda i: True) -> pa.Table:
    tables = [rows(0, 0)]
    first = 0
    for i, size in enumerate(sizes):
        if kept(i):
            tables.append(rows(first, size))
        first += size
    return pa.concat_tables(tables)


def read(path: Path) -> pa.Table:
    found = open_partial(path)
    with pq.ParquetFile(path, metadata=found.row_groups, page_checksum_verification=True) as file:
        return file.read()


def balanced(metadata: Any) -> bool:
    counts = metadata["counts"]
    return bool(
        counts["produced"] == counts["recorded"] + sum(counts["lost"].values()) + counts["after_limit"]
    )


def two_lines(text: str) -> bool:
    first, second = text.splitlines()
    return first.startswith("funcsnoop: ") and second.startswith("  ")


def test_it_becomes_the_trace(left: Path, tmp_path: Path, run: Any) -> None:
    done = run("recover", left)
    assert (done.status, done.stdout) == (0, "")
    assert f"{TOTAL:,} events recovered -> {tmp_path / 't.parquet'}" in done.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "t.parquet"]
    assert pq.read_table(tmp_path / "t.parquet", page_checksum_verification=True).equals(expected(SIZES))
    metadata = funcsnoop.open(tmp_path / "t.parquet").metadata
    assert metadata["end_reason"] == "recovered"
    assert metadata["functions"] == about(0)["functions"]
    assert metadata["counts"]["recorded"] == TOTAL
    assert "not finished" in metadata["notices"][-1]
    assert pl.read_parquet(tmp_path / "t.parquet")["arg0"].sum() == sum(range(0, TOTAL, 2))


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    writer = TraceWriter(str(tmp_path / "t.parquet"))
    writer.begin(lambda done: about(done, lost=20, unsaved=7))
    writer.write(rows(0, 1000))
    writer.close()
    found = open_partial(writer.partial)
    assert found.metadata["counts"] == {
        "produced": 1027,
        "recorded": 1000,
        "lost": {"buffer": 20, "unsaved": 7},
        "filtered": {},
        "after_limit": 0,
    }
    # 20 that were lost at times which nobody has noted, and 7 or more at the end.
    spans = [(w["pid"], w["start_ns"], w["events"]) for w in found.metadata["loss_windows"]]
    assert spans == [(None, 0, 20), (None, 0, 7)]
    assert "at least 7" in found.metadata["notices"][-1]


def test_a_copy_leaves_the_partial_alone(left: Path, tmp_path: Path, run: Any) -> None:
    left.chmod(0o640)
    os.chown(left, 12345, 12345) if os.geteuid() == 0 else None
    before = left.read_bytes()
    place = tmp_path / "elsewhere"
    place.mkdir()
    done = run("recover", left, "-o", place / "saved.parquet")
    assert done.status == 0, done.stderr
    assert left.read_bytes() == before
    assert list(place.iterdir()) == [place / "saved.parquet"]
    assert pq.read_table(place / "saved.parquet").equals(expected(SIZES))
    like, found = left.stat(), (place / "saved.parquet").stat()
    assert (found.st_uid, found.st_gid, found.st_mode) == (like.st_uid, like.st_gid, like.st_mode)


def test_in_place_keeps_owner_and_permissions(left: Path, tmp_path: Path, run: Any) -> None:
    left.chmod(0o640)
    before = left.stat()
    assert run("recover", left).status == 0
    after = (tmp_path / "t.parquet").stat()
    assert (after.st_ino, after.st_mode, after.st_uid) == (before.st_ino, before.st_mode, before.st_uid)


def test_an_existing_output_needs_force(left: Path, tmp_path: Path, run: Any) -> None:
    (tmp_path / "t.parquet").write_text("old")
    done = run("recover", left)
    assert done.status == 1
    assert two_lines(done.stderr)
    assert "--force" in done.stderr
    assert left.exists()
    assert run("recover", left, "--force").status == 0
    assert funcsnoop.open(tmp_path / "t.parquet").rows == TOTAL


def test_a_recording_that_goes_on_is_refused(tmp_path: Path, run: Any) -> None:
    with recording(tmp_path / "t.parquet", SIZES) as writer:
        before = writer.partial.read_bytes()
        done = run("recover", writer.partial)
        assert done.status == 1
        assert two_lines(done.stderr)
        assert "still being recorded" in done.stderr
        assert writer.partial.read_bytes() == before
    assert run("recover", writer.partial).status == 0


def test_the_recorder_had_ended_but_not_renamed(tmp_path: Path, run: Any) -> None:
    """Killed between its last commit and the rename: the trace says how it really ended."""
    with recording(tmp_path / "t.parquet", SIZES) as writer:
        (tmp_path / "t.parquet").mkdir()  # which makes the rename fail
        with pytest.raises(Exception, match=r"t\.parquet"):
            writer.finish(about(TOTAL, ended=True))
        (tmp_path / "t.parquet").rmdir()
    done = run("recover", writer.partial)
    assert done.status == 0
    assert "notice" not in done.stderr
    metadata = funcsnoop.open(tmp_path / "t.parquet").metadata
    assert metadata == about(TOTAL, ended=True)


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"PAR1", SEAL_MAGIC, SEAL_MAGIC * 1000, NOISE * 1000],
    ids=["empty", "byte", "magic", "seal", "seals", "noise"],
)
def test_a_file_that_holds_nothing(tmp_path: Path, run: Any, content: bytes) -> None:
    path = tmp_path / "t.parquet.partial"
    path.write_bytes(content)
    done = run("recover", path)
    assert done.status == 1
    assert two_lines(done.stderr)
    assert "nothing in" in done.stderr
    assert path.read_bytes() == content


def test_no_file_and_a_wrong_name(tmp_path: Path, run: Any) -> None:
    done = run("recover", "none.partial")
    assert done.status == 1
    assert two_lines(done.stderr)
    (tmp_path / "t.parquet").write_text("x")
    done = run("recover", "t.parquet")
    assert done.status == 2
    assert two_lines(done.stderr)
    (tmp_path / "d.partial").mkdir()
    done = run("recover", "d.partial")
    assert done.status == 1
    assert two_lines(done.stderr)


def test_cut_anywhere(left: Path, tmp_path: Path) -> None:
    """What was committed before the cut comes back, whole; nothing else."""
    whole, commits = left.read_bytes(), commits_of(left)
    torn = tmp_path / "torn.partial"
    ends = [commit.sealed_end for commit in commits]
    cuts = {*range(0, len(whole), 1000), *(end + d for end in ends for d in (-33, -32, -1, 0, 1))}
    for cut in sorted(cuts):
        torn.write_bytes(whole[:cut])
        sealed = sum(end <= cut for end in ends)
        if not sealed:
            with pytest.raises(TraceError, match="nothing in"):
                open_partial(torn)
            continue
        # The first commit holds no rows.
        assert read(torn).equals(expected(SIZES[: sealed - 1])), cut
        assert balanced(open_partial(torn).metadata)


@pytest.mark.parametrize(
    "junk",
    [b"\0" * 5000, b"PAR1" * 2000, SEAL_MAGIC * 700, NOISE * 700],
    ids=["zeros", "magic", "seals", "noise"],
)
def test_junk_at_the_end(left: Path, tmp_path: Path, run: Any, junk: bytes) -> None:
    with left.open("ab") as file:
        file.write(junk)
    assert run("recover", left).status == 0
    trace = tmp_path / "t.parquet"
    assert pq.read_table(trace).equals(expected(SIZES))
    assert funcsnoop.open(trace).rows == TOTAL


def test_a_seal_across_two_blocks_is_found(left: Path) -> None:
    """The search before a torn end goes block by block."""
    end = left.stat().st_size
    for length in ((1 << 20) - 32 - offset for offset in range(-12, 45)):
        os.truncate(left, end)
        os.truncate(left, end + length)
        assert commits_of(left)[-1].sealed_end == end, length


def test_flipped_bits(left: Path, tmp_path: Path) -> None:
    """A commit with a flipped bit is left out whole, and all others stay."""
    whole, commits = left.read_bytes(), commits_of(left)
    hurt = tmp_path / "hurt.partial"
    rng = random.Random(11)
    places = [rng.randrange(len(whole)) for _ in range(150)]
    for commit in commits:
        # Footers and seals, which Parquet's checksums do not cover.
        places += [rng.randrange(commit.end - 600, commit.end) for _ in range(10)]
        places += [rng.randrange(commit.end, commit.sealed_end) for _ in range(10)]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(8)
        hurt.write_bytes(damaged)
        victim = next(i for i, commit in enumerate(commits) if place < commit.sealed_end)
        assert read(hurt).equals(expected(SIZES, lambda i, victim=victim: i + 1 != victim)), place
        metadata = open_partial(hurt).metadata
        assert balanced(metadata)
        symbols = {f["cookie"]: f["symbol"] for f in metadata["functions"]}
        assert symbols.items() >= {(1, "f"), (2, "g")}
        if 0 < victim < len(commits) - 1:
            assert metadata["counts"]["lost"]["damaged"] == SIZES[victim - 1]


@pytest.mark.parametrize("options", [[], ["-o", "t.parquet"]], ids=["in place", "a copy"])
def test_a_damaged_start_is_no_start_of_another_file(
    options: list[str], left: Path, tmp_path: Path, run: Any
) -> None:
    """Readers look for the mark of Parquet there."""
    left.write_bytes(b"\0" * 100 + left.read_bytes()[100:])
    assert run("recover", left, *options).status == 0
    trace = funcsnoop.open(tmp_path / "t.parquet")
    assert trace.latency().collect()["calls"].sum() > 0
    assert pq.read_table(tmp_path / "t.parquet").equals(expected(SIZES))


def test_a_seal_that_is_elsewhere_hides_nothing(left: Path, tmp_path: Path, run: Any) -> None:
    """As where a block of the file was written at the place of another. There are commits between what the
    seal says of where its own begins, and itself.
    """
    whole, commits = left.read_bytes(), commits_of(left)
    hurt = tmp_path / "hurt.partial"
    last = commits[-1]
    for copied in commits:
        seal = whole[copied.end : copied.sealed_end]
        for place in (last.start, last.start + 1, last.end - 70, last.end):
            damaged = bytearray(whole)
            damaged[place : place + SEAL.size] = seal
            # Its own is gone.
            damaged[last.end + 20] ^= 1
            hurt.write_bytes(damaged)
            found = open_partial(hurt)
            assert read(hurt).equals(expected(SIZES[:-1]))
            # Only its own seal tells of the last commit, wherever it is.
            told = copied == last and place > last.start and place != last.end
            assert found.metadata["counts"]["lost"].get("damaged", 0) == (SIZES[-1] if told else 0)
            assert balanced(found.metadata)
            done = run("recover", hurt, "--force", "-o", "saved.parquet")
            assert done.status == 0, done.stderr
            # The seal is still there.
            trace = funcsnoop.open(tmp_path / "saved.parquet")
            assert trace.latency().collect()["calls"].sum() > 0
            assert trace.rows == sum(SIZES[:-1])


def test_seals_by_the_thousand_take_little_time(tmp_path: Path) -> None:
    """Each says of all before it that it is its commit, whose checksum would be wrong."""
    from funcsnoop.record.chain import seal

    path = tmp_path / "t.partial"
    path.write_bytes(b"".join(seal(0, 1, bytes([number % 251])) for number in range(50_000)))
    began = time.process_time()
    with pytest.raises(TraceError, match="nothing in"):
        open_partial(path)
    assert time.process_time() - began < 5


def test_several_damages(left: Path, run: Any, tmp_path: Path) -> None:
    commits = commits_of(left)
    damaged = bytearray(left.read_bytes())
    for victim in (0, 2):
        damaged[commits[victim].start + 100] ^= 1
    left.write_bytes(damaged)
    done = run("recover", left)
    assert done.status == 0
    assert "3 events are missing" in done.stderr
    assert "function table is damaged" in done.stderr
    trace = funcsnoop.open(tmp_path / "t.parquet")
    assert trace.rows == TOTAL - SIZES[1]
    assert trace.latency().collect()["function"].to_list() == ["f", "g"]


def test_every_analysis_reads_what_is_recovered(left: Path, tmp_path: Path, run: Any) -> None:
    assert run("analyze", "latency", left).status == 0
    assert "not finished" in run("analyze", "latency", left).stderr
    before = run("analyze", "calls", left, "--format", "csv").stdout
    run("recover", left)
    assert run("analyze", "calls", "t.parquet", "--format", "csv").stdout == before


def test_commits_of_another_program(tmp_path: Path) -> None:
    """Sealed, and yet none of ours: no traceback."""
    path = tmp_path / "t.partial"
    from funcsnoop.record.chain import Chain, seal

    for note in (b"", b"{}", b"[]", b'{"values": 1, "rows": 2}', b'{"values": {}, "rows": {"x": {"y": 1}}}'):
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        chain = Chain(descriptor)
        chain.commit(rows(0, 10), note)
        chain.close()
        os.close(descriptor)
        with pytest.raises(TraceError, match="none of funcsnoop's"):
            open_partial(path)
    for content in (b"x", b"PAR1", b"\0" * 1000, b"PAR1" + b"\xff\xff\xff\xffPAR1"):
        path.write_bytes(content + seal(0, 10, content))
        with pytest.raises(TraceError, match="none of funcsnoop's"):
            open_partial(path)


def test_rows_that_the_seal_does_not_know(tmp_path: Path) -> None:
    left = partial(tmp_path / "t.parquet", [10])
    from funcsnoop.record.chain import seal

    content = left.read_bytes()
    last = commits_of(left)[-1]
    left.write_bytes(content[: last.end] + seal(last.start, 11, content[last.start : last.end]))
    assert len(seal(0, 0, b"")) == SEAL.size
    with pytest.raises(TraceError, match="10 rows where 11 should be"):
        open_partial(left)


def test_two_at_once(left: Path) -> None:
    with left.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with left.open("rb") as file:
            assert Partial(file.fileno(), "t").rows == TOTAL
        assert json.dumps(open_partial(left).metadata["notices"][-1]).startswith('"still being recorded')
