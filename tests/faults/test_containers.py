"""Targets with a root, mounts and process ids of their own, as containers have them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import funcsnoop

FUNCSNOOP = Path(sys.executable).with_name("funcsnoop")

#: Start /opt/app in the directory $1; its mounts go with it. $2 enters it.
CONTAINER = """
set -e
mount -t tmpfs none "$1"
cd "$1"
mkdir -p opt proc old tmp
cp "$3"/app "$3"/libshared.so "$(command -v umount)" opt
for file in $(ldd opt/app opt/umount | grep -o '[[:space:]]/[^ ]*' | grep -v opt/); do
    mkdir -p ".$(dirname "$file")"
    cp -L "$file" ".$file"
done
mount -t proc proc proc
case "$2" in
pivot_root) pivot_root . old; /opt/umount -l old; exec /opt/app 97 ;;
chroot) exec chroot . /opt/app 97 ;;
esac
"""


@pytest.fixture
def files(build, tmp_path):
    """A directory with uses_shared as `app`, and its library."""
    place = tmp_path / "files"
    place.mkdir()
    library = build("libshared.c", "-O1", "-shared", "-fPIC", name="libshared.so")
    user = build("uses_shared.c", "-O1", f"-L{library.parent}", "-lshared", "-Wl,-rpath,$ORIGIN")
    shutil.copy(library, place / "libshared.so")
    shutil.copy(user, place / "app")
    return place


@pytest.fixture(params=["pivot_root", "chroot"])
def container(request, files, tmp_path):
    """A container whose first process waits for a line: (Popen of what started it, that process's id)."""
    root = tmp_path / "root"
    root.mkdir()
    enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    outer = subprocess.Popen(
        [*enter, "sh", "-c", CONTAINER, "sh", root, request.param, files],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert outer.stdout.readline() == "ready\n"
    yield outer, int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text())
    if outer.poll() is None:
        outer.kill()
    outer.communicate()
    assert not os.path.ismount(root)


def recorder(*arguments, env=None):
    """A recorder in the background, once its probes are in."""
    process = subprocess.Popen(
        [FUNCSNOOP, "record", *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | (env or {}),
    )
    for line in process.stderr:
        if "recording, Ctrl-C ends it" in line:
            return process
    pytest.fail(f"it ended: {process.wait()}")


@pytest.mark.parametrize("spec", ["libshared:shared_add", "/opt/libshared.so:shared_add"])
def test_process_of_a_container_recorded_from_the_host(container, tmp_path, spec):
    outer, pid = container
    output = tmp_path / "t.parquet"
    # Library and libc are copies that only the container has; a host process has its own.
    recording = recorder("-o", output, "-p", pid, "-f", spec, "-f", "libc:getchar", "-f", "libc:puts")
    subprocess.run(["sh", "-c", "echo hello"], check=True, capture_output=True)
    outer.communicate("\n", timeout=60)
    recording.communicate(timeout=60)
    assert recording.returncode == 0
    trace = funcsnoop.open(output)
    events = trace.events.collect()
    assert events.filter(pl.col("name").cast(str) == "shared_add").height == 2 * 97
    assert events["tgid"].unique().to_list() == [pid]
    (process,) = trace.metadata["processes"]
    assert (process["tgid"], process["inner_tgid"], process["root_tgid"]) == (pid, 1, None)
    assert process["command"] == ["/opt/app", "97"]
    assert trace.processes.collect()["inner_tgid"].to_list() == [1]
    modules = {function["module"] for function in trace.metadata["functions"]}
    assert "/opt/libshared.so" in modules
    assert all(module.startswith(("/opt", "/lib", "/usr")) for module in modules)


def test_executable_of_a_container_by_default(container, run):
    _, pid = container
    done = run("record", "--dry-run", "-p", str(pid), "-f", "main")
    assert done.status == 0, done.stderr
    assert "/opt/app" in done.stdout


def test_library_that_the_container_does_not_have(container, run):
    """The host's is not taken for it."""
    _, pid = container
    done = run("record", "-p", str(pid), "-f", "libsqlite3:sqlite3_open")
    assert done.status == 1
    assert len(done.stderr.splitlines()) == 2
    assert "libsqlite3" in done.stderr


def test_container_that_a_command_makes(build, record):
    """Its processes are children that are followed; ids are shown as outside and inside."""
    ticks = build("ticks.c", "-O1")
    command = ["unshare", "--pid", "--fork", "--mount-proc", ticks, "997", "1000", "0"]
    trace = record(["--follow", "-f", f"{ticks}:tick"], command)
    calls = trace.calls().collect()
    assert calls.height == 997
    (tgid,) = calls["tgid"].unique()
    processes = {process["tgid"]: process for process in trace.metadata["processes"]}
    assert processes[tgid]["inner_tgid"] == 1
    (first,) = [process for process in processes.values() if process["parent_tgid"] is None]
    assert (first["inner_tgid"], first["tgid"]) == (None, processes[tgid]["parent_tgid"])


def test_nested_container_is_refused(files, run, tmp_path):
    """From a namespace that is not the root one, the kernel gives no ids of those below it."""
    script = f"""
        sleep 30 | unshare --pid --fork --kill-child {files}/app 97 > out &
        outer=$!
        until grep -q ready out; do sleep 0.05; done
        {FUNCSNOOP} record -p $(cat /proc/$outer/task/$outer/children) -f libshared:shared_add
    """
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", script],
        capture_output=True,
        text=True,
        stdin=subprocess.PIPE,
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert "is in a pid namespace below this one" in first
    assert "from the host" in second
    assert not list(tmp_path.glob("*.parquet*"))


def test_recorder_in_the_container_of_its_target(files, tmp_path):
    """Both see the ids of the inside; those of the host are in the metadata."""
    script = f"""
        mkfifo line
        {files}/app 97 < line > out & app=$!
        exec 9> line
        until grep -q ready out; do sleep 0.05; done
        {FUNCSNOOP} record -o t.parquet -p $app -f libshared:shared_add 2> said & recorder=$!
        until grep -q Ctrl-C said; do sleep 0.05; done
        echo >&9
        wait $recorder
    """
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    trace = funcsnoop.open(tmp_path / "t.parquet")
    (process,) = trace.metadata["processes"]
    assert process["inner_tgid"] is None
    assert process["root_tgid"] > process["tgid"]
    assert trace.events.collect()["tgid"].to_list() == [process["tgid"]] * 2 * 97
