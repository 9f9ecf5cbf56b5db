"""Command: `dvc repro`, or DVC's queue of experiments, on the machines of a Ray cluster.

    python -m pipeline.commands.cluster repro --workers 2                       processes on this machine
    python -m pipeline.commands.cluster repro --workers 8 --address HOST:6379   machines where Ray runs
    python -m pipeline.commands.cluster queue --workers 8                       what `dvc exp run --queue` has queued

Each worker has a clone of its own at the same commit and runs one stage at a time. Results are exchanged through a DVC
remote that all of them reach: a shared folder, S3, or what else DVC supports. This process, the coordinator, keeps
order: it decides which stage runs next as `pipeline.commands.repro` does, takes the outputs into its own workspace and
writes dvc.lock, so that at the end the workspace is that of `dvc repro`. A stage whose worker dies is run again by
another. Stages that depend on no other stage run here, since data/own and a download cache may be here only.

An experiment of the queue runs as a whole on one worker. Afterwards `dvc exp show` lists it, and `dvc exp apply` takes
it over, as if it had run here.
"""

import argparse
import contextlib
import io
import json
import logging
import os
import queue
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
import zipfile
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import networkx as nx
import yaml
from dvc.exceptions import DownloadError, DvcException
from dvc.repo import Repo
from dvc_data.hashfile.hash_info import HashInfo
from rich.console import Console

from digits import errors
from digits.errors import InputError
from pipeline import params, runtime
from pipeline.commands import cluster_worker, repro
from pipeline.commands.repro import Job, Jobs, Outcome
from pipeline.fingerprints import records

try:
    import ray
except ImportError:  # an extra
    ray = None

AUTHENTICATION = (
    ". If it asks for a token, as by default: export RAY_AUTH_MODE=token, with the same ~/.ray/auth_token everywhere"
)
EXEMPT = ("dvc.lock", ".dvc/config")  # may differ from the commit: the workers get them from here
ATTEMPTS = 4  # of a stage whose workers die
POLL, TIMEOUT, CLOSING = 0.25, 5, 60  # seconds: between looks at an answer, for the first one, for workers to end


class ClusterJobs(Jobs):
    """Runs stages on workers.

    Args:
        workers: handles of Ray actors of the class `Worker`.
        packed: a reference to the repository, from `git bundle create`.
        address: of the cluster, None for processes of this machine.
    """

    def __init__(self, repo: Repo, workers: list[Any], packed: Any, console: Console, address: str | None) -> None:
        super().__init__(repo, workers, console)
        self.packed, self.address = packed, address
        self.uncached = {out.def_path for stage in repo.index.stages for out in stage.outs if not out.use_cache}
        self.found: dict[str, dict[str, Any]] = {}

    def has_room(self, memory: float) -> bool:
        """Return whether there is memory for a stage; on machines that are not this one, Ray knows."""
        return True

    def spread(self) -> None:
        """Do nothing; workers are not lent."""

    def execute(self, job: Job, log: Path, run_env: Any) -> int:
        """Run the command of a stage on a worker, or here if it depends on no other stage."""
        if not self.graph.out_degree(job.stage):
            job.cores = list(range(os.cpu_count() or 1))
            return super().execute(job, log, run_env)
        name = job.stage.addressing
        lock = outputs_of(repro.LOCK.read_text(), [other.name for other in nx.descendants(self.graph, job.stage)])
        needed = [path for path in self.uncached for dep in job.stage.deps if _below(path, dep.def_path)]
        files = {path: Path(path).read_bytes() for path in needed}

        def wait() -> None:
            job.seconds = time.monotonic() - (job.since or 0.0)
            if self.stopped:
                raise KeyboardInterrupt

        found = answer_of(
            name, lambda: job.place.run.remote(self.packed, name, lock, files), wait, self.console, self.address
        )
        self.found[name] = found
        log.write_bytes(found["log"])
        job.seconds, job.peak, job.moved = found["seconds"], found["bytes"], found["moved"]
        return int(found["code"])

    def collect(self, job: Job) -> None:
        """Take the outputs of a stage from the remote into this workspace."""
        found = self.found.pop(job.stage.addressing, None)
        if not found:  # it ran here: workers need its outputs
            job.stage.save(run_cache=False)
            job.stage.commit()
            self.repo.cloud.push([ids for out in job.stage.outs for ids in _objects(out)])
            return
        for path, content in found["files"].items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_bytes(content)
        for out in job.stage.outs:
            if out.use_cache:
                out.hash_info = HashInfo("md5", found["hashes"][out.def_path])
        self.repo.cloud.pull([ids for out in job.stage.outs for ids in _objects(out)])
        for out in job.stage.outs:
            out.checkout(force=True)


