"""The Dockerfile, compose.yaml and requirements-serve.lock are consistent. Needs no container engine."""

import re
import shlex
import subprocess

import pytest
import yaml

from digits.server import cli as command
from tests.digits.conftest import ROOT

LINES = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)(.*(?:\n    .*)*)", re.MULTILINE)


def arguments_of(instruction: str) -> list[str]:
    return [line.split(" ", 1)[1] for line in LINES if line.startswith(f"{instruction} ")]


def test_copied_files_are_in_git_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for line in arguments_of("COPY"):
        source, target = shlex.split(line)
        assert subprocess.check_output(["git", "ls-files", source], cwd=ROOT), source
        assert f"!{source}" in ignored
        assert target in (source, ".")


def test_the_container_runs_as_an_unprivileged_user() -> None:
    user = arguments_of("USER")[-1].split(":")[0]
    assert user.isdigit()
    assert int(user) > 0
    assert LINES.index(f"USER {arguments_of('USER')[-1]}") > max(
        i for i, line in enumerate(LINES) if line.startswith("COPY")
    )


def test_only_wheels_with_hashes_are_installed() -> None:
    install = next(line for line in arguments_of("RUN") if "pip install" in line)
    assert "--require-hashes" in install
    assert "--only-binary :all:" in install
    assert "-r requirements-serve.lock" in install


def test_the_lock_is_a_subset_of_requirements_lock() -> None:
    ours = {name: pinned for name, pinned, _ in PIN.findall((ROOT / "requirements.lock").read_text())}
    locked = PIN.findall((ROOT / "requirements-serve.lock").read_text())
    assert {"fastapi", "onnxruntime", "uvicorn", "pillow"} <= {name for name, _, _ in locked}
    assert not {"torch", "scikit-learn", "dvc", "onnx", "pytest"} & {name for name, _, _ in locked}
    for name, pinned, rest in locked:
        assert ours[name] == pinned
        assert "--hash=sha256:" in rest, name


def test_the_commands_of_dockerfile_and_compose_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    entry, default = (yaml.safe_load(arguments_of(name)[-1]) for name in ("ENTRYPOINT", "CMD"))
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["digits"]
    assert entry[:3] == ["python", "-m", "digits.server"]
    monkeypatch.setattr(
        command, "Server", lambda *arguments: type("Server", (), {"run": lambda self: calls.append(arguments)})()
    )
    for options in (default, compose["command"]):
        calls: list[tuple[object, ...]] = []
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr("sys.argv", ["digits-serve", *entry[3:], *options])
        assert command.main() == 0
        ((_, host, port, drain, _),) = calls
        assert (host, port, drain) == ("0.0.0.0", 8000, 2.0)
    assert f":{port}/readyz" in arguments_of("HEALTHCHECK")[0]
    assert compose["read_only"]
    assert compose["cap_drop"] == ["ALL"]
    assert compose["security_opt"] == ["no-new-privileges:true"]
