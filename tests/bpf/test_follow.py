"""Children and their children are recorded from their first call on, and told apart."""

from collections import Counter

import pytest

FLAGS = ("-O1", "-pthread")


@pytest.fixture
def family(build):
    return build("family.c", *FLAGS)


def calls_of(trace):
    """Number of calls by (parent's tgid is the command's, generation)."""
    calls = trace.calls().collect()
    return Counter(zip(calls["tgid"].to_list(), calls["arg0"].to_list(), strict=True))


MULTI = pytest.mark.attach("multi")


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--exit", "ret"),
        pytest.param(("--exit", "ret", "--attach", "multi"), marks=MULTI),
        ("--exit", "none"),
    ],
)
def test_forked_children_and_theirs(family, record, options):
    """Nobody else maps the program, so that following is on by itself where it can be."""
    follow = ["--follow"] if "multi" in options else []
    trace = record([*options, *follow, "-f", "visit"], [family, "3"], status=7)
    counts = calls_of(trace)
    by_generation = Counter()
    for (_, generation), calls in counts.items():
        by_generation[generation] += calls
    # 23 from the second thread of the first; children make 10, 11, 12 calls, and each has one that makes 20.
    assert by_generation == {0: 23, 1: 33, 2: 60}
    assert sorted(n for (_, generation), n in counts.items() if generation == 1) == [10, 11, 12]
    assert trace.metadata["counts"]["lost"] == {"buffer": 0}
    processes = {p["tgid"]: p for p in trace.metadata["processes"]}
    assert len(processes) == 7
    (first,) = [p for p in processes.values() if p["parent_tgid"] is None]
    children = [p for p in processes.values() if p["parent_tgid"] == first["tgid"]]
    assert len(children) == 3
    grandchildren = [p for p in processes.values() if p["parent_tgid"] in {c["tgid"] for c in children}]
    assert len(grandchildren) == 3
    assert all(p["end_ns"] is not None for p in processes.values())
    assert all(p["start_ns"] >= first["start_ns"] for p in children)


def test_a_child_that_executes_a_program(family, record):
    """It is another program then, of the same file: its calls count, its command is its own."""
    trace = record(["-f", "visit"], [family, "3", "exec"], status=7)
    counts = calls_of(trace)
    assert sorted(n for (_, generation), n in counts.items() if generation == 9) == [10, 11, 12]
    commands = [p["command"] for p in trace.metadata["processes"] if p["parent_tgid"] is not None]
    assert len(commands) == 3
    for command in commands:
        # A child that has ended before it was looked at has left its name only.
        assert command in (["family"], *(["family", "leaf", str(n)] for n in (10, 11, 12)))


def test_no_follow(family, record):
    trace = record(["--no-follow", "-f", "visit"], [family, "3"], status=7)
    assert trace.metadata["counts"]["recorded"] == 2 * 23
    assert len(trace.metadata["processes"]) == 1


def test_a_shared_library_is_followed_on_request_only(family, record):
    """libc is mapped by every process: each call there would cost a trap."""
    command = [family, "3"]
    alone = record(["-f", "libc:fork", "--exit", "none"], command, status=7)
    assert alone.metadata["counts"]["recorded"] == 3
    followed = record(["-f", "libc:fork", "--exit", "none", "--follow"], command, status=7)
    assert followed.metadata["counts"]["recorded"] == 6


@MULTI
def test_following_never_puts_return_probes_on_bystanders(family, run):
    """Return probes of multi links would hit every process that maps the file."""
    done = run(
        "record", "--follow", "--exit", "return", "--attach", "multi", "-f", "visit", "--", family, "1"
    )
    assert done.status == 2
    assert len(done.stderr.splitlines()) == 2
    assert "--exit ret" in done.stderr


def test_exec_from_a_thread_that_is_not_the_first(build, record):
    """The new program has the old one's id and none of its links: they are made again, the gap is told."""
    program = build("execs_from_thread.c", *FLAGS)
    trace = record(["-f", "libc:usleep", "--exit", "none"], [program, "start"])
    recorded = trace.metadata["counts"]["recorded"]
    (notice,) = [n for n in trace.metadata["notices"] if "not its first" in n]
    assert "ms of calls after that are missing" in notice
    assert 20 < recorded <= 1 + 60


def test_exec_from_a_thread_with_the_filter_in_the_program(build, record):
    """Nothing is missing where the program filters."""
    program = build("execs_from_thread.c", *FLAGS)
    trace = record(["-f", "step", "--exit", "none"], [program, "start"])
    assert trace.metadata["counts"]["recorded"] == 1 + 60  # once before, and in main and in the loop after
    assert trace.metadata["notices"] == [] or all("not its first" not in n for n in trace.metadata["notices"])


def test_a_process_whose_first_thread_has_ended_lives_on(build, record):
    trace = record(["-f", "visit"], [build("main_leaves.c", "-O1", "-pthread"), "23"], status=9)
    calls = trace.calls().collect()
    assert calls["status"].cast(str).to_list() == ["complete"] * 23
    (process,) = trace.metadata["processes"]
    assert process["end_ns"] > calls["end"].max()
