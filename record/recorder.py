"""One recording, from a plan to a finished file."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..bpf.features import Strategy, choose
from ..bpf.links import Links
from ..errors import InterruptError, OutputError, TargetError
from ..schemas.metadata import BudgetCut, ClockSnapshot, TraceMetadata, unplaced_loss
from .attaching import Attaching
from .census import Census
from .clocks import clock_notices, clock_snapshot
from .columns import Columns
from .compiling import Compiling
from .drain import Drain
from .encoder import Encoder
from .ends import Targets
from .filtering import budget_cuts, describe
from .following import decide
from .guard import Guard
from .launch import HeldCommand
from .memory import TO_RECORD, available_bytes, check_limits
from .metadata import function_table, metadata_at_start
from .namespaces import pid_namespace, sees
from .no_file import NoFile
from .omissions import omissions
from .options import Options, sizes
from .plan import Plan
from .privileges import renounce, still_needed
from .probe_effect import probe_costs
from .replan import added, rows_before
from .signals import Received, Signals
from .so_far import SoFar, add_unsaved, count
from .spent import Spent
from .writer import TraceWriter

_LOOK_SECONDS = 0.1
_CENSUS_SECONDS = 1.0


@dataclass(frozen=True)
class Progress:
    """How a recording stands."""

    seconds: float
    events: int  # taken out of the ring
    lost: int
    file_bytes: int


@dataclass(frozen=True)
class Result:
    metadata: TraceMetadata
    file_bytes: int
    exit_status: int  # the command's; 0 where none was launched


class Recorder:
    """Runs one recording. Use it as a context: what it started is taken down on the way out.

    Raises `FuncsnoopError`s; once probes have fired, what was recorded is in the file all the same.
    """

    def __init__(
        self,
        plan: Plan,
        options: Options,
        show: Callable[[Progress], None],
        watch: Callable[[NDArray[Any]], None] | None = None,
        compiling: Compiling | None = None,
    ) -> None:
        self._plan = plan
        self._options = options
        self._show = show
        self._watch_events = watch
        self._compiling = compiling
        self._census = Census()
        self._undo = ExitStack()
        self._command: HeldCommand | None = None
        self._notices = list(plan.notices)
        self._cuts: list[BudgetCut] = []
        self._tgids: tuple[int, ...] = plan.target.pids
        self._interrupts = 0

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def run(self) -> Result:
        """Record until the target ends, a limit is reached, or the user interrupts."""
        check_limits(TO_RECORD)
        functions = (*self._plan.functions, *added(self._plan).functions)
        namespace = pid_namespace()
        for tgid in self._tgids:
            if not sees(namespace, tgid):
                raise TargetError(
                    f"process {tgid} is in a pid namespace below this one",
                    "Record from the host, or from inside that container.",
                )
        self._strategy = choose(self._options.strategy)
        self._following = decide(self._plan, self._strategy, self._options.follow)
        self._signals = Signals()
        self._undo.callback(self._signals.let_go)
        output = self._options.output
        writer: TraceWriter | NoFile = (
            NoFile()
            if output is None
            else TraceWriter(output, force=self._options.force, sync=self._options.sync)
        )
        # Until something was recorded, an error leaves no file behind.
        undo_file = self._undo.enter_context(ExitStack())
        undo_file.callback(writer.abort)
        compiling = self._undo.enter_context(self._compiling or Compiling())
        self._programs = self._undo.enter_context(
            compiling.programs(
                sizes(
                    self._options,
                    everything=self._plan.target.everything,
                    processes=len(self._tgids),
                    functions=len(functions),
                )
            )
        )
        self._programs.name_functions([(function.cookie, function.symbol) for function in functions])
        self._programs.share_budgets(rows_before(self._plan))
        costs = probe_costs(self._plan, self._programs, self._strategy, self._notices)
        self._stop_if_interrupted()
        self._hold_command()
        self._guard = self._undo.enter_context(closing(Guard(self._plan.modules)))
        self._notices += self._guard.notices_before()
        for tgid in self._tgids:
            self._programs.follow(tgid)
            self._census.add_process(tgid)
        ring = self._programs.ring()
        self._undo.callback(ring.close)
        loss_ring = self._programs.loss_ring()
        self._undo.callback(loss_ring.close)
        perf_filters = self._strategy is Strategy.PERF and not self._following.filter_in_program
        keep = still_needed(
            processes=None if self._plan.target.everything else self._tgids,
            directory=None if output is None else str(Path(output).parent),
            launched=self._command is not None,
            links_again=perf_filters,
            look=self._programs.counts,
        )
        drain = Drain(self._programs, ring, loss_ring, limit_bytes=available_bytes() // 4, keep=keep)
        encoder = Encoder(
            drain,
            Columns([function.symbol for function in functions]),
            writer,
            self._census,
            self._options.max_events,
            keep,
            self._watch_events,
        )
        started = clock_snapshot()
        self._functions = function_table(self._plan)
        self._at_start = metadata_at_start(
            plan=self._plan,
            functions=self._functions,
            costs=costs,
            options=self._options,
            strategy=self._strategy,
            ring_bytes=self._programs.sizes.ring_bytes,
            started=started,
            counts=count(drain, encoder, self._options.filters, 0),
            filters=describe(self._options.filters, drain.filtered, self._cuts),
            notices=self._notices,
        )
        # What is long in the metadata is written before there is a probe that could fire meanwhile.
        self._so_far = SoFar(self._at_start, self._census, drain, encoder, self._options.filters)
        writer.begin(self._so_far)
        drain.start()
        encoder.start()
        # From here on the threads own the ring and the file, and must end before these are closed.
        self._undo.callback(encoder.join)
        self._undo.callback(drain.finish)
        for link in self._programs.watch_tasks(follow=self._following.follow):
            self._undo.callback(os.close, link)
        links = self._undo.enter_context(Links(self._programs, self._strategy))
        filter_in_program = self._following.filter_in_program
        self._attaching = Attaching(self._plan, links, self._tgids, filter_in_program, self._notices)
        self._spent = Spent(self._programs, links, self._attaching, self._notices)
        self._attaching.begin()
        self._guard.check()
        self._stop_if_interrupted()
        # What is there now stays to the end, and is not looked through while events come.
        gc.freeze()
        gc.enable()
        renounce(keep)
        if self._command:
            self._command.release()
        failure: BaseException | None = None
        try:
            reason = self._watch(started, drain, encoder, writer)
        except Exception as error:
            # Whatever it is, what was recorded is to be saved, and the target left alone.
            reason, failure = "error", error
        try:
            links.close()
            self._guard.close()
            drain.finish()
            encoder.join()
            ended = clock_snapshot()
            self._notices += clock_notices(started, ended)
            self._look_around()
            self._notices += [*self._guard.notices_after(), *omissions(drain)]
            undo_file.pop_all()
            failure = failure or encoder.error or drain.error
            return self._finish(reason, failure, started, ended, drain, encoder, writer)
        except MemoryError as error:
            raise writer.left_as_it_is(error) from error

    def _stop_if_interrupted(self) -> None:
        """Before there is anything to save."""
        received = self._signals.wait(0)
        if received:
            raise InterruptError(received.number)

    def _hold_command(self) -> None:
        target = self._plan.target
        if target.command is None:
            return
        self._command = HeldCommand(
            target.command,
            target.program(),
            target.environment,
            self._signals.held_back,
            self._options.command_identity,
            self._options.command_outputs,
        )
        self._undo.callback(self._command.discard)
        self._tgids = (self._command.pid,)

    def _look_around(self) -> None:
        """Take in which processes and threads have come and gone."""
        for birth in self._programs.take_births():
            self._census.add_child(birth)
        for tgid in self._tgids:
            self._census.set_root_tgid(tgid, self._programs.root_tgid(tgid))
        self._cuts += budget_cuts(self._programs.take_spent())
        for tgid in self._census.refresh(self._programs.take_ended_threads):
            self._programs.forget(tgid)

    def _watch(
        self,
        started: ClockSnapshot,
        drain: Drain,
        encoder: Encoder,
        writer: TraceWriter | NoFile,
    ) -> str:
        """Wait for a reason to stop; returns it, as the metadata names it."""
        begin = started["monotonic_ns"]
        deadline = None if self._options.duration_ns is None else begin + self._options.duration_ns
        census_due = time.monotonic() + _CENSUS_SECONDS
        targets = Targets(self._tgids)
        self._undo.callback(targets.close)
        while True:
            now = time.monotonic_ns()
            pause = _LOOK_SECONDS if deadline is None else min(_LOOK_SECONDS, max(0, deadline - now) / 1e9)
            received = self._signals.wait(pause)
            if received and self._interrupt(received):
                return "interrupt"
            if self._command and self._command.ended():
                return "command-exit"
            if not self._command and self._tgids and targets.all_gone():
                return "target-exit"
            if drain.error or encoder.error:
                return "error"
            if encoder.limit_reached:
                return "max-events"
            overwritten = self._guard.see()
            if overwritten:
                self._notices.append(
                    f"{overwritten} is being overwritten: its probes would break what runs it"
                )
                return "overwritten"
            if self._options.max_size is not None and writer.bytes_written() >= self._options.max_size:
                return "max-size"
            if deadline is not None and time.monotonic_ns() >= deadline:
                return "duration"
            for tgid, when in self._programs.take_replaced_leaders():
                self._census.replace_first_thread(tgid, when)
                self._attaching.link_again(tgid, when)
            self._exchange(begin)
            if time.monotonic() >= census_due:
                self._look_around()
                self._spent.look(cut["cookie"] for cut in self._cuts)
                census_due = time.monotonic() + _CENSUS_SECONDS
            self._show(
                Progress(
                    (time.monotonic_ns() - begin) / 1e9,
                    drain.taken,
                    drain.lost + drain.missed.events,
                    writer.bytes_written(),
                )
            )

    def _exchange(self, begin: int) -> None:
        danger = self._attaching.danger(self._census.living())
        if danger:
            # Before an event can name them.
            self._functions += function_table(added(self._plan))
            self._attaching.exchange(danger, begin)
            self._so_far.windows += self._attaching.windows

    def _interrupt(self, received: Received) -> bool:
        """Whether this signal ends the recording now.

        A launched command decides about the first one: from the terminal it has got it too, from
        anywhere else it is passed on. The recording then ends with the command.
        """
        self._interrupts += 1
        if self._command is None or self._interrupts > 1:
            return True
        if not received.from_terminal:
            self._command.send(received.number)
        return False

    def _finish(
        self,
        reason: str,
        failure: BaseException | None,
        started: ClockSnapshot,
        ended: ClockSnapshot,
        drain: Drain,
        encoder: Encoder,
        writer: TraceWriter | NoFile,
    ) -> Result:
        counts = count(drain, encoder, self._options.filters, writer.rows)
        windows = [*drain.loss_windows(), *self._attaching.windows]
        if drain.missed.events:
            windows.append(unplaced_loss(started["monotonic_ns"], drain.missed.events))
        if failure is not None:
            reason = "error"
            add_unsaved(counts, windows, started["monotonic_ns"])
        status = None
        if self._command and reason == "command-exit":
            status = self._command.wait()
        metadata: TraceMetadata = {
            **self._at_start,
            "ended": ended,
            "end_reason": reason,
            "exit_status": status,
            "processes": self._census.processes(),
            "threads": self._census.threads(),
            "counts": counts,
            "loss_windows": windows,
            "filters": describe(self._options.filters, drain.filtered, self._cuts),
        }
        if failure is None:
            try:
                writer.finish(metadata)
            except OutputError as error:
                failure = error
        else:
            failure = writer.give_up(failure, metadata)
        if failure is not None:
            if self._command and status is None and self._interrupts < 2:
                self._wait_for_command()
            raise failure
        size = 0 if self._options.output is None else Path(self._options.output).stat().st_size
        if self._command and status is None and self._interrupts < 2:
            # A limit took the probes out; the command runs on as if nothing had been.
            status = self._wait_for_command()
        if self._command and status is None:
            status = 128 + signal.SIGINT  # the user left before the command ended
        return Result(metadata, size, status or 0)

    def _wait_for_command(self) -> int | None:
        """The command's exit status, or None after a second interrupt."""
        assert self._command is not None
        while not self._command.ended():
            received = self._signals.wait(_LOOK_SECONDS)
            if received and self._interrupt(received):
                return None
        return self._command.wait()
