"""Code that comes into a process is looked at, once, and tells whether return probes are still safe."""

import re
import subprocess
import sys

import pytest

from funcsnoop.record import new_code
from funcsnoop.record.plan import make_plan
from funcsnoop.record.replan import added, without_returns
from funcsnoop.record.target import Target

LOADER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
int main(void)
{
	char line[4096];
	void *(*load)(const char *, int) = dlsym(RTLD_DEFAULT, "dlopen");

	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		puts(load(line, RTLD_NOW) ? "loaded" : dlerror());
		fflush(stdout);
	}
	return 0;
}
"""


@pytest.fixture
def loader(build_text):
    with subprocess.Popen(
        [build_text(LOADER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()


def load(process, library):
    process.stdin.write(f"{library}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "loaded\n"


def test_only_code_that_may_unwind_is_a_danger(loader, monkeypatch):
    monkeypatch.setattr(new_code, "_SHARE", float("inf"))
    plan = make_plan(Target.for_pids([loader.pid]), [], [])
    assert {function.exit for function in plan.functions} == {"return"}
    watch = new_code.NewCode(plan, [loader.pid])
    assert watch.danger([loader.pid]) is None
    load(loader, "libm.so.6")
    assert watch.danger([loader.pid]) is None
    load(loader, "libstdc++.so.6")
    # It brings libgcc_s with it, which may be mapped before it.
    assert re.match(r"lib(stdc\+\+|gcc_s)\.so\.\S+ unwinds the stack", watch.danger([loader.pid]))


def test_a_process_without_traced_code_is_no_matter(loader, monkeypatch):
    """It has executed another program, say: Python, which imports pthread_exit."""
    monkeypatch.setattr(new_code, "_SHARE", float("inf"))
    plan = make_plan(Target.for_pids([loader.pid]), [], [])
    wait = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(wait, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        watch = new_code.NewCode(plan, [])
        assert watch.danger([other.pid]) is None
        in_libc = make_plan(Target.for_pids([loader.pid]), ["libc:labs"], [])
        assert "pthread_exit" in (new_code.NewCode(in_libc, []).danger([other.pid]) or "")
        other.communicate(b"\n")


def test_a_process_that_has_gone_is_no_danger(loader, monkeypatch):
    plan = make_plan(Target.for_pids([loader.pid]), [], [])
    watch = new_code.NewCode(plan, [loader.pid])
    loader.stdin.close()
    loader.wait()
    assert watch.danger([loader.pid]) is None


def test_what_has_no_exit_in_reserve_gets_another_cookie(build_text):
    program = build_text(
        "__attribute__((noipa, naked)) long leap(void) { __asm__("
        '"lea 1f(%rip), %rcx; xor %edx, %edx; add %rdx, %rcx; jmp *%rcx; 1: ret"); }\n'
        "__attribute__((noipa)) long step(long i) { return i ^ 1; }\n"
        "int main(void) { return leap() + step(2); }\n"
    )
    plan = make_plan(Target.for_command([str(program)]), [], [])
    later = without_returns(plan)
    before = {function.symbol: function for function in plan.functions}
    after = {function.symbol: function for function in later.functions}
    assert {function.exit for function in before.values()} == {"return"}
    assert {name: function.exit for name, function in after.items()} == {
        "leap": "none",
        "step": "ret",
        "main": "ret",
    }
    assert after["step"].cookie == before["step"].cookie
    assert after["leap"].cookie == len(plan.functions) + 1
    assert [function.symbol for function in added(plan).functions] == ["leap"]
    assert without_returns(later) == later


@pytest.mark.parametrize("policy", ["return", "ret", "none"])
def test_what_was_asked_for_stays(build_text, policy):
    program = build_text("int main(void) { return 0; }\n")
    plan = make_plan(Target.for_command([str(program)]), [], [], exit_policy=policy)
    assert [function.reserve for function in plan.functions] == [None]