def outputs_of(lock: str, names: Collection[str]) -> str:
    """Return what `lock`, the content of dvc.lock, says of the outputs of some stages.

    A worker needs no more, and DVC, which reads it several times for a stage, takes almost a second to read all of it.
    The result is JSON, which is YAML without ambiguities.
    """
    stages = yaml.load(lock, Loader=yaml.CSafeLoader)["stages"]
    known = {name: {"cmd": stages[name]["cmd"], "outs": stages[name]["outs"]} for name in names if name in stages}
    return json.dumps({"schema": "2.0", "stages": known})


def answer_of(
    name: str, ask: Callable[[], Any], wait: Callable[[], None], console: Console, address: str | None
) -> dict[str, Any]:
    """Return what a worker answers; one that dies is asked again.

    Args:
        name: what the worker does, for messages.
        ask: asks the worker.
        wait: called every POLL seconds.
        console: where is printed that a worker died.
        address: of the cluster, None for processes of this machine.

    Raises:
        InputError: ATTEMPTS workers died, the cluster has gone, or the worker could not exchange data.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            answer = ask()
            while not ray.wait([answer], timeout=POLL)[0]:
                wait()
            found: dict[str, Any] = ray.get(answer)
            return found
        except ray.exceptions.RayActorError as error:
            if address and (reason := _silence(address)):
                raise InputError(
                    f"{name}: the cluster at {address} does not answer any more ({reason}). What was done is kept: "
                    "start Ray there again and repeat the command."
                ) from None
            if attempt == ATTEMPTS:
                raise InputError(f"{name}: {ATTEMPTS} workers died. The last message: {error}") from None
            console.print(f"{name}: its worker died; it runs again", style="yellow")
        except ray.exceptions.RayTaskError as error:
            raise InputError(f"{name}: its worker could not exchange data: {error.cause}") from None
    raise AssertionError


def _objects(out: Any) -> set[HashInfo]:
    """Return what DVC stores of an output."""
    found: set[HashInfo] = out.get_used_objs().get(None, set())
    return found


def _below(path: str, folder: str) -> bool:
    return Path(path) == Path(folder) or Path(folder) in Path(path).parents


def check_committed(repo: Repo) -> str:
    """Return the commit to build.

    Raises:
        InputError: files that git tracks were changed, other than EXEMPT and outputs of stages.
    """
    outputs = [out.def_path for stage in repo.index.stages for out in stage.outs]
    status = _git("status", "--porcelain", "--untracked-files=no").decode().splitlines()
    changed = [line[3:].split(" -> ")[-1] for line in status]
    changed = [path for path in changed if path not in EXEMPT and not any(_below(path, out) for out in outputs)]
    if changed:
        raise InputError(
            f"expected a committed state, which the workers can clone, found changes in {', '.join(changed)}. "
            "Commit them, or put them aside with `git stash`."
        )
    return _git("rev-parse", "HEAD").decode().strip()


def remote_of(repo: Repo, name: str | None) -> dict[str, Any]:
    """Return the configuration of a DVC remote, by default the default one.

    Raises:
        InputError: there is none of that name, it cannot be written, or it is read-only.
    """
    name = name or repo.config["core"].get("remote")
    known = repo.config["remote"]
    if name not in known:
        found = f"found {name!r}" if name else "found no default remote"
        raise InputError(
            f"expected a DVC remote that all workers reach, {found}. Known: {', '.join(known) or 'none'}. "
            "Add one: dvc remote add --default storage /a/shared/folder"
        )
    remote: dict[str, Any] = dict(known[name])
    folder = Path(remote["url"])
    if "://" not in remote["url"]:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"remote {name!r}: {folder} cannot be made: {error.strerror}.") from None
        if not os.access(folder, os.W_OK):
            raise InputError(f"remote {name!r}: expected a writable folder, found {folder}, which is read-only.")
    elif remote["url"].startswith("http"):
        raise InputError(f"remote {name!r}: expected one that can be written, found {remote['url']}.")
    return remote


@contextlib.contextmanager
def started(address: str | None, workers: int, remote: dict[str, Any]) -> Iterator[list[Any]]:
    """Yield the actors, one per worker; without an address in processes of this machine. At the end they are gone.

    Raises:
        InputError: Ray is not installed, does not answer, or has not that many cores.
    """
    if ray is None:
        raise InputError("expected Ray, found none. Install it: uv pip install --group cluster")
    if workers < 1:
        raise InputError(f"--workers: found {workers}. Expected at least 1.")
    if address:
        host, _, port = address.rpartition(":")
        if not (host and port.isdigit()):
            raise InputError(f"--address: found {address!r}. Expected HOST:PORT, as `ray start --head` prints it.")
        if reason := _silence(address):
            raise InputError(
                f"--address: nothing answers at {address} ({reason}). Start Ray there: ray start --head --port {port}"
            )
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            ray.init("local", num_cpus=workers, include_dashboard=False, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        hint = AUTHENTICATION if address else ""
        raise InputError(f"Ray cannot be used: {str(error).splitlines()[0]}{hint}") from None
    try:
        cores = int(ray.cluster_resources().get("CPU", 0))
        if workers > cores:
            raise InputError(f"--workers: found {workers}. Allowed: 1 to {cores}, the number of cores in the cluster.")
        ray.cloudpickle.register_pickle_by_value(cluster_worker)
        actor = ray.remote(cluster_worker.Worker).options(num_cpus=1, max_restarts=-1, max_concurrency=2)
        actors = [actor.remote(remote, number) for number in range(workers)]
        try:
            yield actors
        finally:
            ray.wait([actor.close.remote() for actor in actors], num_returns=len(actors), timeout=CLOSING)
            for actor in actors:
                ray.kill(actor)
    finally:
        ray.shutdown()


def _silence(address: str) -> str:
    """Return why nothing answers at HOST:PORT; empty if something does."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=TIMEOUT).close()
    except OSError as error:
        return str(error)
    return ""


