"""Command: `dvc repro` with several stages at once.

    python -m pipeline.commands.repro --jobs 2

Stages that do not depend on each other run side by side, each on cores of its own; a core for which there is no stage
is lent to another. The number of threads of a stage stays that of params.yaml, because bytes depend on it: threads of
one stage then share cores. dvc.lock is the one that `dvc repro` writes. DVC does everything but start the commands, for
one stage at a time and under its own lock.

Time and memory of each stage are remembered. Of several stages that could start, the one with the longest way to the
end goes first; it waits until the memory that it took last time is available. After a failure, the stages that depend
on the failed one do not run; all others do.
"""

import argparse
import contextlib
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import networkx as nx
import psutil
from dvc.lock import LockError
from dvc.repo import Repo, locked
from dvc.repo.reproduce import get_active_graph, plan_repro
from dvc.repo.scm_context import scm_context
from dvc.stage import run as dvc_run
from dvc.stage.exceptions import StageCmdFailedError
from dvc.utils.serialize import modify_yaml
from rich.console import Console
from rich.live import Live
from rich.table import Table

from digits import errors
from digits.errors import InputError
from pipeline import json_file, params, runtime

LOCK = Path("dvc.lock")
LOGS = Path(".dvc/tmp/jobs")  # the output of each stage
HISTORY = LOGS / "history.json"  # by stage: `Job.to_dict` of the last time it ran
USUAL = {"seconds": 10.0, "bytes": 2e9}  # of a stage that did not run before
INTERVAL = 0.25  # seconds between two looks at the memory of a stage
TAIL = 20  # lines of a failed stage's output that are printed
GRACE = 5.0  # seconds between asking a stage to end and killing it


@dataclass
class Job:
    """A stage at work.

    Attributes:
        stage: DVC's stage.
        place: where its command runs: numbers of cores, or a worker.
        cores: which it may use at the moment: those of its place and idle ones.
        memory: bytes that it is expected to take.
        since: when its command started, in seconds of `time.monotonic`; None while DVC looks whether it must run.
        seconds, peak: how long its command took, and how many bytes it took at most, so far.
        total: how long it took with DVC's work and the exchange of data, in seconds.
        moved: how long a worker of a cluster took to exchange data, in seconds.
    """

    stage: Any
    place: Any
    memory: float
    cores: list[int] = field(default_factory=list)
    since: float | None = None
    seconds: float = 0.0
    peak: int = 0
    total: float = 0.0
    moved: float = 0.0

    def to_dict(self) -> dict[str, float]:
        """Return what the history keeps."""
        seconds = {"seconds": self.seconds, "total": self.total, "moved": self.moved}
        return {"bytes": self.peak} | {name: round(value, 1) for name, value in seconds.items()}


class Result(NamedTuple):
    """How a job ended: `error` is None if it did not fail, and `ran` whether there was anything to do."""

    job: Job
    ran: bool
    error: BaseException | None


@dataclass
class Outcome:
    """What became of all stages.

    Attributes:
        ran, unchanged: names of the stages that ran, or were restored from DVC's run cache, and that had nothing to do.
        failed: what went wrong, by the name of the stage.
        skipped: the failed stage that each of these depends on, by their names.
    """

    ran: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


