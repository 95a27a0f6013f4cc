from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from funcsnoop.record.elf import ElfFile
from funcsnoop.record.exits import choose
from funcsnoop.record.hazards import FileHazards, HazardScan, inspect
from funcsnoop.record.libraries import Loader

MAIN = "int main(void) { return 0; }"


def process_of(executable: str) -> FileHazards:
    paths = [executable, *Loader(executable, {}).closure()]
    return HazardScan().process((os.path.realpath(path), path) for path in paths)


def test_a_plain_c_program_cannot_unwind(build_text):
    assert process_of(str(build_text(MAIN))) == FileHazards()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "#include <setjmp.h>\njmp_buf b; int main(void) { if (!setjmp(b)) longjmp(b, 1); }",
            "imports longjmp",
        ),
        ("#include <setjmp.h>\nsigjmp_buf b; int main(void) { siglongjmp(b, 1); }", "imports siglongjmp"),
        ("#include <pthread.h>\nint main(void) { pthread_exit(0); }", "imports pthread_exit"),
        (
            "#include <pthread.h>\nint main(void) { pthread_cancel(pthread_self()); }",
            "imports pthread_cancel",
        ),
        (
            "#include <ucontext.h>\nucontext_t a, b; int main(void) { swapcontext(&a, &b); }",
            "imports swapcontext",
        ),
        ("#include <ucontext.h>\nucontext_t a; int main(void) { setcontext(&a); }", "imports setcontext"),
    ],
)
def test_imports_that_leave_functions(build_text, code, reason):
    path = build_text(code, "-O0")
    assert process_of(str(path)).reasons == (f"program {reason}",)


def test_runtimes_that_throw(build_text):
    path = build_text("int main() { try { throw 1; } catch (int) {} }", suffix=".cc")
    reasons = process_of(str(path)).reasons
    assert any(reason.startswith("libstdc++.so.6") for reason in reasons)
    assert any(reason.startswith("libgcc_s.so.1 unwinds the stack") for reason in reasons)
    assert any(reason.startswith("program imports _Unwind_Resume") for reason in reasons)


def test_a_library_that_needs_cpp_counts(build_text, tmp_path):
    library = tmp_path / "libcc.so"
    shutil.copy(build_text("int f() { throw 1; }", "-shared", "-fPIC", suffix=".cc"), library)
    path = build_text(MAIN, "-Wl,--no-as-needed", library, f"-Wl,-rpath,{tmp_path}")
    assert any(reason.startswith("libstdc++") for reason in process_of(str(path)).reasons)


def test_static_programs(build_text, tmp_path):
    path = build_text("#include <setjmp.h>\njmp_buf b; int main(void) { longjmp(b, 1); }", "-static")
    (reason,) = process_of(str(path)).reasons
    assert reason.startswith("program is static and holds ")
    bare = build_text(
        'void _start(void) { __asm__ volatile("mov $60, %eax\\nsyscall"); }', "-static", "-nostdlib", "-O1"
    )
    if os.uname().machine == "x86_64":
        assert process_of(str(bare)) == FileHazards()
    stripped = tmp_path / "stripped"
    subprocess.run(["strip", "-o", stripped, path], check=True)
    assert process_of(str(stripped)).reasons == (
        "stripped is static and stripped, so that it may hold anything",
    )


def test_go_and_rust_are_known_by_their_sections(build_text, tmp_path):
    path, data = tmp_path / "made", tmp_path / "data"
    data.write_bytes(b"GCC\0rustc version 1.80.0\0")
    for section, reason in ((".note.go.buildid", "Go program"), (".rustc", "Rust program")):
        subprocess.run(["objcopy", f"--add-section={section}={data}", build_text(MAIN), path], check=True)
        hazards = process_of(str(path))
        assert reason in hazards.reasons[0]
        assert hazards.go is ("Go" in reason)
    subprocess.run(["objcopy", f"--update-section=.comment={data}", build_text(MAIN), path], check=True)
    assert "Rust program" in process_of(str(path)).reasons[0]


@pytest.mark.skipif(shutil.which("rustc") is None, reason="rustc is not installed")
def test_real_rust(tmp_path):
    (tmp_path / "main.rs").write_text('fn main() { println!("{}", std::env::args().count()); }')
    subprocess.run(["rustc", "-O", "main.rs"], cwd=tmp_path, check=True)
    reasons = process_of(str(tmp_path / "main")).reasons
    assert "main is a Rust program, whose panics unwind" in reasons


def test_the_c_library_alone_is_no_hazard():
    paths = {os.path.realpath(path) for path in Loader(os.path.realpath(sys.executable), {}).closure()}
    libc = next(path for path in paths if os.path.basename(path).startswith("libc."))
    with ElfFile.open(libc) as elf:
        assert inspect(elf, os.path.basename(libc)) == FileHazards()


def test_older_c_libraries_import_from_one_another(build_text):
    # glibc before 2.34 had libpthread apart, which imports these for its callers.
    code = "#include <setjmp.h>\njmp_buf b; int main(void) { longjmp(b, 1); }"
    with ElfFile.open(str(build_text(code))) as elf:
        assert inspect(elf, "libpthread-2.31.so") == FileHazards()
        assert inspect(elf, "libcurl.so.4").reasons == ("libcurl.so.4 imports longjmp",)


def test_dlopen_and_exec_are_noted(build_text):
    code = (
        "#include <dlfcn.h>\n#include <unistd.h>\n"
        "int main(int c, char **v) { return dlopen(v[1], 1) != 0 || execvp(v[1], v); }"
    )
    path = str(build_text(code, "-ldl"))
    hazards = HazardScan().file(path, path)
    assert (hazards.opens, hazards.executes, hazards.reasons) == (True, True, ())


UNWINDS = FileHazards(("a imports longjmp", "b", "c", "d", "e"))


@pytest.mark.parametrize(
    ("policy", "hazards", "everything", "strategy", "notices"),
    [
        ("auto", FileHazards(), False, "return", 0),
        ("auto", FileHazards(opens=True), False, "ret", 1),
        ("auto", UNWINDS, False, "ret", 1),
        ("auto", FileHazards(), True, "ret", 0),
        ("ret", UNWINDS, True, "ret", 0),
        ("ret", FileHazards(("x is a Go program",), go=True), False, "ret", 1),
        ("none", UNWINDS, False, "none", 0),
        ("none", FileHazards(), True, "none", 0),
        ("return", FileHazards(), False, "return", 0),
        ("return", UNWINDS, False, "return", 1),
        ("return", FileHazards(), True, "return", 1),
        ("return", FileHazards(("x is a Go program",), go=True), False, "return", 2),
    ],
)
def test_choice(policy, hazards, everything, strategy, notices):
    exits = choose(policy, hazards, everything)
    assert (exits.strategy, len(exits.notices)) == (strategy, notices)
    assert all("\n" not in notice for notice in exits.notices)
    if hazards is UNWINDS and policy in ("auto", "return"):
        assert "a imports longjmp; b; c; and 2 more reasons" in exits.notices[0]
    assert exits.of_module(go=True)[0] == "none"
    assert exits.of_module(go=False)[0] == strategy