def describe(workers: list[Any], packed: Any, repo: Repo, console: Console) -> None:
    """Print what the workers are, and in what they differ from this machine.

    Raises:
        InputError: a worker lacks what it needs, or sees another remote.
    """
    here, own = records.file_name(records.this_processor()), runtime.unlocked()
    with _mark(repo) as mark:
        found = ray.get([worker.about.remote(packed, mark) for worker in workers])
    for number, about in enumerate(found):
        if about["error"]:
            raise InputError(f"worker {number} on {about['host']} cannot run stages: {about['error'].strip()}")
        console.print(f"worker {number}: {about['host']}, {about['processor']}")
        if about["unlocked"] != own:
            versions = "; ".join(f"{name} {found}" for name, found in about["unlocked"].items()) or "those locked"
            console.print(f"  other packages than here: {versions}. Bytes may differ.", style="yellow")
        if about["processor"] != here:
            known = (records.FOLDER / f"{about['processor']}.json").exists()
            seen = "was compared with others: see docs/reproducibility.md" if known else "is in no record of ours"
            console.print(f"  another processor than here, {here}; it {seen}.", style="yellow")


@contextlib.contextmanager
def _mark(repo: Repo) -> Iterator[str]:
    """Yield the name of an empty file in the remote, by which workers see that theirs is the same."""
    store, name = repo.cloud.get_remote_odb(), f"{uuid.uuid4().hex}.mark"
    path = store.fs.join(store.path, name)
    try:
        store.fs.makedirs(store.path, exist_ok=True)
        store.fs.pipe_file(path, b"")
    except Exception as error:  # of any kind of remote
        raise InputError(f"the remote {store.path} cannot be used: {error}") from None
    try:
        yield name
    finally:
        store.fs.remove(path)


@contextlib.contextmanager
def connected(
    address: str | None, workers: int, remote: str | None, console: Console
) -> Iterator[tuple[list[Any], Any, dict[str, Any]]]:
    """Yield workers that have the last commit and were described, a reference to it, and the remote's configuration.

    Raises:
        InputError: uncommitted changes, or an unsuitable remote or cluster.
    """
    with Repo() as repo:
        check_committed(repo)
        shared = remote_of(repo, remote)
        bundle = _git("bundle", "create", "--quiet", "-", "HEAD")
        with started(address, workers, shared) as actors:
            use(repo, shared)
            packed = ray.put(bundle)
            describe(actors, packed, repo, console)
            yield actors, packed, shared


def use(repo: Repo, remote: dict[str, Any]) -> None:
    """Let `repo` exchange data with this remote by default."""
    repo.config["core"]["remote"], repo.config["remote"]["cluster"] = "cluster", remote


def reproduce(address: str | None, workers: int, remote: str | None, console: Console) -> Outcome:
    """Do what `dvc repro` does, on `workers` workers.

    Raises:
        InputError: uncommitted changes, an unsuitable remote or cluster, or DVC is at work here already.
    """
    with connected(address, workers, remote, console) as (actors, packed, shared):

        def run(repo: Repo) -> Outcome:
            use(repo, shared)
            repo.push(run_cache=False)
            return ClusterJobs(repo, actors, packed, console, address).run()

        try:
            return repro.run_all(run)
        except DvcException as error:
            raise InputError(f"the remote cannot be used: {error}") from None


