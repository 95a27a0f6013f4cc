"""The traced program does what it does alone: same output, same exit status; and known calls are counted."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from funcsnoop.analyze.trace import Trace

#: All that the options allow, where the variable asks for more than one run.
FULL = int(os.environ.get("FUNCSNOOP_FAULT_RUNS", "1")) > 1
#: The compiler makes no loops of the recursions whose calls are counted.
OPTIMISED = ("-O2", "-fno-optimize-sibling-calls")
#: Called in between by everything, some of it while the stack is unwound.
HOT_C = ("-f", "*", "-f", "libc:/^(malloc|free|memcpy|_?setjmp|.*longjmp|puts|printf|write)/")
HOT_CPP = (*HOT_C, "-f", "libstdc++:/^(__cxa_|__gxx_|_Zn|_Zd|_ZSt)/", "-f", "libgcc_s:_Unwind_*")


def pairs(names: str, first: Sequence[object], second: Sequence[object]) -> pytest.MarkDecorator:
    """Each of `first` with one of `second`; in full, with each."""
    chosen = itertools.product(first, second) if FULL else zip(first, second, strict=True)
    return pytest.mark.parametrize(names, list(chosen))


compiled_and_attached = pairs("level,attach", [OPTIMISED, ("-O0",)], ["session", "multi"])
seen_and_attached = pairs("exit_,attach", ["auto", "ret"], ["session", "multi"])
attached = pytest.mark.parametrize("attach", ["session", "multi"] if FULL else ["session"])


def outcomes(trace: Trace, *names: str) -> dict[str, dict[str, int]]:
    """How many calls of each of `names` (without parameters) ended in which way, in the launched process."""
    first = trace.metadata["processes"][0]["tgid"]
    counted: dict[str, Counter[str]] = {name: Counter() for name in names}
    for name, tgid, status in trace.calls().collect().select("name", "tgid", "status").iter_rows():
        function = name.split("(")[0]
        if function in counted and tgid == first:
            counted[function][status] += 1
    return {name: dict(counter) for name, counter in counted.items()}


def strategies(trace: Trace) -> set[str]:
    return {function["exit"] for function in trace.metadata["functions"]}


def entries(trace: Trace, name: str) -> int:
    events = trace.events.collect().select("name", "type").cast(str)
    return events.rows().count((name, "entry"))


@compiled_and_attached
@pytest.mark.parametrize("depth", [1, 20])
def test_exceptions_cross_traced_frames(make, survives, depth, level, attach):
    trace = survives([make("throws.cc", *level), "throw", str(depth)], "--attach", attach)
    half = {"complete": 12 * (depth // 2 or 1), "unwound": 11 * (depth // 2 or 1)}
    assert outcomes(trace, "guarded", "plain", "main") == {
        "guarded": half,
        "plain": half if depth > 1 else {},
        "main": {"complete": 1},
    }


@compiled_and_attached
def test_exceptions_that_are_rethrown(make, survives, level, attach):
    trace = survives([make("throws.cc", *level), "rethrow", "20"], "--attach", attach)
    assert outcomes(trace, "again", "guarded") == {
        "again": {"complete": 12, "unwound": 11},
        "guarded": {"complete": 120, "unwound": 110},
    }


@compiled_and_attached
def test_exception_that_must_not_leave(make, survives, level, attach):
    """`noexcept`: the program ends as it would, by std::terminate, after it said why."""
    trace = survives([make("throws.cc", *level), "noexcept", "3"], "--attach", attach)
    assert trace.metadata["exit_status"] == 128 + 6
    assert outcomes(trace, "promised") == {"promised": {"complete": 1, "unwound": 1}}


@attached
@pytest.mark.parametrize("how", ["throw", "rethrow", "noexcept"])
def test_exceptions_with_the_unwinder_itself_traced(make, survives, how, attach):
    trace = survives([make("throws.cc", *OPTIMISED), how, "20"], "--attach", attach, *HOT_CPP)
    thrown = 1 if how == "noexcept" else 11
    assert entries(trace, "__cxa_throw") == thrown
    assert entries(trace, "_Unwind_RaiseException") >= thrown
    assert sum(outcomes(trace, "guarded")["guarded"].values()) == (20 if how == "noexcept" else 230)


@compiled_and_attached
@pytest.mark.parametrize("options", [(), HOT_C], ids=["program", "libc"])
def test_longjmp_over_21_frames(make, survives, options, level, attach):
    trace = survives([make("jumps.c", *level)], "--attach", attach, *options)
    assert outcomes(trace, "down", "leaf", "main") == {
        "down": {"complete": 12 * 21, "unwound": 11 * 21},
        "leaf": {"complete": 23},
        "main": {"complete": 1},
    }


@seen_and_attached
def test_a_thousand_calls_deep(make, survives, exit_, attach):
    trace = survives([make("recursion.c", *OPTIMISED)], "--attach", attach, "--exit", exit_)
    if strategies(trace) == {"ret"}:
        assert outcomes(trace, "dive", "main") == {"dive": {"complete": 1000}, "main": {"complete": 1}}


@attached
def test_the_kernel_follows_64_nested_return_probes(make, survives, attach):
    """What it does not follow is told apart from what returned; the program goes on all the same."""
    trace = survives([make("recursion.c", *OPTIMISED)], "--attach", attach, "--exit", "return")
    assert strategies(trace) == {"return"}
    assert outcomes(trace, "dive") == {"dive": {"complete": 63, "unwound": 937}}


@seen_and_attached
@pytest.mark.parametrize("how", ["fork", "exec", "vfork", "spawn"])
def test_children(make, survives, how, exit_, attach):
    trace = survives([make("children.c", "-O2"), how], "--attach", attach, "--exit", exit_)
    assert outcomes(trace, "work", "work_often", "main") == {
        "work": {"complete": 5 * 23},
        "work_often": {"complete": 5},
        "main": {"complete": 1},
    }


@pytest.mark.parametrize("how", ["fork", "exec", "vfork", "spawn"])
def test_children_with_libc_traced(make, survives, how):
    trace = survives(
        [make("children.c", "-O2"), how], *HOT_C, "-f", "libc:/^(fork|vfork|posix_spawn|waitpid)$/"
    )
    assert outcomes(trace, "work") == {"work": {"complete": 5 * 23}}


@seen_and_attached
def test_a_hundred_threads(make, survives, exit_, attach):
    trace = survives([make("many_threads.c", "-O2", "-pthread")], "--attach", attach, "--exit", exit_)
    assert outcomes(trace, "work", "work_often", "begin") == {
        "work": {"complete": 100 * 101},
        "work_often": {"complete": 100},
        "begin": {"complete": 100},
    }
    assert trace.threads().collect().height == 101


@compiled_and_attached
def test_coroutines(make, survives, level, attach):
    trace = survives([make("coroutines.c", *level)], "--attach", attach)
    assert outcomes(trace, "step", "yield", "main") == {
        "step": {"complete": 3 * 17},
        "yield": {"complete": 3 * 17},
        "main": {"complete": 1},
    }


@seen_and_attached
@pytest.mark.parametrize("stack", ["same", "altstack"])
def test_signal_handlers_call_traced_functions(make, survives, exit_, stack, attach):
    trace = survives([make("handlers.c", "-O2"), stack], "--attach", attach, "--exit", exit_)
    found = outcomes(trace, "in_handler", "handler", "work", "main")
    assert found["in_handler"] == {"complete": 211}
    assert found["main"] == {"complete": 1}
    assert found["handler"].keys() == found["work"].keys() == {"complete"}
    assert found["handler"]["complete"] >= 211


@seen_and_attached
@pytest.mark.parametrize("how", ["filter", "strict"])
def test_a_process_confined_by_seccomp(make, survives, exit_, how, attach):
    trace = survives([make("confined.c", "-O2"), how], "--attach", attach, "--exit", exit_)
    assert outcomes(trace, "work", "work_often") == {
        "work": {"complete": 97},
        "work_often": {"complete": 1},
    }


@attached
def test_a_library_that_is_loaded_and_unloaded_again_and_again(make, survives, attach):
    library = make("plugin.c", "-O1", "-shared", "-fPIC", name="libplugin.so")
    trace = survives(
        [make("loads.c", "-O2"), library, "23"], "--attach", attach, "-f", "*", "-f", f"{library}:plugin_*"
    )
    assert outcomes(trace, "plugin_step", "plugin_work", "load_and_work") == {
        "plugin_step": {"complete": 23 * 7},
        "plugin_work": {"complete": 23},
        "load_and_work": {"complete": 23},
    }


@attached
def test_a_library_that_throws_is_loaded_while_recording(make, survives, attach):
    """Nothing in the process unwinds when the recording begins."""
    library = make("thrower.cc", "-O2", "-shared", "-fPIC", name="libthrower.so")
    trace = survives([make("loads_thrower.c", "-O2"), library], "--attach", attach)
    assert outcomes(trace, "relay", "main") == {
        "relay": {"complete": 12, "unwound": 11},
        "main": {"complete": 1},
    }


@attached
def test_go(make, survives, attach):
    """All functions, those of its run-time system included: entries only, one for each call, although the
    stacks of all 23 goroutines grow."""
    trace = survives([make("goroutines.go")], "--attach", attach)
    assert strategies(trace) == {"none"}
    assert entries(trace, "main.main") == 1
    assert entries(trace, "main.fails") == 23
    assert entries(trace, "main.dive") == sum(101 + i for i in range(23))


@pairs("flags,attach", [(), ("-O",)], ["multi", "session"])
def test_rust(make, survives, flags, attach):
    trace = survives([make("panics.rs", *flags)], "--attach", attach)
    calls = 3 * 20
    assert outcomes(trace, "dive") == {"dive": {"complete": 12 * calls, "unwound": 11 * calls}}


@pairs("kind,exit_", ["-static-pie", "-static"], ["ret", "auto"])
def test_static_with_the_whole_c_library_traced(make, survives, kind, exit_):
    trace = survives([make("recursion.c", *OPTIMISED, kind)], "--exit", exit_)
    assert len(trace.metadata["functions"]) > 500
    found = outcomes(trace, "dive")["dive"]
    if strategies(trace) >= {"ret"}:
        assert found == {"complete": 1000}
    assert sum(found.values()) == 1000


def test_stripped_program_that_exports_its_functions(make, survives):
    trace = survives([make("jumps.c", *OPTIMISED, "-s", "-rdynamic")])
    assert outcomes(trace, "down", "leaf") == {
        "down": {"complete": 12 * 21, "unwound": 11 * 21},
        "leaf": {"complete": 23},
    }


def test_stripped_program_without_any_name(make, survives, run):
    """It is refused before it is started; what it uses can be traced."""
    program = make("jumps.c", *OPTIMISED, "-s")
    refused = run("record", "--", program)
    assert (refused.status, refused.stdout) == (1, "")
    assert "has no function symbols" in refused.stderr
    assert entries(survives([program], *HOT_C[2:]), "printf") == 1


INTERPRETER = ("-f", "/^_?PyObject_Call|^_PyEval_EvalFrameDefault$|^PyErr_|^PyGen_|^PyThread_/")


def test_python(survives):
    trace = survives(["/usr/bin/python3", Path(__file__).parent / "programs/script.py"], *INTERPRETER)
    assert entries(trace, "_PyEval_EvalFrameDefault") > 50


def libpythons() -> list[str]:
    listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout
    return sorted(
        line.split(" => ")[1] for line in listed.splitlines() if "libpython3" in line and ".so.1" in line
    )


@pytest.mark.parametrize("library", libpythons(), ids=os.path.basename)
def test_libpython(make, survives, library):
    program = make("embeds_python.c", "-O1", library)
    functions = INTERPRETER[1]
    trace = survives([program, Path(__file__).parent / "programs/script.py"], "-f", f"{library}:{functions}")
    assert entries(trace, "_PyEval_EvalFrameDefault") > 50
