"""Prepare a copy of this virtual environment, and run commands in it as if on another processor."""

import argparse
import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import benchmarks
from benchmarks.othercpu import patch, profiles
from digits.errors import InputError

SOURCE = Path(__file__).with_name("othercpu.c")
LIBRARY = "libothercpu.so"
NATIVE = "native"  # the profile that leaves CPUID as it is
GPU = ("nvidia", "triton", "cuda")  # in names of folders and libraries that do not compute on processors


def prepare(folder: Path) -> None:
    """Copy this virtual environment to `folder`, patch the copy, and write the profiles.

    Raises:
        InputError: this is not x86-64 Linux or no virtual environment, `folder` exists, or a program is missing.
    """
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise InputError(f"expected Linux on x86-64, found {platform.system()} on {platform.machine()}.")
    if sys.prefix == sys.base_prefix:
        raise InputError("expected a virtual environment. Use the Python in .venv, which `make install` creates.")
    if folder.exists():
        raise InputError(f"{folder} exists already: expected the name of a new folder.")
    if not shutil.which("gcc"):
        raise InputError("expected gcc, found none. On Debian: `apt install gcc libc6-dev`.")
    patch.disassembler()
    copy(Path(sys.prefix), folder / "venv")
    patch_libraries(folder / "venv")
    profiles.write(folder / "profiles")
    build(folder / LIBRARY)


def copy(source: Path, target: Path) -> None:
    """Copy the virtual environment `source` to `target`, as hard links where possible."""
    shutil.copytree(source, target, symlinks=True, copy_function=_link)
    for path in (target / "bin").iterdir():  # scripts, which start Python by its path
        start = f"#!{source}/bin/".encode()
        if path.is_file() and not path.is_symlink() and (content := path.read_bytes()).startswith(start):
            patch.replace(path, content.replace(start, f"#!{target}/bin/".encode(), 1))


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another disk
        shutil.copy2(source, target)


def patch_libraries(folder: Path) -> None:
    """Patch all shared libraries in `folder`, the largest first, on all cores; print what was found."""
    libraries = [
        path for path in folder.rglob("*.so*") if patch.is_program(path) and not _for_gpu(path.relative_to(folder))
    ]
    libraries.sort(key=lambda path: path.stat().st_size, reverse=True)
    print(f"reading the instructions of {len(libraries)} libraries, which takes minutes", flush=True)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        found = dict(zip(libraries, threads.map(patch.patch, libraries), strict=True))
    for path, (patched, left) in found.items():
        if patched or left:
            print(f"{path.relative_to(folder)}: {patched} instructions patched, {left} left alone")


def _for_gpu(path: Path) -> bool:
    return any(word in part for word in GPU for part in path.parts)


def build(library: Path) -> None:
    """Compile othercpu.c to `library`.

    Raises:
        InputError: gcc failed.
    """
    command = ["gcc", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl", "-lm"]
    if subprocess.run(command, check=False).returncode:
        raise InputError("gcc failed, see above.")


def environment(folder: Path, profile: str) -> dict[str, str]:
    """Return the variables with which a command runs in `folder`, as if on the processor `profile`.

    Raises:
        InputError: `folder` is not prepared, or there is no such profile.
    """
    folder = folder.resolve()
    if not (folder / LIBRARY).exists():
        advice = f"Remove it if it exists, and run `python -m benchmarks.othercpu prepare {folder}`."
        raise InputError(f"{folder}: expected a folder that is prepared. {advice}")
    if profile != NATIVE and profile not in profiles.PROCESSORS:
        raise InputError(f"no profile {profile}; there are {', '.join([NATIVE, *profiles.PROCESSORS])}.")
    venv, values = folder / "venv", folder / "profiles" / profile
    variables = {
        "VIRTUAL_ENV": str(venv),
        "PATH": os.pathsep.join([str(venv / "bin"), os.environ.get("PATH", os.defpath)]),
        "LD_PRELOAD": str(folder / LIBRARY),
    }
    if profile != NATIVE:
        variables |= {"OTHERCPU_PROFILE": str(values), "GLIBC_TUNABLES": (values / "tunables").read_text()}
    return variables


def main(*arguments: str) -> None:
    """Prepare a folder, or run a command in it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.othercpu", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    preparing = actions.add_parser("prepare", help="copy this virtual environment and patch the copy; takes minutes")
    running = actions.add_parser("run", help="run a command in the copy")
    for action in (preparing, running):
        action.add_argument("folder", type=Path)
    running.add_argument("profile", help=f"the processor: {', '.join([NATIVE, *profiles.PROCESSORS])}")
    running.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    if options.action == "prepare":
        prepare(options.folder.resolve())
        return
    variables = os.environ | environment(options.folder, options.profile)
    if not options.command or not shutil.which(options.command[0], path=variables["PATH"]):
        raise InputError(f"expected a command after {options.profile}, found {options.command[:1]}.")
    os.execvpe(options.command[0], options.command, variables)  # noqa: S606


if __name__ == "__main__":
    benchmarks.start(main, "benchmarks.othercpu")
