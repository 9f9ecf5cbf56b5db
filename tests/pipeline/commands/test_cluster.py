import csv
import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import psutil
import pytest
import yaml
from dvc.repo import Repo
from dvc_objects.fs.local import LocalFileSystem
from rich.console import Console
from ruamel.yaml import YAML

from digits.errors import InputError
from pipeline.commands import cluster, cluster_worker, repro
from tests.conftest import IDENTITY, call

ray = pytest.importorskip("ray")
cluster_utils = pytest.importorskip("ray.cluster_utils")

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs a shell, and several nodes of Ray on one machine"),
    pytest.mark.filterwarnings("ignore"),  # of Ray, DVC and what they use
]
DIE_ONCE = """
import pathlib, psutil
seen = pathlib.Path({seen!r})
if not seen.exists():
    seen.touch()
    next(parent for parent in psutil.Process().parents() if parent.name().startswith("ray")).kill()
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Return the address of a cluster of two machines, each a process of Ray's with one core."""
    hosts = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    hosts.add_node(num_cpus=1)
    hosts.wait_for_nodes()
    yield hosts.address
    hosts.shutdown()


@pytest.fixture
def console() -> Console:
    """Return a console that keeps what is printed."""
    return Console(record=True, width=200)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that makes the current folder a committed repository with the given stages and a remote."""
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    call(folder, "git", "init", "--quiet")
    call(folder, "dvc", "init", "--quiet")
    call(folder, "dvc", "remote", "add", "--default", "--quiet", "storage", str(tmp_path / "storage"))

    def make(**stages: tuple[str, list[str], Any]) -> None:
        described = {name: {"cmd": cmd, "deps": deps, "outs": outs} for name, (cmd, deps, outs) in stages.items()}
        Path("dvc.yaml").write_text(yaml.safe_dump({"stages": described}, sort_keys=False))
        call(folder, "git", "add", "-A")
        call(folder, "git", *IDENTITY, "commit", "--quiet", "--message", "stages")

    return make


def left_over() -> list[Path]:
    """Return the folders of workers that have ended."""
    folders = Path(tempfile.gettempdir()).glob(f"{cluster_worker.PREFIX}*")
    return [folder for folder in folders if not psutil.pid_exists(int(folder.name.split("-")[2]))]


PIPELINE = {
    "a": ("echo a > a", [], ["a"]),
    "b": ("cat a > b; pwd >&2", ["a"], ["b"]),
    "c": ("mkdir -p c/d; cat a > c/x; echo c > c/d/y", ["a"], ["c"]),
    "d": ("cat b c/x c/d/y > d", ["b", "c"], [{"d": {"cache": False}}]),
    "e": ("cat d > e", ["d", "c/d"], ["e"]),
}


def test_a_stage_gets_what_it_reads_beside_its_dependencies(
    repository: Callable[..., None], address: str, console: Console
) -> None:
    repository(a=("echo a > a", [], ["a"]), b=("cat a > b", ["a"], ["b"]), c=("cat b > c", ["b"], ["c"]))
    cluster.reproduce(address, 1, None, console)
    described = yaml.safe_load(Path("dvc.yaml").read_text())
    described["stages"]["c"] |= {"cmd": "cat a b > c", "meta": {"reads": ["a"]}}
    Path("dvc.yaml").write_text(yaml.safe_dump(described, sort_keys=False))
    call(Path(), "git", "add", "-A")
    call(Path(), "git", *IDENTITY, "commit", "--quiet", "--message", "c reads a")
    outcome = cluster.reproduce(address, 1, None, console)  # on a new worker, which has run no other stage
    assert outcome.ran == ["c"]
    assert Path("c").read_text() == "a\na\n"


def test_the_workspace_is_that_of_dvc_repro(
    repository: Callable[..., None], address: str, console: Console, tmp_path: Path
) -> None:
    repository(**PIPELINE)
    outcome = cluster.reproduce(address, 2, None, console)
    assert [outcome.ran[0], *sorted(outcome.ran[1:3]), *outcome.ran[3:]] == ["a", "b", "c", "d", "e"]
    assert not outcome.failed
    assert not left_over()
    printed = console.export_text()
    assert "worker 0: " in printed
    assert "worker 1: " in printed
    assert "digits-worker-" in (repro.LOGS / "b.log").read_text()  # in a clone of its own
    assert "up to date" in call(Path(), "dvc", "status")
    assert "ERROR" not in call(Path(), "dvc", "status", "--cloud")
    assert Path("e").read_text() == "a\na\nc\n"
    lock = Path("dvc.lock").read_text()
    for path in ("a", "b", "d", "e", "dvc.lock"):
        Path(path).unlink()
    for folder in ("c", ".dvc/cache"):
        shutil.rmtree(folder)
    call(Path(), "dvc", "repro")
    assert Path("dvc.lock").read_text() == lock
    again = cluster.reproduce(address, 1, "storage", console)
    assert sorted(again.unchanged) == ["a", "b", "c", "d", "e"]


def test_workers_get_no_more_of_dvc_lock_than_they_need() -> None:
    stages = {
        name: {
            "cmd": f"python -m pipeline.{name}",
            "deps": [{"path": "data/raw", "hash": "md5", "md5": "0" * 32}],
            "params": {"params.yaml": {"seed": 42}},
            "outs": [{"path": name, "hash": "md5", "md5": hashed, "size": 3}],
        }
        for name, hashed in (("a", "1" * 31 + "2.dir"), ("b", "12345678901234567890123456789e12"), ("c", "3" * 32))
    }
    text = io.StringIO()
    YAML().dump({"schema": "2.0", "stages": stages}, text)  # as DVC writes it
    found = YAML(typ="safe", pure=True).load(cluster.outputs_of(text.getvalue(), ["b", "a", "not run yet"]))
    assert found["schema"] == "2.0"
    assert found["stages"] == {name: {key: stages[name][key] for key in ("cmd", "outs")} for name in "ab"}


def test_a_stage_whose_worker_is_killed_runs_again(
    repository: Callable[..., None], address: str, console: Console, tmp_path: Path
) -> None:
    code = tmp_path / "die.py"
    code.write_text(DIE_ONCE.format(seen=str(tmp_path / "seen")))
    repository(a=("echo a > a", [], ["a"]), b=(f"{sys.executable} {code} && cat a > b", ["a"], ["b"]))
    outcome = cluster.reproduce(address, 2, None, console)
    assert outcome.ran == ["a", "b"]
    assert (tmp_path / "seen").exists()
    assert "b: its worker died; it runs again" in console.export_text()
    assert Path("b").read_text() == "a\n"


def test_after_a_failure_the_other_stages_run(
    repository: Callable[..., None], address: str, console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    repository(
        a=("echo a > a", [], ["a"]),
        bad=("echo the reason >&2; exit 3", ["a"], ["bad"]),
        good=("cat a > good", ["a"], ["good"]),
        after=("cat bad > after", ["bad"], ["after"]),
    )
    outcome = cluster.reproduce(address, 2, None, console)
    assert sorted(outcome.ran) == ["a", "good"]
    assert outcome.skipped == {"after": "bad"}
    with pytest.raises(InputError, match=r"failed: bad\. Not run because of that: after \(needs bad\)"):
        repro.describe(outcome, 1.0, console)
    assert "the reason" in capsys.readouterr().err


def test_interrupted_it_leaves_nothing_running(repository: Callable[..., None], tmp_path: Path) -> None:
    started = tmp_path / "started"
    repository(a=("echo a > a", [], ["a"]), b=(f"touch {started}; sleep 987; cat a > b", ["a"], ["b"]))
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "  # ignored in the background
        "from rich.console import Console; from pipeline.commands import cluster; "
        "cluster.reproduce(None, 1, None, Console())"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not started.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.2)
    family = psutil.Process(process.pid).children(recursive=True)
    assert any("ray" in member.name() for member in family)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not [member for member in alive if member.status() != psutil.STATUS_ZOMBIE]
    assert not left_over()


EXPERIMENT = "grep x: values.yaml > b; cp values.yaml m.yaml; sleep 1; grep -vq 8 b"
VALUES = {"b": {"cmd": EXPERIMENT, "deps": ["a"], "params": [{"values.yaml": ["x"]}], "outs": ["b"]}}


def table() -> list[list[str]]:
    """Return experiments by parameters, metrics and outputs, which do not depend on when and how they ran."""
    with_times = csv.DictReader(call(Path(), "dvc", "exp", "show", "--csv").splitlines())
    names = ("Experiment", "rev", "Created", "typ", "parent", "State", "Executor")
    return sorted([value for key, value in row.items() if key not in names] for row in with_times)


def test_the_queue_of_experiments_gives_the_table_of_a_serial_run(
    repository: Callable[..., None], address: str, console: Console
) -> None:
    repository(a=("echo a > a", [], ["a"]))
    Path("values.yaml").write_text("x: 1\n")
    stages = yaml.safe_load(Path("dvc.yaml").read_text())["stages"] | VALUES
    stages["b"]["metrics"] = [{"m.yaml": {"cache": False}}]
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    call(Path(), "dvc", "repro")
    call(Path(), "git", "add", "-A")
    call(Path(), "git", *IDENTITY, "commit", "--quiet", "--message", "built")
    queue = ("dvc", "exp", "run", "--queue", "-S", "values.yaml:x=5,6", "b")
    call(Path(), *queue)
    assert cluster.run_queue(address, 2, None, console) == {}
    found = table()
    assert "No experiment tasks in the queue" in call(Path(), "dvc", "queue", "status")
    assert not call(Path(), "git", "status", "--porcelain")
    call(Path(), "dvc", "exp", "apply", call(Path(), "dvc", "exp", "list", "--name-only").split()[0])
    assert Path("b").read_text() == Path("values.yaml").read_text() != "x: 1\n"
    call(Path(), "git", "reset", "--quiet", "--hard")
    call(Path(), "dvc", "exp", "remove", "--all-commits")
    call(Path(), *queue)
    call(Path(), "dvc", "exp", "run", "--run-all")
    assert table() == found
    assert len(found) == 4  # with the workspace and the commit

    call(Path(), "dvc", "exp", "run", "--queue", "--name", "bad", "-S", "values.yaml:x=8", "b")
    assert set(failed := cluster.run_queue(address, 1, None, console)) == {"bad"}
    assert "ended with exit code 255; it printed .dvc/tmp/jobs/bad.log" in failed["bad"].replace("\\", "/")
    assert "failed to reproduce 'b'" in (repro.LOGS / "bad.log").read_text()
    assert "bad" in call(Path(), "dvc", "queue", "status")


def test_an_experiment_takes_files_along_that_git_does_not_track(
    repository: Callable[..., None], address: str, console: Console
) -> None:
    repository(a=("cat own/* > a", ["own"], ["a"]))
    Path("own/deep").mkdir(parents=True)
    Path("own/README").write_text("tracked\n")
    Path(".gitignore").write_text("/a\n/own/deep\n")
    call(Path(), "git", "add", "-A")
    call(Path(), "git", *IDENTITY, "commit", "--quiet", "--message", "own")
    stage = {"a": {"cmd": "cat own/README own/deep/x > a", "deps": ["own"], "outs": ["a"]}}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": stage}))
    Path("own/deep/x").write_text("mine\n")
    call(Path(), "git", *IDENTITY, "commit", "--quiet", "--all", "--message", "reads x")
    call(Path(), "dvc", "exp", "run", "--queue", "--name", "with", "-C", "own/deep")
    assert cluster.run_queue(address, 1, None, console) == {}
    call(Path(), "dvc", "exp", "apply", "with")
    assert Path("a").read_text() == "tracked\nmine\n"

    call(Path(), "git", "reset", "--quiet", "--hard")
    call(Path(), "dvc", "exp", "run", "--queue", "--name", "gone", "-C", "own/deep")
    shutil.rmtree("own/deep")
    failed = cluster.run_queue(address, 1, None, console)
    assert "expected own/deep, which --copy-paths names, found no such file" in failed["gone"]


def test_an_empty_queue_is_an_error(repository: Callable[..., None], console: Console) -> None:
    repository(**PIPELINE)
    with pytest.raises(InputError, match=r"expected queued experiments, found none\. Queue some: dvc exp run --queue"):
        cluster.run_queue(None, 1, None, console)


@pytest.fixture
def worker(
    repository: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[cluster_worker.Worker, bytes]]]:
    """Return a function that makes a worker of this process, and the packed repository, with this remote."""
    monkeypatch.setattr(cluster_worker.os, "environ", os.environ.copy())
    made: list[cluster_worker.Worker] = []

    def make(url: Path) -> tuple[cluster_worker.Worker, bytes]:
        repository(**PIPELINE)
        made.append(cluster_worker.Worker({"url": str(url)}, 0))
        return made[0], subprocess.check_output(["git", "bundle", "create", "--quiet", "-", "HEAD"])

    yield make
    made[0].close()


def test_a_worker_that_sees_another_remote_is_named(
    worker: Callable[..., tuple[cluster_worker.Worker, bytes]], tmp_path: Path
) -> None:
    here, bundle = worker(tmp_path / "elsewhere")
    store = tmp_path / "elsewhere/files/md5"
    assert here.about(bundle, "a.mark")["error"] == f"the remote {store.parents[1]} is not the one of the coordinator."
    store.mkdir(parents=True)
    (store / "a.mark").touch()
    assert here.about(bundle, "a.mark")["error"] == ""
    assert [path.name for path in store.iterdir()] == ["a.mark"]


def test_a_worker_without_the_data_says_so(
    worker: Callable[..., tuple[cluster_worker.Worker, bytes]], tmp_path: Path
) -> None:
    here, bundle = worker(tmp_path / "elsewhere")
    call(Path(), "dvc", "repro", "a")
    with pytest.raises(OSError, match="Checkout failed for following targets:\na"):
        here.run(bundle, "b", Path("dvc.lock").read_text(), {})


def test_a_full_remote_is_an_error(
    worker: Callable[..., tuple[cluster_worker.Worker, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, bundle = worker(tmp_path / "storage")

    put = LocalFileSystem.put_file

    def full(system: LocalFileSystem, source: str, target: str, *arguments: Any, **options: Any) -> None:
        if target.startswith(str(tmp_path / "storage")):
            raise OSError(errno.ENOSPC, "No space left on device")
        put(system, source, target, *arguments, **options)

    monkeypatch.setattr(LocalFileSystem, "put_file", full)
    with pytest.raises(OSError, match=r"1 files failed to upload.*No space left on device"):
        here.run(bundle, "a", "schema: '2.0'\nstages: {}\n", {})


class Gone:
    """Ray when nobody answers."""

    exceptions = ray.exceptions

    def __init__(self, error: Exception) -> None:
        self.error = error

    def wait(self, answers: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        return answers, []

    def get(self, answer: Any) -> Any:
        raise self.error


@pytest.mark.parametrize(
    ("error", "address", "message"),
    [
        (ray.exceptions.ActorDiedError(), None, r"^b: 4 workers died\. The last message: "),
        (
            ray.exceptions.ActorDiedError(),
            "127.0.0.1:1",
            r"^b: the cluster at 127\.0\.0\.1:1 does not answer any more \(.*refused\)\. What was done is kept: start",
        ),
        (
            ray.exceptions.RayTaskError("run", "", OSError(28, "No space left on device")),
            None,
            "^b: its worker could not exchange data: .*No space left on device",
        ),
    ],
)
def test_workers_and_clusters_that_are_lost_are_errors(
    console: Console, error: Exception, address: str | None, message: str
) -> None:
    with mock.patch.object(cluster, "ray", Gone(error)), pytest.raises(InputError, match=message):
        cluster.answer_of("b", lambda: 1, lambda: None, console, address)


def test_changes_must_be_committed(repository: Callable[..., None], console: Console) -> None:
    repository(**PIPELINE)
    call(Path(), "dvc", "remote", "add", "other", "elsewhere")  # changes .dvc/config
    with Repo() as repo:
        assert cluster.check_committed(repo) == call(Path(), "git", "rev-parse", "HEAD").strip()
    Path("dvc.yaml").write_text(Path("dvc.yaml").read_text().replace("echo a", "echo b"))
    with pytest.raises(
        InputError, match=r"found changes in dvc\.yaml\. Commit them, or put them aside with `git stash`"
    ):
        cluster.reproduce(None, 1, None, console)


@pytest.mark.parametrize(
    ("url", "name", "message"),
    [
        ("storage", "other", r"expected a DVC remote that all workers reach, found 'other'\. Known: storage\. Add one"),
        ("https://example.org/x", "storage", r"expected one that can be written, found https://example\.org/x"),
        ("/dev/null/x", "storage", r"/dev/null/x cannot be made: Not a directory"),
    ],
)
def test_a_remote_must_be_there_and_writable(
    repository: Callable[..., None], console: Console, url: str, name: str, message: str
) -> None:
    repository(**PIPELINE)
    call(Path(), "dvc", "remote", "modify", "--local", "storage", "url", url)
    with pytest.raises(InputError, match=message):
        cluster.reproduce(None, 1, name, console)


def test_a_read_only_remote_is_an_error(repository: Callable[..., None], console: Console) -> None:
    repository(**PIPELINE)
    with (
        mock.patch.object(cluster.os, "access", lambda path, mode: False),
        pytest.raises(InputError, match=r"remote 'storage': expected a writable folder, found .*, which is read-only"),
    ):
        cluster.reproduce(None, 1, None, console)


def test_without_any_remote_it_says_how_to_add_one(repository: Callable[..., None], console: Console) -> None:
    repository(**PIPELINE)
    call(Path(), "dvc", "remote", "remove", "storage")
    call(Path(), "git", *IDENTITY, "commit", "--quiet", "--all", "--message", "none")
    with pytest.raises(InputError, match=r"found no default remote\. Known: none\. Add one: dvc remote add --default"):
        cluster.reproduce(None, 1, None, console)


@pytest.mark.parametrize(
    ("address", "workers", "message"),
    [
        ("head", 1, r"--address: found 'head'\. Expected HOST:PORT"),
        (
            "127.0.0.1:1",
            1,
            r"--address: nothing answers at 127\.0\.0\.1:1 .*Start Ray there: ray start --head --port 1",
        ),
        (None, 0, r"--workers: found 0\. Expected at least 1"),
    ],
)
def test_a_wrong_cluster_is_an_error(
    repository: Callable[..., None], console: Console, address: str | None, workers: int, message: str
) -> None:
    repository(**PIPELINE)
    with pytest.raises(InputError, match=message):
        cluster.reproduce(address, workers, None, console)


def test_workers_are_at_most_as_many_as_cores(repository: Callable[..., None], address: str, console: Console) -> None:
    repository(**PIPELINE)
    with pytest.raises(InputError, match=r"--workers: found 3\. Allowed: 1 to 2, the number of cores in the cluster"):
        cluster.reproduce(address, 3, None, console)


def test_without_ray_it_says_how_to_install_it(repository: Callable[..., None], console: Console) -> None:
    repository(**PIPELINE)
    with (
        mock.patch.object(cluster, "ray", None),
        pytest.raises(InputError, match=r"expected Ray, found none\. Install it"),
    ):
        cluster.reproduce(None, 1, None, console)


def test_workers_that_differ_are_named(console: Console) -> None:
    alike = {"host": "one", "unlocked": {}, "processor": "kind", "error": ""}
    other = {"host": "two", "unlocked": {"numpy": "1.0, locked 2.0"}, "processor": "another", "error": ""}
    with (
        mock.patch.object(cluster.ray, "get", lambda answers: answers),
        mock.patch.object(cluster.records, "file_name", lambda processor: "kind"),
        mock.patch.object(cluster.runtime, "unlocked", lambda: {}),
    ):
        cluster.describe([_answering(about) for about in (alike, other)], b"", mock.MagicMock(), console)
        printed = console.export_text()
        assert printed.startswith("worker 0: one, kind\nworker 1: two, another\n")
        assert "other packages than here: numpy 1.0, locked 2.0. Bytes may differ." in printed
        assert "another processor than here, kind; it is in no record of ours." in printed
        with pytest.raises(InputError, match="worker 0 on two cannot run stages: no pipeline"):
            cluster.describe([_answering(other | {"error": "no pipeline\n"})], b"", mock.MagicMock(), console)


def _answering(about: dict[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(about=SimpleNamespace(remote=lambda packed, mark: about))


def test_a_second_coordinator_is_refused(repository: Callable[..., None], address: str, console: Console) -> None:
    repository(**PIPELINE)
    busy = (
        "import time; from dvc.repo import Repo, lock_repo\n"
        "with Repo() as repo, lock_repo(repo): print(1, flush=True); time.sleep(99)"
    )
    with subprocess.Popen([sys.executable, "-c", busy], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(InputError, match="expected to be the only one who runs stages here, found another"):
            cluster.reproduce(address, 1, None, console)
        other.kill()
