"""What can be said of the container without an engine: its files are there, its user is nobody, its lock is ours."""

import re
import shlex
import subprocess

import pytest
import yaml

from pipeline.serve import __main__ as command
from tests.conftest import ROOT

LINES = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)(.*(?:\n    .*)*)", re.MULTILINE)


def of(instruction: str) -> list[str]:
    return [line.split(" ", 1)[1] for line in LINES if line.startswith(f"{instruction} ")]


def test_what_is_copied_is_there_and_in_git() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for line in of("COPY"):
        source, target = shlex.split(line)
        assert subprocess.check_output(["git", "ls-files", source], cwd=ROOT), source
        assert f"!{source}" in ignored
        assert target in (source, ".")


def test_nobody_runs_it() -> None:
    user = of("USER")[-1].split(":")[0]
    assert user.isdigit()
    assert int(user) > 0
    assert LINES.index(f"USER {of('USER')[-1]}") > max(i for i, line in enumerate(LINES) if line.startswith("COPY"))


def test_only_locked_wheels_are_installed() -> None:
    install = next(line for line in of("RUN") if "pip install" in line)
    assert "--require-hashes" in install
    assert "--only-binary :all:" in install
    assert "-r requirements-serve.lock" in install


def test_its_lock_is_a_part_of_ours() -> None:
    ours = {name: pinned for name, pinned, _ in PIN.findall((ROOT / "requirements.lock").read_text())}
    theirs = PIN.findall((ROOT / "requirements-serve.lock").read_text())
    assert {"fastapi", "onnxruntime", "uvicorn", "pillow"} <= {name for name, _, _ in theirs}
    assert not {"torch", "scikit-learn", "dvc", "onnx", "pytest"} & {name for name, _, _ in theirs}
    for name, pinned, rest in theirs:
        assert ours[name] == pinned
        assert "--hash=sha256:" in rest, name


def test_its_command_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    entry, default = (yaml.safe_load(of(name)[-1]) for name in ("ENTRYPOINT", "CMD"))
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["digits"]
    assert entry[:3] == ["python", "-m", "pipeline.serve"]
    monkeypatch.setattr(
        command, "Server", lambda *given: type("Server", (), {"run": lambda self: asked.append(given)})()
    )
    for options in (default, compose["command"]):
        asked: list[tuple[object, ...]] = []
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr("sys.argv", ["serve", *entry[3:], *options])
        assert command.main() == 0
        ((_, host, port, drain, _),) = asked
        assert (host, port, drain) == ("0.0.0.0", 8000, 2.0)
    assert f":{port}/readyz" in of("HEALTHCHECK")[0]
    assert compose["read_only"]
    assert compose["cap_drop"] == ["ALL"]
    assert compose["security_opt"] == ["no-new-privileges:true"]