class Jobs:
    """Runs the stages of a repository side by side, one at each of `places`: numbers of cores of this machine."""

    def __init__(self, repo: Repo, places: list[Any], console: Console) -> None:
        self.repo = repo
        self.graph = get_active_graph(repo.index.graph)  # edges lead to the stages that one depends on
        self.waiting: list[Any] = plan_repro(self.graph)
        self.free, self.console = list(places), console
        self.running: dict[str, Job] = {}
        self.results: queue.SimpleQueue[Result] = queue.SimpleQueue()
        self.dvc = threading.Lock()  # DVC is not made for threads
        self.stopped = False
        self.history: dict[str, dict[str, float]] = json_file.read(HISTORY) if HISTORY.exists() else {}
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Run all stages that are out of date, and those that depend on them."""
        LOGS.mkdir(parents=True, exist_ok=True)
        unlocked = mock.patch.object(dvc_run, "unlocked_repo", lambda function: function)
        commands = mock.patch.object(dvc_run, "cmd_run", self._run_command)
        view = Live(get_renderable=self._table, console=self.console, refresh_per_second=2, transient=True)
        done: set[Any] = set()
        with unlocked, commands, view:
            try:
                while self.waiting or self.running:
                    self._start(done)
                    result = self.results.get()
                    self._finish(result)
                    if not result.error:
                        done.add(result.job.stage)
            except KeyboardInterrupt:
                self.stopped = True
                for _ in self.running:
                    self.results.get()
                raise
            finally:
                json_file.write(HISTORY, self.history)
        return self.outcome

    def _start(self, done: set[Any]) -> None:
        """Start as many stages as there are free cores and memory for."""
        ready = [stage for stage in self.waiting if done.issuperset(self.graph.successors(stage))]
        new: list[Job] = []
        for stage in sorted(ready, key=self._seconds_to_the_end, reverse=True):
            memory = self._usual(stage, "bytes")
            if not self.free or (self.running and not self.has_room(memory)):
                break
            new.append(Job(stage, self.free.pop(), memory))
            self.waiting.remove(stage)
            self.running[stage.addressing] = new[-1]
        self.spread()
        for job in new:
            threading.Thread(target=self._work, args=(job,), daemon=True).start()

    def spread(self) -> None:
        """Lend the cores of idle places to the running jobs."""
        idle = [core for place in self.free for core in place]
        jobs = list(self.running.values())
        for number, job in enumerate(jobs):
            job.cores = sorted([*job.place, *idle[number :: len(jobs)]])

    def has_room(self, memory: float) -> bool:
        """Return whether there are so many bytes of memory beside what the running jobs will take."""
        promised = sum(max(0, job.memory - job.peak) for job in self.running.values())
        return memory <= psutil.virtual_memory().available - promised

    def _seconds_to_the_end(self, stage: Any) -> float:
        """Return how long this stage and the longest chain of those that depend on it take."""
        after = max((self._seconds_to_the_end(other) for other in self.graph.predecessors(stage)), default=0.0)
        return self._usual(stage, "seconds") + after

    def _usual(self, stage: Any, what: str) -> float:
        return self.history.get(stage.addressing, USUAL)[what]

    def _finish(self, result: Result) -> None:
        """Record how a job ended."""
        job, name = result.job, result.job.stage.addressing
        del self.running[name]
        self.free.append(job.place)
        if result.error:
            self.outcome.failed[name] = str(result.error)
            self.console.print(f"{name}: failed", style="red")
            after = nx.ancestors(self.graph, job.stage)
            self.outcome.skipped |= {stage.addressing: name for stage in self.waiting if stage in after}
            self.waiting = [stage for stage in self.waiting if stage not in after]
            return
        (self.outcome.ran if result.ran else self.outcome.unchanged).append(name)
        if job.since:
            self.history[name] = job.to_dict()
            self.console.print(f"{name:<30}{job.seconds:7.1f} s{job.peak / 1e6:8.0f} MB", highlight=False)

    def _work(self, job: Job) -> None:
        """Do what `dvc repro` does for one stage. Runs in a thread of its own."""
        try:
            with self.dvc:
                start = time.monotonic()
                ran = job.stage.reproduce(upstream=list(self.graph.successors(job.stage)))
                if ran:
                    job.stage.dump(update_pipeline=False)
                job.total = time.monotonic() - start
            self.results.put(Result(job, bool(ran), None))
        except BaseException as error:  # the main thread reports it
            self.results.put(Result(job, True, error))

    def _run_command(self, stage: Any, dry: bool = False, run_env: Any = None) -> None:
        """Run the command of a stage, while DVC works for other stages. Takes the place of DVC's own function."""
        job, log = self.running[stage.addressing], LOGS / f"{stage.addressing}.log"
        log.write_bytes(b"")  # the view of all jobs reads it
        self.dvc.release()
        try:
            job.since = time.monotonic()
            code = self.execute(job, log, run_env)
        finally:
            self.dvc.acquire()
        if code:
            raise StageCmdFailedError(stage.cmd, code)
        self.collect(job)

    def execute(self, job: Job, log: Path, run_env: Any) -> int:
        """Run the command of a stage on the cores of its job, and return its exit code."""
        bind(0, job.cores)  # this thread, and the processes that it starts
        with log.open("wb") as file:
            process = subprocess.Popen(
                dvc_run._make_cmd(dvc_run.get_executable(), job.stage.cmd),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches this process only, which ends the others
                **dvc_run.prepare_kwargs(job.stage, run_env=run_env),
            )
            self._wait(job, process)
        return process.returncode

    def collect(self, job: Job) -> None:
        """Do what is left when a command has succeeded; here nothing."""

    def _wait(self, job: Job, process: "subprocess.Popen[bytes]") -> None:
        """Wait for the end of a command, watch its memory, and end it when all shall stop."""
        while process.poll() is None:
            if self.stopped:
                end(process)
            with contextlib.suppress(psutil.Error):
                first = psutil.Process(process.pid)
                family = [first, *first.children(recursive=True)]
                job.peak = max(job.peak, sum(member.memory_info().rss for member in family))
                for thread in [thread for member in family for thread in member.threads()]:
                    bind(thread.id, job.cores)  # they may have changed
            time.sleep(INTERVAL)
            job.seconds = time.monotonic() - (job.since or 0.0)

    def _table(self) -> Table:
        """Return the view of all jobs: name, seconds, memory and the last line of output."""
        table = Table.grid(padding=(0, 2))
        for name, job in list(self.running.items()):
            if job.since:
                lines = (LOGS / f"{name}.log").read_text(errors="replace").replace("\r", "\n").split("\n")
                last = next((line for line in reversed(lines) if line.strip()), "")
                memory = f"{job.peak / 1e6:.0f} MB"
                table.add_row(name, f"{job.seconds:.0f} s", memory, last[:60])
        return table


