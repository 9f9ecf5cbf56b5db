"""What a machine of a cluster does: it runs stages in a clone of its own and exchanges their results through a remote.

Ray sends the class to the workers by value, so that they need the packages of requirements.lock, but no copy of this
repository; it therefore imports nothing of it.
"""

import contextlib
import io
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

PREFIX = "digits-worker-"  # of the folders of workers, before the number of the process
INTERVAL = 0.25  # seconds between two looks at the memory of a stage
FINGERPRINT = """
import json
from pipeline import runtime
from pipeline.fingerprints import records

print(json.dumps([runtime.unlocked(), records.file_name(records.this_processor())]))
"""


class Worker:
    """Runs stages in a clone. Its methods take the repository, at the commit to build, as `git bundle create` packs it:
    Ray may start a worker again at any time.

    Args:
        remote: the configuration of the DVC remote through which results are exchanged.
        number: of this worker, from 0.
    """

    def __init__(self, remote: dict[str, Any], number: int) -> None:
        self.number, self.busy = number, threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):  # by workers that were killed
            if not psutil.pid_exists(int(left.name.split("-")[2])):
                shutil.rmtree(left, ignore_errors=True)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self.clone = self.folder / "clone"
        self.config: dict[str, Any] = {"core": {"remote": "cluster", "analytics": False}, "remote": {"cluster": remote}}
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        for name in ("DVC_ROOT", "DVC_STAGE", "PYTHONPATH"):
            os.environ.pop(name, None)
        os.environ["DVC_NO_ANALYTICS"] = "1"

    def _prepare(self, bundle: bytes) -> None:
        """Clone the repository, if that was not done before."""
        if not self.clone.exists():
            packed = self.folder / "bundle"
            packed.write_bytes(bundle)
            subprocess.run(["git", "clone", "--quiet", str(packed), str(self.clone)], check=True)
            packed.unlink()
            for key, field in (("user.name", "%an"), ("user.email", "%ae")):  # experiments are commits
                self._git("config", key, self._git("log", "-1", f"--format={field}").strip())

    def close(self) -> None:
        """End the stage that runs, and delete the clone."""
        while not self.busy.acquire(timeout=INTERVAL):  # kept, so that no other stage starts
            if self.process:
                _kill(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def about(self, bundle: bytes, mark: str) -> dict[str, Any]:
        """Return what this machine is: host, unlocked (packages that differ from requirements.lock), processor, error.

        Args:
            bundle: see above.
            mark: the name of a file that the coordinator has put into the remote.
        """
        self._prepare(bundle)
        found = subprocess.run([sys.executable, "-c", FINGERPRINT], cwd=self.clone, capture_output=True, text=True)
        unlocked, processor = json.loads(found.stdout or "[{}, null]")
        error = found.stderr or self._difference_of_remotes(mark)
        return {"host": socket.gethostname(), "unlocked": unlocked, "processor": processor, "error": error}

    def _difference_of_remotes(self, mark: str) -> str:
        """Return what is wrong if the remote is not the coordinator's, or cannot be written."""
        from dvc.repo import Repo

        url = self.config["remote"]["cluster"]["url"]
        with Repo(str(self.clone), config=self.config) as repo:
            store = repo.cloud.get_remote_odb()
            try:
                if not store.fs.exists(store.fs.join(store.path, mark)):
                    return f"the remote {url} is not the one of the coordinator."
                own = store.fs.join(store.path, f"{mark}-{self.number}")
                store.fs.pipe_file(own, b"")
                store.fs.remove(own)
            except Exception as error:  # of any kind of remote
                return f"the remote {url} cannot be used: {error}"
        return ""

    def run(self, bundle: bytes, name: str, lock: str, files: dict[str, bytes]) -> dict[str, Any]:
        """Run a stage and push its outputs to the remote.

        Args:
            bundle: see above.
            name: of the stage.
            lock: the content of dvc.lock, with the outputs of the stages before.
            files: outputs of these that are not in the remote, by their paths.

        Returns:
            code: the exit code of the command, log: what it printed, seconds: how long it took, bytes: its memory at
            most, moved: the seconds of fetching and pushing, and of the outputs: hashes, and files that no cache has.
        """
        with self.busy, _explained():
            self._prepare(bundle)
            return self._run(name, lock, files)

    def experiment(
        self, bundle: bytes, name: str, packed: bytes, commit: str, baseline: str, paths: list[str], files: bytes
    ) -> dict[str, Any]:
        """Run an experiment of DVC's queue and push its outputs to the remote.

        Args:
            bundle: see above.
            name: of the experiment.
            packed: its commit in DVC's queue, from `git bundle create`.
            commit, baseline: the name of that commit, and of the one that it changes.
            paths: what git does not track and the experiment needs.
            files: at these paths, as a ZIP archive.

        Returns:
            code: the exit code, log: what was printed, seconds and bytes: what it took, ref: where git keeps the
            result, and bundle: the commit at ref, from `git bundle create`.
        """
        with self.busy, _explained():
            self._prepare(bundle)
            try:
                with zipfile.ZipFile(io.BytesIO(files)) as archive:
                    archive.extractall(self.clone)
                return self._experiment(name, packed, commit, baseline)
            finally:
                if paths:
                    self._git("clean", "-ffdxq", "--", *paths)

    def _run(self, name: str, lock: str, files: dict[str, bytes]) -> dict[str, Any]:
        from dvc.repo import Repo, lock_repo
        from dvc.stage import run as dvc_run

        (self.clone / "dvc.lock").write_text(lock)
        for path, content in files.items():
            (self.clone / path).parent.mkdir(parents=True, exist_ok=True)
            (self.clone / path).write_bytes(content)
        with Repo(str(self.clone), config=self.config) as repo, contextlib.chdir(self.clone), lock_repo(repo):
            start = time.monotonic()
            (stage,) = repo.stage.collect(name)
            made = {out.def_path: out for other in repo.index.stages for out in other.outs if out.use_cache}
            read = [*(dep.def_path for dep in stage.deps), *(stage.meta or {}).get("reads", [])]
            wanted = [path for path in made if any(_overlap(one, path) for one in read)]
            if wanted:
                repo.pull(targets=sorted(wanted), force=True, jobs=4)
            stage.remove_outs(ignore_remove=False, force=False)
            fetched = time.monotonic()
            command = dvc_run._make_cmd(dvc_run.get_executable(), stage.cmd)
            found = self._call(command, **dvc_run.prepare_kwargs(stage))
            ended = time.monotonic()
            if not found["code"]:
                stage.save(run_cache=False)
                stage.commit()
                stage.dump(update_pipeline=False)
                repo.push(targets=[name], jobs=4)
                found["hashes"] = {out.def_path: out.hash_info.value for out in stage.outs if out.use_cache}
                uncached = [file for out in stage.outs if not out.use_cache for file in files_of(Path(out.def_path))]
                found["files"] = {file.as_posix(): file.read_bytes() for file in uncached}
            found["moved"] = fetched - start + time.monotonic() - ended
        return found

    def _experiment(self, name: str, packed: bytes, commit: str, baseline: str) -> dict[str, Any]:
        from dvc.repo import Repo
        from dvc.repo.experiments.executor.base import BaseExecutor

        with tempfile.NamedTemporaryFile(dir=self.folder) as bundle:
            bundle.write(packed)
            bundle.flush()
            self._git("fetch", "--quiet", bundle.name, commit)
        self._git("checkout", "--quiet", "--force", "--detach", baseline)
        self._git("restore", f"--source={commit}", ".")
        packed_arguments = self.clone / ".dvc/tmp" / BaseExecutor.PACKED_ARGS_FILE
        arguments, options = BaseExecutor.unpack_repro_args(str(packed_arguments))
        packed_arguments.unlink()
        targets = list(arguments[0] if arguments else options.get("targets") or [])
        with Repo(str(self.clone), config=self.config) as repo, contextlib.chdir(self.clone):
            repo.pull(targets=targets, with_deps=bool(targets), force=True, allow_missing=True, jobs=4)
        found = self._call([sys.executable, "-m", "dvc", "exp", "run", "--name", name, *targets], cwd=self.clone)
        if not found["code"]:
            with Repo(str(self.clone), config=self.config) as repo, contextlib.chdir(self.clone):
                repo.push(targets=targets, with_deps=bool(targets), jobs=4)
            refs = self._git("for-each-ref", "--format=%(refname)", "refs/exps").split()
            found["ref"] = next(ref for ref in refs if ref.endswith(f"/{name}"))
            found["bundle"] = subprocess.check_output(
                ["git", "bundle", "create", "--quiet", "-", found["ref"], "^HEAD"], cwd=self.clone
            )
        return found

    def _git(self, *arguments: str) -> str:
        return subprocess.check_output(["git", *arguments], cwd=self.clone, text=True)

    def _call(self, command: Any, **how: Any) -> dict[str, Any]:
        """Run a command; return its exit code, what it printed, and the seconds and bytes that it took."""
        start = time.monotonic()
        with tempfile.TemporaryFile() as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # to be killed with all that it starts
                **how,
            )
            peak = _wait(self.process)
            seconds = time.monotonic() - start
            log.seek(0)
            return {"code": self.process.returncode, "log": log.read(), "seconds": seconds, "bytes": peak}


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Let errors of DVC say what went wrong with a file. DVC itself only logs that."""
    reasons: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info:
                reasons.append(str(record.exc_info[1]))

    handler, loggers = Keep(), [logging.getLogger(name) for name in ("dvc", "dvc_data", "dvc_objects")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    except Exception as error:
        raise OSError("; ".join(dict.fromkeys([str(error), *reasons]))) from None
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


def _overlap(path: str, other: str) -> bool:
    """Return whether one of two paths is the other or below it."""
    first, second = Path(path), Path(other)
    return first == second or first in second.parents or second in first.parents


def files_of(path: Path) -> list[Path]:
    """Return the files in a folder, in order, or the file itself."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process and all that it started."""
    with contextlib.suppress(psutil.Error, OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        for member in [*psutil.Process(process.pid).children(recursive=True), process]:
            member.kill()


def _wait(process: "subprocess.Popen[bytes]") -> int:
    """Wait for the end of a process, and return how many bytes it and its children took at most."""
    peak = 0
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            first = psutil.Process(process.pid)
            peak = max(peak, sum(member.memory_info().rss for member in [first, *first.children(recursive=True)]))
        time.sleep(INTERVAL)
    return peak
