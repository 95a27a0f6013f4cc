"""Root's power reaches no further than it must: into no file, no command, and not past the attach."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl
import pytest

import funcsnoop

FUNCSNOOP = Path(sys.executable).with_name("funcsnoop")
NOBODY = 65534
#: What sudo sets for the programs that it runs.
SUDO = {
    "SUDO_UID": str(NOBODY),
    "SUDO_GID": str(NOBODY),
    "SUDO_USER": "nobody",
    "SUDO_COMMAND": "funcsnoop",
    "USER": "root",
    "LOGNAME": "root",
    "HOME": "/root",
    "SHELL": "/bin/bash",
}
DOAS = {"DOAS_USER": "nobody", "USER": "root", "LOGNAME": "root", "HOME": "/root", "SHELL": "/bin/bash"}
PKEXEC = {"PKEXEC_UID": str(NOBODY), "USER": "root", "LOGNAME": "root", "HOME": "/root", "SHELL": "/bin/bash"}
tools = pytest.mark.parametrize("tool", [SUDO, DOAS, PKEXEC], ids=["sudo", "doas", "pkexec"])
CAPABILITIES = {"KILL": 5, "SYS_PTRACE": 19, "SYS_ADMIN": 21}


@pytest.fixture(scope="module")
def public():
    """A directory of root that anyone may read; pytest's own are private."""
    with tempfile.TemporaryDirectory(prefix="funcsnoop-test-") as name:
        place = Path(name)
        place.chmod(0o755)
        yield place


@pytest.fixture
def home(public, monkeypatch):
    """The current directory; it belongs to nobody."""
    place = Path(tempfile.mkdtemp(prefix="home", dir=public))
    os.chown(place, NOBODY, NOBODY)
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def roots(public):
    """A directory of root with files in it that nobody may read and not write."""
    place = Path(tempfile.mkdtemp(prefix="roots", dir=public))
    place.chmod(0o755)
    for name in ("trace.parquet", "precious"):
        (place / name).write_text("precious")
    yield place
    assert sorted(file.name for file in place.iterdir()) == ["precious", "trace.parquet"]
    for file in place.iterdir():
        assert file.read_text() == "precious"
        assert file.stat().st_uid == 0


@pytest.fixture
def program(build, public):
    """uses_shared, which waits for a line, and its library, where anyone may read them."""
    library = build("libshared.c", "-O1", "-shared", "-fPIC", name="libshared.so")
    user = build("uses_shared.c", "-O1", f"-L{library.parent}", "-lshared", "-Wl,-rpath,$ORIGIN")
    for file in (library, user):
        shutil.copy(file, public)
    return public / user.name


