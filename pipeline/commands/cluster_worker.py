"""What a machine of a cluster does: it runs stages in a clone of its own and exchanges their results through a remote.

Ray sends the class to the workers by value, so that they need the packages of requirements.lock, but no copy of this
repository; it therefore imports nothing of it.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
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
    """Runs stages in a clone.

    Args:
        bundle: the repository at the commit to build, from `git bundle create`.
        remote: the configuration of the DVC remote through which results are exchanged.
        number: of this worker, from 0.
    """

    def __init__(self, bundle: bytes, remote: dict[str, Any], number: int) -> None:
        self.number, self.busy = number, threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):  # by workers that were killed
            if not psutil.pid_exists(int(left.name.split("-")[2])):
                shutil.rmtree(left, ignore_errors=True)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self.clone = self.folder / "clone"
        packed = self.folder / "bundle"
        packed.write_bytes(bundle)
        subprocess.run(["git", "clone", "--quiet", str(packed), str(self.clone)], check=True)
        packed.unlink()
        self.config = {"core": {"remote": "cluster", "analytics": False}, "remote": {"cluster": remote}}
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        for name in ("DVC_ROOT", "DVC_STAGE", "PYTHONPATH"):
            os.environ.pop(name, None)

    def close(self) -> None:
        """End the stage that runs, and delete the clone."""
        while not self.busy.acquire(timeout=INTERVAL):  # kept, so that no other stage starts
            if self.process:
                _kill(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def about(self) -> dict[str, Any]:
        """Return the name of this machine, packages that differ from requirements.lock, and the kind of processor."""
        found = subprocess.run([sys.executable, "-c", FINGERPRINT], cwd=self.clone, capture_output=True, text=True)
        unlocked, processor = json.loads(found.stdout or "[{}, null]")
        return {"host": socket.gethostname(), "unlocked": unlocked, "processor": processor, "error": found.stderr}

    def run(self, name: str, lock: str, files: dict[str, bytes]) -> dict[str, Any]:
        """Run a stage and push its outputs to the remote.

        Args:
            name: of the stage.
            lock: the content of dvc.lock, which knows the stages before.
            files: outputs of these that are not in the remote, by their paths.

        Returns:
            code: the exit code of the command, log: what it printed, seconds: how long it took, bytes: its memory at
            most, moved: the seconds of fetching and pushing, and of the outputs: hashes, and files that no cache has.
        """
        with self.busy:
            return self._run(name, lock, files)

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
            wanted = [path for dep in stage.deps for path in made if _overlap(dep.def_path, path)]
            if wanted:
                repo.pull(targets=sorted(set(wanted)), force=True, jobs=4)
            stage.remove_outs(ignore_remove=False, force=False)
            fetched = time.monotonic()
            with tempfile.TemporaryFile() as log:
                self.process = subprocess.Popen(
                    dvc_run._make_cmd(dvc_run.get_executable(), stage.cmd),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # to be killed with all that it starts
                    **dvc_run.prepare_kwargs(stage),
                )
                peak = _wait(self.process)
                ended = time.monotonic()
                log.seek(0)
                found = {"code": self.process.returncode, "log": log.read(), "seconds": ended - fetched, "bytes": peak}
            if not found["code"]:
                stage.save(run_cache=False)
                stage.commit()
                stage.dump(update_pipeline=False)
                repo.push(targets=[name], jobs=4)
                found["hashes"] = {out.def_path: out.hash_info.value for out in stage.outs if out.use_cache}
                uncached = [file for out in stage.outs if not out.use_cache for file in _files(Path(out.def_path))]
                found["files"] = {file.as_posix(): file.read_bytes() for file in uncached}
            found["moved"] = fetched - start + time.monotonic() - ended
        return found


def _overlap(path: str, other: str) -> bool:
    """Return whether one of two paths is the other or below it."""
    first, second = Path(path), Path(other)
    return first == second or first in second.parents or second in first.parents


def _files(path: Path) -> list[Path]:
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
