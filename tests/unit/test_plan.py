from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from funcsnoop.bpf.features import Feature
from funcsnoop.errors import FuncsnoopError, PrivilegeError, TargetError, UsageError
from funcsnoop.record.ifunc import _siblings, resolve
from funcsnoop.record.plan import Plan, make_plan
from funcsnoop.record.processes import kernel_identity, mapped_elsewhere, parse_maps
from funcsnoop.record.target import Target

CODE = """
#include <string.h>
#include <unistd.h>
__attribute__((noinline)) int one(int x) { return x + 1; }
__attribute__((noinline)) int two(int x) { return one(x) * 2; }
__attribute__((noinline)) int three(int x) { return two(x) * 3; }
int main(int argc, char **argv) { if (argc > 1) pause(); return three(argc) == 0; }
"""
LIBRARY = "int twice(int x) { return 2 * x; } int thrice(int x) { return 3 * x; }"
START = {"deregister_tm_clones", "register_tm_clones", "__do_global_dtors_aux", "frame_dummy"}


@pytest.fixture
def program(build_text, tmp_path) -> Path:
    """A C program, /bin/program under the test's directory."""
    return Path(shutil.copy(build_text(CODE, "-O1"), tmp_path / "program"))


def command(*words: str | Path, **environment: str) -> Target:
    return Target.for_command([str(word) for word in words], {**os.environ, **environment})


def symbols(plan: Plan) -> set[str]:
    return {function.symbol for function in plan.functions}


@contextmanager
def running(*words: str | Path, **options: object) -> Iterator[int]:
    """A process that has reached its pause."""
    process = subprocess.Popen([str(word) for word in words], **options)  # type: ignore[call-overload]
    try:
        for _ in range(500):
            about = Path(f"/proc/{process.pid}")
            if "libc" in (about / "maps").read_text() and " S " in (about / "stat").read_text():
                break
            time.sleep(0.01)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def test_every_function_of_the_executable_without_a_spec(program):
    plan = make_plan(command(program), [], [])
    assert symbols(plan) - START == {"one", "two", "three", "main"}
    assert plan.executable == str(program)
    (module,) = plan.modules
    status = os.stat(program)
    assert (module.path, module.attach_path, module.pids) == (str(program), str(program), ())
    assert (module.version[:2], module.shared) == ((status.st_dev, status.st_ino), False)
    assert plan.skipped == plan.notices == ()


def test_cookies_count_through_the_plan_from_one(program):
    plan = make_plan(command(program), ["o*", "libc:str*", "t*", "libc:str*"], [])
    assert [f.cookie for f in plan.functions] == list(range(1, len(plan.functions) + 1))
    assert len(plan.modules) == 2
    for module in plan.modules:
        offsets = [f.offset for f in module.functions]
        assert offsets == sorted(set(offsets))


def test_exits_are_planned_for_plain_c(program):
    plan = make_plan(command(program), ["one"], [])
    (function,) = plan.functions
    assert (function.exit, function.exit_reason) == ("return", "nothing in the process unwinds")
    (function,) = make_plan(command(program), ["one"], [], exit_policy="none").functions
    assert (function.exit, function.exit_reason) == ("none", "asked for with --exit none")


def test_a_cpp_library_leaves_return_addresses_alone(build_text):
    path = build_text("int f() { throw 1; } int main() { try { f(); } catch (int) {} }", suffix=".cc")
    plan = make_plan(command(path), ["main"], [])
    (function,) = plan.functions
    assert function.exit == "ret"
    assert [site.kind for site in function.exit_sites] == ["ret"]
    (notice,) = plan.notices
    assert "libstdc++" in notice
    assert "--exit return" in notice
    risky = make_plan(command(path), ["main"], [], exit_policy="return")
    assert {f.exit for f in risky.functions} == {"return"}
    assert len(risky.notices) == 1


def test_a_traced_library_and_a_later_exec(build_text):
    path = build_text("#include <unistd.h>\nint main(int c, char **v) { return execv(v[1], v); }")
    assert make_plan(command(path), ["main"], []).functions[0].exit == "return"
    plan = make_plan(command(path), ["libc:malloc"], [])
    assert plan.functions[0].exit == "ret"
    assert "program can execute another program" in plan.functions[0].exit_reason


