"""Who is recorded, and that nobody else is touched."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import funcsnoop

FUNCSNOOP = Path(sys.executable).with_name("funcsnoop")


@pytest.fixture
def shared(build):
    """build's programs linked against a library of ours: (library, user, thrower)."""
    library = build("libshared.c", "-O1", "-shared", "-fPIC", name="libshared.so")
    against = (f"-L{library.parent}", "-lshared", f"-Wl,-rpath,{library.parent}")
    return (
        library,
        build("uses_shared.c", "-O1", *against),
        build("throws_through_shared.cc", "-O1", *against),
    )


def begin(process):
    """Wait until the program stands at its getchar."""
    assert process.stdout.readline() == "ready\n"


def go(process):
    """Let it run; what it printed and its exit status."""
    out, _ = process.communicate("\n", timeout=60)
    return out, process.returncode


def recorder(start, arguments):
    """A recorder in the background, once its probes are in."""
    process = start([FUNCSNOOP, "record", *map(str, arguments)])
    for line in process.stderr:
        if "recording, Ctrl-C ends it" in line:
            return process
    pytest.fail(f"it ended: {process.wait()}")


@pytest.mark.parametrize("attach", ["session", "multi", "perf"])
def test_running_processes_and_no_other(shared, start, tmp_path, attach):
    library, user, _ = shared
    one, two, other = (start([user, n]) for n in ("23", "97", "10007"))
    for process in (one, two, other):
        begin(process)
    output = tmp_path / "t.parquet"
    recording = recorder(
        start, ["-o", output, "--attach", attach, "-p", one.pid, "-p", two.pid, "-f", f"{library}:shared_add"]
    )
    assert go(other) == (f"{10006 * 10007 // 2} 0\n", 0)
    assert go(one) == (f"{22 * 23 // 2} 0\n", 0)
    assert go(two) == (f"{96 * 97 // 2} 0\n", 0)
    _, errors = recording.communicate(timeout=60)
    assert recording.returncode == 0, errors
    events = pl.read_parquet(output)
    assert dict(events.group_by("tgid").len().iter_rows()) == {one.pid: 46, two.pid: 194}
    assert events.group_by("type").len()["len"].to_list() == [120, 120]


def test_a_library_by_name_is_the_one_that_the_process_maps(shared, start, tmp_path):
    """Also when the file was replaced on disk after the process started."""
    library, user, _ = shared
    process = start([user, "23"])
    begin(process)
    copy = library.read_bytes()
    library.unlink()
    library.write_bytes(copy)
    output = tmp_path / "t.parquet"
    recording = recorder(start, ["-o", output, "-p", process.pid, "-f", "libshared:shared_add"])
    go(process)
    recording.communicate(timeout=60)
    assert len(pl.read_parquet(output)) == 46


@pytest.mark.parametrize("attach", ["session", "multi", "perf"])
def test_bystander_that_throws_is_unharmed(shared, start, tmp_path, attach):
    """It maps the same library and unwinds through the traced function all through the recording."""
    library, user, thrower = shared
    target, bystander = start([user, "10007"]), start([thrower])
    begin(target)
    begin(bystander)
    output = tmp_path / "t.parquet"
    recording = recorder(
        start, ["-o", output, "--attach", attach, "-p", target.pid, "-f", f"{library}:shared_*"]
    )
    for _ in range(23):
        bystander.stdin.write("\n")
        bystander.stdin.flush()
    go(target)
    recording.communicate(timeout=60)
    out, _ = bystander.communicate(timeout=60)
    assert (out, bystander.returncode) == (f"{23 * 500} {23 * sum(i + 1 for i in range(0, 1000, 2))}\n", 0)
    events = pl.read_parquet(output)
    assert events["tgid"].unique().to_list() == [target.pid]
    assert events["name"].cast(str).unique().to_list() == ["shared_add"]
    assert len(events) == 2 * 10007