def sudo(*arguments, **options):
    """The recorder as sudo would run it for nobody."""
    return subprocess.run(
        [FUNCSNOOP, "record", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        **({"env": os.environ | SUDO} | options),
    )


def begin(arguments, env=None, command=()):
    """A recorder of a program that waits for a line on stdin, once its probes are in."""
    process = subprocess.Popen(
        [*command, FUNCSNOOP, "record", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | (env or {}),
    )
    if process.stdout.readline() != "ready\n":
        pytest.fail(process.communicate()[1])
    return process


def capabilities(pid):
    """The effective and permitted capabilities of all threads of a process."""
    masks: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        found = re.findall(r"^Cap(?:Prm|Eff):\t(\w+)$", (task / "status").read_text(), re.MULTILINE)
        masks |= {int(mask, 16) for mask in found}
    return masks


def bits(*names):
    return sum(1 << CAPABILITIES[name] for name in names)


@tools
def test_output_belongs_to_who_called_sudo(program, home, tool):
    recorder = begin(["-f", "libshared:shared_add", "--", program, "97"], tool)
    assert (home / "trace.parquet.partial").stat().st_uid == NOBODY
    recorder.communicate("\n", timeout=60)
    assert recorder.returncode == 0
    (file,) = home.iterdir()
    assert file.name == "trace.parquet"
    assert (file.stat().st_uid, file.stat().st_gid) == (NOBODY, NOBODY)
    assert len(pl.read_parquet(file)) == 2 * 97


def test_planted_link_is_not_followed(program, home, roots):
    os.symlink(roots / "precious", home / "trace.parquet.partial")
    done = sudo("--force", "-f", "libc:puts", "--", "/bin/true")
    assert done.returncode == 1
    assert "trace.parquet.partial exists" in done.stderr


def test_planted_link_is_replaced(program, home, roots):
    """What has the name of the finished file is only looked at in its own directory."""
    os.symlink(roots / "precious", home / "trace.parquet")
    assert sudo("--force", "-f", "libc:puts", "--", "/bin/true").returncode == 0
    assert not (home / "trace.parquet").is_symlink()


def test_planted_directory_link_is_not_followed_with_roots_power(program, home, roots):
    os.symlink(roots, home / "out")
    done = sudo("--force", "-o", "out/trace.parquet", "-f", "libc:puts", "--", "/bin/true")
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first.endswith("out/trace.parquet cannot be written: Permission denied")
    assert "sudo" in second


def test_directory_that_nobody_may_search(program, home, roots):
    roots.chmod(0o700)
    done = sudo("-o", roots / "new.parquet", "-f", "libc:puts", "--", "/bin/true")
    assert done.returncode == 1
    assert "cannot be written: Permission denied" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_directory_becomes_a_link_during_the_recording(program, home, roots):
    (home / "out").mkdir()
    os.chown(home / "out", NOBODY, NOBODY)
    options = ["--force", "-o", "out/trace.parquet", "-f", "libshared:shared_add"]
    recorder = begin([*options, "--", program, "97"], SUDO)
    (home / "out").rename(home / "before")
    os.symlink(roots, home / "out")
    _, errors = recorder.communicate("\n", timeout=60)
    assert recorder.returncode == 1
    saved = Path(re.search(r"whole, in (\S+):", errors)[1])
    assert saved.stat().st_uid == NOBODY
    assert len(pl.read_parquet(saved)) == 2 * 97
    saved.unlink()


@tools
def test_command_runs_as_who_called_sudo(program, home, tool):
    script = "id -u; id -g; id -G; grep -E 'CapPrm|CapEff' /proc/self/status; env"
    done = sudo("-q", "-f", "libc:puts", "--", "/bin/sh", "-c", script, env=os.environ | tool)
    lines = done.stdout.splitlines()
    assert lines[:3] == [str(NOBODY)] * 3
    assert [line.split()[1] for line in lines[3:5]] == ["0" * 16] * 2
    environment = dict(line.split("=", 1) for line in lines[5:] if "=" in line)
    assert {name: environment.get(name) for name in ("USER", "LOGNAME", "HOME", "SHELL")} == {
        "USER": "nobody",
        "LOGNAME": "nobody",
        "HOME": "/nonexistent",
        "SHELL": "/usr/sbin/nologin",
    }
    assert not [name for name in environment if name.startswith(("SUDO_", "DOAS_", "PKEXEC_"))]


#: Commands that write a file, given one with a trace.
WRITERS = {
    "recover": ("recover", "{trace}.partial", "-o", "{output}"),
    "analyze": ("analyze", "calls", "{trace}", "--format", "csv", "-o", "{output}"),
    "report": ("report", "{trace}", "-o", "{output}"),
    "export": ("export", "{trace}", "--to", "folded", "-o", "{output}"),
}


@pytest.fixture(scope="module")
def recorded(build, public):
    """A trace that anyone may read; under another name, as a killed recorder would leave it."""
    trace = public / "recorded.parquet"
    words = ["-f", "step", "-o", trace, "--", build("sequence.c", "-O1"), "97", "0"]
    subprocess.run([FUNCSNOOP, "record", *words], input=b"\n", check=True, timeout=60)
    shutil.copy(trace, f"{trace}.partial")
    os.chmod(f"{trace}.partial", 0o666)
    return trace


def write(words, env, recorded, output):
    filled = [word.format(trace=recorded, output=output) for word in words]
    return subprocess.run(
        [FUNCSNOOP, *filled], capture_output=True, text=True, timeout=120, env=os.environ | env
    )


@tools
@pytest.mark.parametrize("command", WRITERS)
def test_files_of_other_commands_belong_to_who_called_sudo(home, recorded, command, tool):
    done = write(WRITERS[command], tool, recorded, home / "output")
    assert done.returncode == 0, done.stderr
    (file,) = home.iterdir()
    assert (file.stat().st_uid, file.stat().st_gid) == (NOBODY, NOBODY)


@pytest.mark.parametrize("command", WRITERS)
def test_other_commands_follow_no_link_with_roots_power(home, roots, recorded, command):
    (home / "link").symlink_to(roots)
    for name in ("new", "precious"):
        done = write([*WRITERS[command], "--force"], SUDO, recorded, home / "link" / name)
        assert done.returncode == 1
        assert "Permission denied" in done.stderr
        assert len(done.stderr.splitlines()) == 2
    # A link by the name of the output itself is replaced, as any file would be.
    (home / "output").symlink_to(roots / "precious")
    done = write([*WRITERS[command], "--force"], SUDO, recorded, home / "output")
    assert done.returncode == 0, done.stderr
    assert not (home / "output").is_symlink()


def test_recovery_in_place_is_not_roots(home, roots, recorded):
    partial = home / "t.parquet.partial"
    shutil.copy(f"{recorded}.partial", partial)
    os.chown(partial, NOBODY, NOBODY)
    assert write(["recover", str(partial)], SUDO, recorded, "").returncode == 0
    assert (home / "t.parquet").stat().st_uid == NOBODY
    shutil.copy(f"{recorded}.partial", partial)
    partial.chmod(0o600)
    done = write(["recover", str(partial), "--force"], SUDO, recorded, "")
    assert done.returncode == 1
    assert "Permission denied" in done.stderr
    assert "root shell" in done.stderr


def test_variables_that_were_set_on_purpose_stay(program, home):
    done = sudo("-q", "-f", "libc:puts", "--", "/usr/bin/env", env=os.environ | SUDO | {"HOME": "/srv"})
    assert "HOME=/srv" in done.stdout.splitlines()


def test_command_that_only_root_may_execute(program, home, public):
    tool = public / "tool"
    tool.write_text("#!/bin/sh\nid -u\n")
    tool.chmod(0o700)
    done = sudo("-f", "libc:puts", "--", tool)
    assert done.returncode == 1
    assert "not executable" in done.stderr
    done = sudo("-q", "--as-root", "-f", "libc:puts", "--", tool)
    assert (done.stdout, done.returncode) == ("0\n", 0)
    assert (home / "trace.parquet").stat().st_uid == NOBODY


def test_signal_reaches_a_command_that_runs_as_root(program, home):
    recorder = begin(["--as-root", "-f", "libshared:shared_add", "--", program, "97"], SUDO)
    recorder.terminate()
    # Its stdin stays open: at the end of it the program would end by itself.
    recorder.wait(timeout=60)
    recorder.communicate()
    assert recorder.returncode == 128 + 15
    assert funcsnoop.open(home / "trace.parquet").metadata["exit_status"] == 128 + 15


@pytest.mark.parametrize(
    ("options", "env", "kept"),
    [
        ([], SUDO, bits()),
        (["--attach", "multi", "--exit", "ret"], SUDO, bits()),
        (["--attach", "perf"], SUDO, bits("SYS_ADMIN")),
        (["--as-root"], SUDO, bits("KILL", "SYS_PTRACE")),
        ([], {}, bits("KILL", "SYS_PTRACE")),
    ],
)
def test_capabilities_of_a_running_recorder(program, home, options, env, kept):
    """All threads, those of libraries too, once the probes are in."""
    if not env:
        os.chown(home, 0, 0)  # in another's directory root would keep CAP_DAC_OVERRIDE
    recorder = begin(["-f", "libshared:shared_add", "--no-follow", *options, "--", program, "97"], env)
    found = capabilities(recorder.pid)
    recorder.communicate("\n", timeout=60)
    assert recorder.returncode == 0
    assert found <= {0, kept}
    assert kept in found
    assert len(pl.read_parquet(home / "trace.parquet")) == 2 * 97


@pytest.mark.parametrize("attach", ["session", "multi", "perf"])
def test_links_are_made_again_without_privileges(build, public, home, attach):
    """After an exec by a thread that is not the first."""
    program = shutil.copy(build("execs_from_thread.c", "-O1", "-pthread"), public)
    options = ["--no-follow", "--attach", attach, "--exit", "none", "-f", "libc:usleep"]
    done = sudo(*options, "--", program, "start")
    assert done.returncode == 0, done.stderr
    trace = funcsnoop.open(home / "trace.parquet")
    assert any("not its first" in notice for notice in trace.metadata["notices"])
    assert trace.metadata["counts"]["recorded"] > 20


def start(program, *before, n="97"):
    process = subprocess.Popen(
        [*before, program, n], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def as_nobody(*capabilities):
    """A command that runs another as nobody with these capabilities."""
    caps = ",".join(f"+{capability}" for capability in capabilities) or "-all"
    ids = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    return ["setpriv", *ids, f"--inh-caps={caps}", f"--ambient-caps={caps}"]


def wait_until_recording(recorder):
    for line in recorder.stderr:
        if "recording, Ctrl-C ends it" in line:
            return
    pytest.fail(f"it ended: {recorder.wait()}")


@pytest.mark.parametrize(("whose", "kept"), [("nobody", bits()), ("root", bits("SYS_PTRACE"))])
def test_capabilities_while_a_process_is_recorded(program, home, whose, kept):
    """To see what another user's process executes takes CAP_SYS_PTRACE; one's own, nothing."""
    target = start(program, *(as_nobody() if whose == "nobody" else ()))
    recorder = subprocess.Popen(
        [FUNCSNOOP, "record", "-p", str(target.pid), "-f", "libshared:shared_add"],
        env=os.environ | SUDO,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until_recording(recorder)
    found = capabilities(recorder.pid)
    target.communicate("\n", timeout=60)
    recorder.communicate(timeout=60)
    assert found <= {0, kept}
    assert kept in found
    assert len(pl.read_parquet(home / "trace.parquet")) == 2 * 97


@pytest.mark.parametrize("attach", ["session", "multi"])
def test_two_capabilities_are_enough(program, home, attach):
    """CAP_BPF and CAP_PERFMON, without root: a command, and an own process."""
    two = as_nobody("bpf", "perfmon")
    options = ["--attach", attach, "-f", "libshared:shared_add"]
    recorder = begin(["-o", "command.parquet", *options, "--", program, "97"], command=two)
    assert capabilities(recorder.pid) == {0}
    recorder.communicate("\n", timeout=60)
    assert recorder.returncode == 0
    assert len(pl.read_parquet(home / "command.parquet")) == 2 * 97
    target = start(program, *as_nobody())
    recorder = subprocess.Popen(
        [*two, FUNCSNOOP, "record", "-o", "process.parquet", "-p", str(target.pid), *options],
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until_recording(recorder)
    target.communicate("\n", timeout=60)
    recorder.communicate(timeout=60)
    assert recorder.returncode == 0
    assert len(pl.read_parquet(home / "process.parquet")) == 2 * 97
    (process,) = funcsnoop.open(home / "process.parquet").metadata["processes"]
    assert (process["tgid"], process["executable"]) == (target.pid, str(program))


@pytest.mark.parametrize(
    ("held", "options", "missing"),
    [
        ((), [], "CAP_BPF and CAP_PERFMON"),
        (("bpf",), [], "CAP_PERFMON"),
        (("perfmon",), [], "CAP_BPF"),
        (("bpf", "perfmon"), ["--attach", "perf"], "CAP_SYS_ADMIN"),
    ],
)
def test_what_is_missing_is_named(program, home, held, options, missing):
    done = subprocess.run(
        [*as_nobody(*held), FUNCSNOOP, "record", *options, "-f", "libc:puts", "--", "/bin/true"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert missing in first + second
    assert (
        not {"CAP_BPF", "CAP_PERFMON"}
        & set(re.findall("CAP_[A-Z]+", first))
        & {f"CAP_{name.upper()}" for name in held}
    )
    assert list(home.iterdir()) == []


def test_process_of_another_user_names_the_capability(program, home):
    target = start(program)
    done = subprocess.run(
        [*as_nobody("bpf", "perfmon"), FUNCSNOOP, "record", "-p", str(target.pid)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    target.communicate("\n", timeout=60)
    assert done.returncode == 1
    assert "CAP_SYS_PTRACE" in done.stderr


@pytest.mark.parametrize(
    ("held", "state", "missing"),
    [
        (("bpf", "perfmon"), "limit", ["CAP_SYS_PTRACE", "CAP_SYS_ADMIN"]),
        (("bpf",), "FAIL", ["CAP_PERFMON"]),
    ],
)
def test_doctor_agrees(home, held, state, missing):
    done = subprocess.run(
        [*as_nobody(*held), FUNCSNOOP, "doctor"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == (state == "FAIL")
    (line,) = [line for line in done.stdout.splitlines() if " privileges " in line]
    assert line.startswith(state)
    for capability in missing:
        assert capability in line