def test_excludes(program):
    assert symbols(make_plan(command(program), ["t*"], ["two"])) == {"three"}
    everywhere = make_plan(command(program), ["t*", "libc:malloc", "libc:calloc"], ["?alloc", "malloc"])
    assert symbols(everywhere) == {"two", "three"}
    only_libc = make_plan(command(program), ["t*", "libc:malloc", "libc:calloc"], ["libc:malloc"])
    assert symbols(only_libc) == {"two", "three", "calloc"}
    unused = make_plan(command(program), ["one"], ["libm:*", "four"])
    assert symbols(unused) == {"one"}
    assert [n for n in unused.notices if "matches nothing" in n] == [
        "-x libm:* matches nothing that would be traced", "-x four matches nothing that would be traced",
    ]  # fmt: skip
    with pytest.raises(TargetError, match="excludes every function"):
        make_plan(command(program), ["one"], ["*"])


@pytest.mark.parametrize(
    ("spec", "message", "hint"),
    [
        ("tow", "no function of program matches 'tow'", "two"),
        ("zzz*", "no function of program matches", "funcsnoop list"),
        ("pause", "program calls pause but does not define it", "libc:pause"),
        ("_start", "_start of program cannot be traced: start-up code", "funcsnoop list"),
        ("libnone:f", "no library libnone", ""),
        ("./progam:f", "no such file: ./progam", "program"),
    ],
)
def test_what_is_not_there(program, monkeypatch, spec, message, hint):
    monkeypatch.chdir(program.parent)
    with pytest.raises(TargetError, match=re.escape(message)) as caught:
        make_plan(command(program), ["one", spec], [])
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message + caught.value.hint


def test_a_spec_whose_functions_have_no_site_is_an_error(build_text):
    if os.uname().machine != "x86_64":
        pytest.skip("sites of x86-64")
    code = (
        ".text\n.globl main, spin\n.type main,@function\nmain: ret\n.size main,1\n"
        ".type spin,@function\nspin: dec %edi\njnz spin\nret\n.size spin,.-spin\n"
    )
    path = build_text(code + '.section .note.GNU-stack,"",@progbits\n', suffix=".s")
    with pytest.raises(
        TargetError, match="spin cannot be traced: its first instruction is the head of a loop"
    ):
        make_plan(command(path), ["main", "spin"], [])
    plan = make_plan(command(path), ["*"], [])
    assert "spin" not in symbols(plan)
    assert [s["symbol"] for s in plan.skipped] == ["spin"]


def test_modules_by_path_by_name_and_through_links(program, build_text, tmp_path):
    library = tmp_path / "libpair.so.1.2"
    shutil.copy(build_text(LIBRARY, "-shared", "-fPIC", "-O1"), library)
    (tmp_path / "libpair.so.1").symlink_to(library.name)
    target = command(program, LD_LIBRARY_PATH=str(tmp_path))
    for module in (str(library), f"{tmp_path}/libpair.so.1", "libpair", "libpair.so.1"):
        plan = make_plan(target, [f"{module}:twice"], [])
        assert [m.path for m in plan.modules] == [str(library)]
    both = make_plan(target, ["libpair:twice", f"{library}:thrice"], [])
    assert len(both.modules) == 1
    assert symbols(both) == {"twice", "thrice"}
    assert symbols(make_plan(target, ["program:one", "libpair:/^t/"], [])) == {"one", "twice", "thrice"}


def test_scripts_mean_their_interpreter(program, tmp_path):
    direct, through_env = tmp_path / "direct", tmp_path / "through"
    direct.write_text(f"#!{program} -x\n")
    through_env.write_text("#!/usr/bin/env -S A=1 program -x\n")
    nested = tmp_path / "nested"
    nested.write_text(f"#!{direct}\n")
    for script in (direct, through_env, nested):
        script.chmod(0o755)
        plan = make_plan(command(script, PATH=f"{tmp_path}:{os.environ['PATH']}"), ["one"], [])
        assert plan.executable == str(program)
    by_path = command("direct", PATH=f"/nowhere:{tmp_path}")
    assert by_path.program() == str(direct)