def test_forked_child_is_not_recorded_and_runs_on(shared, record, tmp_path, run):
    library, user, _ = shared
    with open(tmp_path / "line", "w+") as line:
        line.write("\n")
    script = tmp_path / "go.sh"
    script.write_text(f"#!/bin/sh\nexec {user} 97 fork < {tmp_path}/line\n")
    script.chmod(0o755)
    trace = record(["-f", f"{library}:shared_add", "--exit", "return"], [script])
    assert trace.metadata["counts"]["recorded"] == 2 * 97


def test_every_process(shared, start, tmp_path):
    library, user, thrower = shared
    one, bystander = start([user, "97"]), start([thrower])
    begin(one)
    begin(bystander)
    output = tmp_path / "t.parquet"
    recording = recorder(
        start, ["-o", output, "--all-processes", "--duration", "4s", "-f", f"{library}:shared_*"]
    )
    go(one)
    bystander.communicate("\n", timeout=60)
    _, errors = recording.communicate(timeout=60)
    assert recording.returncode == 0, errors
    assert (bystander.returncode, one.returncode) == (0, 0)
    rows = pl.read_parquet(output).group_by("tgid", pl.col("type").cast(str)).len().rows()
    # Every second call of the one that throws never returns.
    assert sorted(rows) == sorted(
        [
            (one.pid, "entry", 97),
            (one.pid, "exit", 97),
            (bystander.pid, "entry", 1000),
            (bystander.pid, "exit", 500),
        ]
    )
    calls = funcsnoop.open(output).calls().collect()
    statuses = calls.group_by("tgid", pl.col("status").cast(str)).len().rows()
    assert sorted(statuses) == sorted(
        [(one.pid, "complete", 97), (bystander.pid, "complete", 500), (bystander.pid, "unwound", 500)]
    )


def test_recorder_in_a_pid_namespace(build, tmp_path):
    """Ids are those inside; the metadata keeps those of the root namespace."""
    program = build("calls.c", "-O1", "-g", "-fno-optimize-sibling-calls", "-pthread")
    output = tmp_path / "t.parquet"
    done = subprocess.run(
        [
            "unshare",
            "--pid",
            "--fork",
            "--mount-proc",
            FUNCSNOOP,
            "record",
            "-o",
            output,
            "-f",
            "six",
            "--",
            program,
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3, done.stderr
    trace = funcsnoop.open(output)
    assert trace.metadata["counts"]["recorded"] == 2 * 97
    (process,) = trace.metadata["processes"]
    assert process["tgid"] < 100
    assert process["root_tgid"] > process["tgid"]
    assert trace.events.collect()["tgid"].unique().to_list() == [process["tgid"]]
    assert process["executable"] == str(program)


def test_whole_run_from_the_constructors_on(build, record):
    trace = record([], [build("calls.c", "-O1", "-g", "-fno-optimize-sibling-calls", "-pthread")], status=3)
    first = trace.events.head(3).collect()["name"].cast(str).to_list()
    assert first == ["before_main", "before_main", "main"]


def test_nothing_of_the_recorder_is_seen_in_a_launched_command(build, record):
    """libc is the recorder's too, and the command is its child: only what the program does may show."""
    trace = record(
        ["-f", "libc:execve", "-f", "libc:read", "-f", "libc:puts", "-f", "libc:getchar"], ["/bin/true"]
    )
    assert trace.metadata["counts"]["recorded"] == 0


@pytest.mark.attach("session")
def test_visible_to_bpftool(shared, start, wait_for, tmp_path):
    library, user, _ = shared
    process = start([user, "23"])
    begin(process)
    recording = recorder(
        start, ["-o", tmp_path / "t.parquet", "-p", process.pid, "-f", f"{library}:shared_*"]
    )

    def bpftool(*arguments):
        return subprocess.run(["bpftool", *arguments], capture_output=True, text=True, check=True).stdout

    assert "name generic_session" in bpftool("prog")
    maps = bpftool("map")
    for name in ("snoop_proc", "func_names", "events"):
        assert f"name {name} " in maps
    names = bpftool("map", "dump", "name", "func_names")
    assert "shared_add" in names or b"shared_add".hex(" ") in names
    go(process)
    recording.communicate(timeout=60)
    wait_for(lambda: "generic_session" not in bpftool("prog"))