def run_queue(address: str | None, workers: int, remote: str | None, console: Console) -> dict[str, str]:
    """Run all experiments in DVC's queue on `workers` workers; those that succeed leave the queue.

    Returns:
        What went wrong, by the name of the experiment; empty if nothing did.

    Raises:
        InputError: an unsuitable remote or cluster, or the queue is empty.
    """
    with Repo() as repo:
        entries = list(repo.experiments.celery_queue._iter_queued())
    if not entries:
        raise InputError("expected queued experiments, found none. Queue some: dvc exp run --queue -S KEY=VALUE,VALUE")
    failed: dict[str, str] = {}
    dvc, stopped = threading.Lock(), threading.Event()  # DVC is not made for threads
    with connected(address, workers, remote, console) as (actors, packed, shared), Repo() as repo:
        use(repo, shared)
        free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for actor in actors:
            free.put(actor)
        repo.push(run_cache=False)

        def wait() -> None:
            if stopped.is_set():
                raise KeyboardInterrupt

        def run(queued: Any) -> None:
            message, entry = queued
            actor = free.get()
            try:
                wait()
                commits = _bundle(entry.stash_rev), entry.stash_rev, entry.baseline_rev
                how = (packed, entry.name, *commits, *_copied(message))
                found = answer_of(entry.name, lambda: actor.experiment.remote(*how), wait, console, address)
            except InputError as error:
                failed[entry.name] = str(error)
                return
            finally:
                free.put(actor)
            log = repro.LOGS / f"{entry.name}.log"
            log.write_bytes(found["log"])
            if found["code"]:
                failed[entry.name] = f"ended with exit code {found['code']}; it printed {log}"
                console.print(f"{entry.name}: failed", style="red")
                return
            with dvc, tempfile.NamedTemporaryFile() as bundle:
                bundle.write(found["bundle"])
                bundle.flush()
                _git("fetch", "--quiet", bundle.name, f"{found['ref']}:{found['ref']}")
                with contextlib.suppress(DownloadError):  # what was built neither here nor there
                    repo.fetch(revs=[found["ref"]], workspace=False)
                repo.experiments.celery_queue.remove([entry.name])
            console.print(f"{entry.name:<30}{found['seconds']:7.1f} s{found['bytes'] / 1e6:8.0f} MB", highlight=False)

        repro.LOGS.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(workers) as pool:
            try:
                list(pool.map(run, entries))
            except KeyboardInterrupt:
                stopped.set()
                raise
    return failed


def _copied(message: Any) -> tuple[list[str], bytes]:
    """Return the paths that an experiment of the queue takes along (`--copy-paths`), and their files as a ZIP archive.

    Raises:
        InputError: one is missing.
    """
    _, options, _ = message.decode()
    paths: list[str] = options.get("copy_paths") or []
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in paths:
            if not Path(path).exists():
                raise InputError(f"expected {path}, which --copy-paths names, found no such file or folder.")
            for file in cluster_worker.files_of(Path(path)):
                archive.write(file, file.as_posix())
    return paths, content.getvalue()


def _bundle(commit: str) -> bytes:
    """Return a commit that no branch leads to, as a bundle."""
    name = f"refs/cluster/{commit}"
    _git("update-ref", name, commit)
    try:
        return _git("bundle", "create", "--quiet", "-", name, "^HEAD")
    finally:
        _git("update-ref", "-d", name)


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], check=True, stdout=subprocess.PIPE).stdout


def main() -> None:
    """Read the command line and run the stages or experiments.

    Raises:
        InputError: see `reproduce` and `run_queue`; or something failed.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["repro", "queue"])
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="stages or experiments at once; one core each"
    )
    parser.add_argument("--address", help="HOST:PORT of a Ray cluster; by default workers are processes here")
    parser.add_argument("--remote", help="the name of a DVC remote; by default the default one")
    how = parser.parse_args()
    params.load()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the stages, as Ctrl-C does
    console, begin = Console(highlight=False), time.monotonic()
    logging.getLogger("dvc").setLevel(logging.ERROR)
    if how.command == "repro":
        outcome = reproduce(how.address, how.workers, how.remote, console)
        repro.describe(outcome, time.monotonic() - begin, console)
        return
    failed = run_queue(how.address, how.workers, how.remote, console)
    if failed:
        described = "; ".join(f"{name}: {error}" for name, error in failed.items())
        raise InputError(f"these experiments failed and stay in the queue: {described}")
    console.print(f"all experiments ran; {time.monotonic() - begin:.0f} s. See `dvc exp show`")


if __name__ == "__main__":
    errors.run(main, runtime.ADVICE)