def test_commands_that_cannot_be_launched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain").write_text("x")
    (tmp_path / "script").write_text("#!/no/such/interpreter\n")
    (tmp_path / "endless").write_text(f"#!{tmp_path}/endless\n")
    for name in ("script", "endless"):
        (tmp_path / name).chmod(0o755)
    for name, message, hint in (
        ("no-such-command", "no command no-such-command in PATH", "spelling"),
        ("plain", "no command plain in PATH", "./plain"),
        ("./none", "./none does not exist", "path"),
        ("./plain", "./plain is not executable", "chmod"),
        (".", "no command . in PATH", ""),
        ("./", "./ is a directory", "program"),
        ("./script", "/no/such/interpreter, the interpreter of", "path"),
        ("./endless", "too many deep", "interpreter"),
        ("a\0b", "NUL", ""),
    ):
        with pytest.raises(TargetError, match=re.escape(message)) as caught:
            Target.for_command([name])
        assert hint in caught.value.hint
    with pytest.raises(UsageError):
        Target.for_command([])
    (tmp_path / "text").write_text("echo hello")
    (tmp_path / "text").chmod(0o755)
    with pytest.raises(TargetError, match="not an ELF file"):
        make_plan(Target.for_command(["./text"]), [], [])


def test_everything_needs_a_module():
    with pytest.raises(UsageError, match="--all-processes"):
        make_plan(Target.for_everything(), ["malloc"], [])
    plan = make_plan(Target.for_everything(), ["libc:malloc"], [])
    assert plan.executable is None
    assert [(m.shared, m.pids) for m in plan.modules] == [(True, ())]
    assert {f.exit for f in plan.functions} == {"ret"}


# Running processes


def test_modules_of_a_process(program):
    with running(program, "wait") as pid, running(program, "wait") as other:
        plan = make_plan(Target.for_pids([pid]), ["one", "libc:malloc"], [])
        assert plan.executable == str(program)
        for module in plan.modules:
            assert module.pids == (pid,)
            assert module.attach_path.startswith((f"/proc/{pid}/map_files/", module.path))
            assert os.stat(module.attach_path).st_ino == os.stat(module.path).st_ino == module.version.inode
            assert module.shared
            code = {m.link(pid) for m in parse_maps(Path(f"/proc/{pid}/maps").read_bytes()) if m.executable}
            assert module.attach_path in code | {module.path}
        both = make_plan(Target.for_pids([pid, other]), ["one"], [])
        assert [(m.pids, m.shared) for m in both.modules] == [((pid, other), False)]


def test_a_file_replaced_on_disk_is_still_the_one_that_runs(program, build_text, tmp_path):
    with running(program, "wait") as pid:
        original = os.stat(program).st_ino
        newer = shutil.copy(build_text(CODE.replace("three", "four"), "-O1"), tmp_path / "newer")
        os.replace(newer, program)
        if os.geteuid() != 0:
            with pytest.raises(PrivilegeError, match="was replaced on disk"):
                make_plan(Target.for_pids([pid]), ["*"], [])
            return
        plan = make_plan(Target.for_pids([pid]), ["*"], [])
        assert "three" in symbols(plan)
        assert "four" not in symbols(plan)
        assert plan.modules[0].version.inode == original
        assert plan.modules[0].path == str(program)


def test_a_library_that_is_not_loaded_yet(program, build_text, tmp_path):
    library = shutil.copy(build_text(LIBRARY, "-shared", "-fPIC"), tmp_path / "liblater.so")
    with running(program, "wait") as pid:
        plan = make_plan(Target.for_pids([pid]), [f"{library}:twice"], [])
    assert [(m.attach_path, m.pids) for m in plan.modules] == [(str(library), (pid,))]
    assert any("has not loaded" in notice for notice in plan.notices)


def test_a_process_with_another_root(build_text, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs to change the root")
    root = tmp_path / "root"
    library = build_text(LIBRARY, "-shared", "-fPIC", "-Wl,-soname,libpair.so.1", name="libpair.so.1")
    built = build_text(CODE, "-O1", "-Wl,--no-as-needed", library)
    for path in {
        *re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", built], capture_output=True, text=True).stdout)
    }:
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / path[1:])
    for path in ("lib/libpair.so.1", "lib64/libpair.so.1", "program"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library if "pair" in path else built, root / path)
    with running("chroot", root, "/program", "wait") as pid:
        target = Target.for_pids([pid])
        plan = make_plan(target, ["one", "libpair:twice", "/program:two"], [])
        assert plan.executable == "/program"
        assert {os.path.basename(m.path) for m in plan.modules} == {"program", "libpair.so.1"}
        assert all(not m.path.startswith(str(tmp_path)) for m in plan.modules)
        assert symbols(plan) == {"one", "two", "twice"}
        with pytest.raises(TargetError, match="no library libz"):
            make_plan(target, ["libz:*"], [])
        with pytest.raises(TargetError, match="no such file: /etc/passwd"):
            make_plan(target, ["/etc/passwd:*"], [])


