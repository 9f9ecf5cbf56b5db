import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import yaml
from rich.console import Console

from digits.errors import InputError
from pipeline.commands import repro
from tests.conftest import call

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs a shell, and cores to choose, as Linux has them"),
    pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning"),  # of pygtrie, which DVC uses
]
CORES = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


@pytest.fixture
def console() -> Console:
    """Return a console that keeps what is printed."""
    return Console(record=True, width=100)


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that makes the current folder a DVC repository with the given stages."""
    monkeypatch.chdir(tmp_path)

    def make(**stages: dict[str, object]) -> None:
        if not Path(".dvc").exists():
            call(tmp_path, "dvc", "init", "--quiet", "--no-scm")
        Path("dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))

    return make


def stage(name: str, *deps: str, cmd: str = "", seconds: int = 1) -> dict[str, object]:
    """Return a stage that writes a file of its name: when it started and ended, and its cores then."""
    work = "import os, time, pathlib; start, cores = time.monotonic(), sorted(os.sched_getaffinity(0))"
    work += f"; time.sleep({seconds})"
    text = "f'{start} {time.monotonic()} {cores} {sorted(os.sched_getaffinity(0))}'"
    write = f"pathlib.Path('{name}').write_text({text})"
    found: dict[str, object] = {"cmd": cmd or f'{sys.executable} -c "{work}; {write}"', "outs": [name]}
    return found | ({"deps": list(deps)} if deps else {})


def span(name: str) -> tuple[float, float]:
    """Return when a stage started and ended."""
    start, end, *_ = Path(name).read_text().split()
    return float(start), float(end)


def cores(name: str) -> list[set[str]]:
    """Return the cores of a stage when it started and when it ended."""
    return [set(found.split(", ")) for found in re.findall(r"\[(.*?)\]", Path(name).read_text())]


@pytest.mark.skipif(CORES < 2, reason="needs two cores")
def test_independent_stages_run_at_once_on_cores_of_their_own(stages, console: Console) -> None:
    stages(a=stage("a"), b=stage("b"), c=stage("c", "a", "b"))
    outcome = repro.reproduce(2, console)
    assert sorted(outcome.ran) == ["a", "b", "c"]
    assert max(span("a")[0], span("b")[0]) < min(span("a")[1], span("b")[1])
    assert span("c")[0] >= max(span("a")[1], span("b")[1])
    assert cores("a")[0].isdisjoint(cores("b")[0])
    assert re.search(r"^c +1\.\d s +\d+ MB$", console.export_text(), re.MULTILINE)
    assert "Running" not in call(Path(), "dvc", "repro")
    for jobs in (2, 1):
        assert sorted(repro.reproduce(jobs, console).unchanged) == ["a", "b", "c"]


@pytest.mark.skipif(CORES < 2, reason="needs two cores")
def test_idle_cores_are_lent(stages, console: Console) -> None:
    stages(short=stage("short"), long=stage("long", seconds=5), last=stage("last", "short", "long"))
    repro.reproduce(2, console)
    assert cores("short")[0].isdisjoint(cores("long")[0])
    assert cores("long")[0] < cores("long")[1] == cores("last")[0]


def test_the_lock_file_is_that_of_a_serial_run(stages, console: Console) -> None:
    described = {"slow": stage("slow"), "fast": stage("fast", cmd="echo 1 > fast"), "end": stage("end", "slow", "fast")}
    stages(**described)
    repro.reproduce(min(2, CORES), console)
    names = list(yaml.safe_load(Path("dvc.lock").read_text())["stages"])
    Path("dvc.lock").unlink()
    shutil.rmtree(".dvc/cache")
    call(Path(), "dvc", "repro", "--force")
    assert names == list(yaml.safe_load(Path("dvc.lock").read_text())["stages"])


def test_after_a_failure_the_other_stages_run(stages, console: Console, capsys: pytest.CaptureFixture[str]) -> None:
    stages(
        a=stage("a"),
        bad=stage("bad", "a", cmd="echo the reason >&2; exit 3"),
        good=stage("good", "a"),
        after=stage("after", "bad"),
        last=stage("last", "after", "good"),
    )
    outcome = repro.reproduce(min(2, CORES), console)
    assert sorted(outcome.ran) == ["a", "good"]
    assert outcome.failed.keys() == {"bad"}
    assert outcome.skipped == {"after": "bad", "last": "bad"}
    with pytest.raises(InputError, match=r"failed: bad\. Not run because of that: after \(needs bad\), last \(needs"):
        repro.describe(outcome, 1.0, console)
    assert "the reason" in capsys.readouterr().err
    assert "exited with 3" in console.export_text()


def test_a_stage_waits_for_memory_and_the_longest_way_goes_first(
    stages, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages(a=stage("a"), b=stage("b"), after=stage("after", "b"))
    monkeypatch.setattr(repro.psutil, "virtual_memory", lambda: SimpleNamespace(available=3e9))
    repro.reproduce(min(2, CORES), console)
    a, b = span("a"), span("b")
    assert b[0] < a[0]  # `after` depends on it
    assert b[1] < a[0]  # each is expected to take two of three GB


@pytest.mark.parametrize("jobs", [0, -1, 10_000])
def test_jobs_are_at_most_as_many_as_cores(jobs: int) -> None:
    with pytest.raises(InputError, match=rf"--jobs: found {jobs}\. Allowed: 1 to {CORES}, the number of cores"):
        repro.divide(jobs)


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start the command on the repository in `folder`."""
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "  # ignored in the background
        "from rich.console import Console; from pipeline.commands import repro; repro.reproduce(1, Console())"
    )
    root = {"PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=folder, env=os.environ | root)
    deadline = time.monotonic() + 60
    while not (folder / "started").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    return process


def test_interrupted_it_leaves_nothing_running(stages, tmp_path: Path) -> None:
    stages(a=stage("a", cmd="echo 1 > started; sleep 1000 & sleep 1000; echo 1 > a"))
    process = start(tmp_path)
    sleepers = [child for child in psutil.Process(process.pid).children(recursive=True) if "sleep" in child.name()]
    assert sleepers
    process.send_signal(signal.SIGINT)
    assert process.wait(30) != 0
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in sleepers)
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"a": stage("a", cmd="echo 2 > a")}}))
    assert repro.reproduce(1, Console()).ran == ["a"]  # nothing is locked


def test_a_second_run_is_refused(stages, tmp_path: Path, console: Console) -> None:
    stages(a=stage("a", cmd="echo 1 > started; sleep 8; echo 1 > a"))
    process = start(tmp_path)
    with pytest.raises(InputError, match="expected to be the only one who runs stages here, found another"):
        repro.reproduce(1, console)
    assert process.wait(60) == 0


@pytest.mark.slow
def test_the_whole_pipeline_gives_the_bytes_of_dvc_repro(own_project: Path) -> None:
    before = (own_project / "dvc.lock").read_bytes()
    for folder in ("data/prepared", "models", "plots", ".dvc/cache"):
        shutil.rmtree(own_project / folder)
    printed = call(own_project, sys.executable, "-m", "pipeline.commands.repro", "--jobs", str(min(2, CORES)))
    assert (own_project / "dvc.lock").read_bytes() == before
    assert re.search(r"\d+ stages ran, \d+ were up to date", printed)