def bind(thread: int, cores: list[int]) -> None:
    """Let a thread, 0 for the current one, run on these cores only. Elsewhere than on Linux the system chooses them."""
    with contextlib.suppress(AttributeError, OSError):  # no such function, or no such thread any more
        os.sched_setaffinity(thread, cores)


def end(process: "subprocess.Popen[bytes]") -> None:
    """End `process` and all that it started."""
    with contextlib.suppress(psutil.Error):
        first = psutil.Process(process.pid)
        family = [first, *first.children(recursive=True)]
        for member in family:
            with contextlib.suppress(psutil.Error):
                member.terminate()
        _, left = psutil.wait_procs(family, GRACE)
        for member in left:
            with contextlib.suppress(psutil.Error):
                member.kill()


def divide(jobs: int) -> list[list[int]]:
    """Return the cores of each of `jobs` jobs.

    Raises:
        InputError: more jobs than cores.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    if not 1 <= jobs <= len(cores):
        raise InputError(f"--jobs: found {jobs}. Allowed: 1 to {len(cores)}, the number of cores.")
    return [cores[number::jobs] for number in range(jobs)]


def reproduce(jobs: int, console: Console) -> Outcome:
    """Do what `dvc repro` does, with `jobs` stages at once.

    Raises:
        InputError: more jobs than cores, or DVC is at work here already.
    """
    cores = divide(jobs)
    return run_all(lambda repo: Jobs(repo, cores, console).run())


def run_all(how: Callable[[Repo], Outcome]) -> Outcome:
    """Run all stages by `how` under DVC's lock, and leave dvc.lock as `dvc repro` does.

    Raises:
        InputError: DVC is at work here already.
    """
    before = _names_in_lock()
    with Repo() as repo:
        run = locked(scm_context(how))
        order = [stage.name for stage in plan_repro(repo.index.graph)]
        try:
            outcome: Outcome = run(repo)
        except LockError as error:
            raise InputError(f"expected to be the only one who runs stages here, found another: {error}") from None
        finally:
            _sort_lock([*before, *order])
    return outcome


def _names_in_lock() -> list[str]:
    if not LOCK.exists():
        return []
    with modify_yaml(LOCK) as data:
        return list(data.get("stages", {}))


def _sort_lock(names: list[str]) -> None:
    """Put the stages in dvc.lock into the order of `names`: DVC appends a stage when it ends."""
    if not LOCK.exists():
        return
    with modify_yaml(LOCK) as data:
        data["stages"] = {name: data["stages"][name] for name in dict.fromkeys(names) if name in data["stages"]}


def describe(outcome: Outcome, seconds: float, console: Console) -> None:
    """Print what became of all stages.

    Raises:
        InputError: some failed.
    """
    for name, error in outcome.failed.items():
        log = LOGS / f"{name}.log"
        tail = log.read_text(errors="replace").splitlines()[-TAIL:] if log.exists() else []
        console.print(f"\n{name}: {error}", style="red", highlight=False)
        print(*tail, sep="\n", file=sys.stderr)
    if outcome.failed:
        left = ", ".join(f"{name} (needs {failed})" for name, failed in outcome.skipped.items()) or "none"
        raise InputError(f"failed: {', '.join(outcome.failed)}. Not run because of that: {left}.")
    console.print(f"{len(outcome.ran)} stages ran, {len(outcome.unchanged)} were up to date; {seconds:.0f} s")


def main() -> None:
    """Read the command line and run the stages.

    Raises:
        InputError: wrong parameters, more jobs than cores, DVC is at work here already, or a stage failed.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="stages at once")
    jobs = parser.parse_args().jobs
    params.load()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the stages, as Ctrl-C does
    console, start = Console(highlight=False), time.monotonic()
    logging.getLogger("dvc").setLevel(logging.ERROR)
    describe(reproduce(jobs, console), time.monotonic() - start, console)


if __name__ == "__main__":
    errors.run(main, runtime.ADVICE)