def test_processes_that_cannot_be_traced(program):
    with pytest.raises(TargetError, match="funcsnoop itself"):
        Target.for_pids([os.getpid()])
    for pid in (0, 4_000_000_000, 99_999_999):
        with pytest.raises(TargetError, match=f"no process {pid}"):
            Target.for_pids([pid])
    process = subprocess.Popen([program])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(TargetError, match="has ended already"):
        Target.for_pids([process.pid])
    process.wait()
    with pytest.raises(TargetError, match="no process"):
        Target.for_pids([process.pid])
    code = (
        "import threading, time\nt = threading.Thread(target=time.sleep, args=(60,), daemon=True)\n"
        "t.start(); print(t.native_id, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        thread = int(process.stdout.readline())
        with pytest.raises(TargetError, match=f"{thread} is a thread of process {process.pid}"):
            Target.for_pids([thread])
        process.kill()


def test_another_users_process_names_the_capability(program):
    if os.geteuid() != 0:
        pytest.skip("needs to become another user")
    program.parent.chmod(0o755)
    code = (
        "import os, sys\nfrom funcsnoop.errors import PrivilegeError\n"
        "from funcsnoop.record.target import Target\n"
        "os.setresgid(65534,65534,65534); os.setresuid(65534,65534,65534)\n"
        "try: Target.for_pids([int(sys.argv[1])])\nexcept PrivilegeError as e: print(e.message, '|', e.hint)"
    )
    with running("sleep", "60") as pid:
        done = subprocess.run(
            [sys.executable, "-c", code, str(pid)], capture_output=True, text=True, check=True
        )
    assert f"process {pid} belongs to another user" in done.stdout
    assert "CAP_SYS_PTRACE" in done.stdout


def test_shared_follows_the_mappings(program, tmp_path):
    copy = shutil.copy(program, tmp_path / "copy")
    files = [(str(program), "program"), (str(copy), "copy")]
    assert mapped_elsewhere(files, frozenset({os.getpid()})) == [False, False]
    with running(program, "wait") as pid:
        assert mapped_elsewhere(files, frozenset({os.getpid()})) == [True, False]
        assert mapped_elsewhere(files, frozenset({os.getpid(), pid})) == [False, False]
        libc = next(path for path in parse_maps(Path("/proc/self/maps").read_bytes()) if "libc." in path.path)
        assert mapped_elsewhere([(libc.path, None)], frozenset({os.getpid()})) == [True]
    assert kernel_identity(str(program))[1] == os.stat(program).st_ino


def test_maps_with_odd_paths():
    text = (
        b"00400000-00401000 r-xp 00001000 fe:01 77 /tmp/a b\\012c (deleted)\n"
        b"7f0000000000-7f0000001000 r--p 00000000 00:00 0 [heap]\n"
        b"7f0000002000-7f0000003000 rw-p 00000000 00:05 9 /dev/zero (deleted)\n"
    )
    first, second = parse_maps(text)
    assert first == (0x400000, 0x401000, True, 0x1000, "fe:01", 77, "/tmp/a b\nc", True)
    assert first.link(5) == "/proc/5/map_files/400000-401000"
    assert (second.executable, second.path) == (False, "/dev/zero")


# Indirect functions

IFUNC = """
static int fast(int x) { return x + 1; }
static void *choose(void) { return fast; }
int chosen(int x) __attribute__((ifunc("choose")));
int elected(int x) __attribute__((ifunc("choose")));
int plain(int x) { return chosen(x); }
"""


def test_an_ifunc_of_an_unknown_file_is_refused(program, build_text, tmp_path):
    library = shutil.copy(build_text(IFUNC, "-shared", "-fPIC", "-O1"), tmp_path / "libfunc.so")
    with pytest.raises(TargetError, match="chosen cannot be traced: an IFUNC"):
        make_plan(command(program), [f"{library}:chosen"], [])
    plan = make_plan(command(program), [f"{library}:*"], [])
    assert symbols(plan) - START == {"fast", "plain"}  # and not the resolver
    assert {s["symbol"] for s in plan.skipped} == {"chosen", "elected"}
    # Once we have it loaded ourselves, the choice is known.
    loaded = ctypes.CDLL(str(library))
    assert loaded.plain(1) == 2
    for name, other in (("chosen", "elected"), ("elected", "chosen")):
        (function,) = make_plan(command(program), [f"{library}:{name}"], []).functions
        assert (function.symbol, set(function.aliases)) == (name, {other, "fast"})
    tuned = command(program, GLIBC_TUNABLES="glibc.cpu.hwcaps=-AVX2")
    with pytest.raises(TargetError, match="GLIBC_TUNABLES"):
        make_plan(tuned, [f"{library}:chosen"], [])


def test_ifuncs_of_libc_are_the_code_that_runs(program, build_text):
    code = (
        "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <stdio.h>\n#include <string.h>\nint main(void) {"
        "size_t (*volatile f)(const char *) = strlen; Dl_info i; dladdr((void *)f, &i);"
        'printf("%ld", (long)f - (long)i.dli_fbase); }'
    )
    expected = subprocess.run(
        [build_text(code, "-fno-builtin", "-ldl")], capture_output=True, text=True, check=True
    )
    plan = make_plan(command(program), ["libc:strlen"], [])
    assert [f.address for f in plan.functions] == [int(expected.stdout)]
    assert plan.functions[0].symbol == "strlen"
    assert plan.functions[0].size > 0


def test_names_that_are_not_exported_follow_their_resolver():
    resolvers = [
        frozenset({"move", "copy", "_move"}),
        frozenset({"copy", "_copy"}),
        frozenset({"set", "_set"}),
    ]
    # `copy` has two resolvers, one for each of its versions: it tells nothing about `_copy`.
    assert _siblings(resolvers, {"move": 1, "copy": 2, "set": 3}) == {"_move": 1, "_set": 3}


def test_ifuncs_without_a_name_do_not_raise():
    assert resolve("/no/such/file", [frozenset({"f"})], []).refused.keys() == {"f"}
    assert resolve("/no/such/file", [], []).refused == {}


def test_every_error_is_two_lines(program):
    for specs in (["tow"], ["libnone:f"], ["/x"], [""], ["libc:"], ["/(/"], ["/etc/passwd:f"], ["/etc:f"]):
        with pytest.raises(FuncsnoopError) as caught:
            make_plan(command(program), specs, [])
        assert caught.value.message
        assert caught.value.hint
        assert "\n" not in caught.value.message + caught.value.hint


def test_a_plan_is_quick(program):
    """Most of it is the disassembly for the exits in reserve."""
    started = time.process_time()
    plan = make_plan(command(program), ["libc:*"], [])
    assert len(plan.functions) > 1000
    assert time.process_time() - started < 2.5


@pytest.mark.parametrize(("lives", "expected"), [(True, "return"), (False, "ret")])
def test_seccomp_where_return_probes_kill(build_text, monkeypatch, lives, expected):
    """Only what may confine itself pays for that."""
    monkeypatch.setattr(
        "funcsnoop.record.plan.returns_under_seccomp", lambda: Feature(lives, "as the test wants it")
    )
    confined = build_text("#include <sys/prctl.h>\nint main(void) { return prctl(22, 1); }\n")
    assert make_plan(command(confined), [], []).functions[0].exit == expected
    free = build_text("int main(void) { return 0; }\n")
    assert make_plan(command(free), [], []).functions[0].exit == "return"


@pytest.mark.parametrize(("lives", "allow", "skip"), [(True, False, 0), (False, False, 5), (False, True, 0)])
def test_sites_on_nops_where_the_kernel_bears_them(build_text, monkeypatch, lives, allow, skip):
    monkeypatch.setattr(
        "funcsnoop.record.plan.probes_on_nops", lambda: Feature(lives, "as the test wants it")
    )
    program = build_text('__attribute__((naked)) int main(void) { asm(".byte 15,31,68,0,0\\nret"); }\n')
    plan = make_plan(command(program), [], [], allow_nop5=allow)
    (main,) = plan.functions
    assert main.site - main.offset == skip
    assert any("--allow-nop5" in notice for notice in plan.notices) == (allow and not lives)
