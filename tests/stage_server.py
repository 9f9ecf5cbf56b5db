"""Stages without the seconds that importing their libraries takes: a server has them imported and forks for each stage.

`PATH` then begins with a folder whose `python` asks the server for `python -m pipeline.STAGE` and `python -m pytest`,
and is this Python for everything else. The variables of numerical libraries are pinned before they are imported, as
`pipeline.runtime.launch` does it; the thread count is that of the small project. Tests of how processes start and die
do not use it.
"""

import importlib
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path

LIBRARIES = (
    "pytorch_lightning",
    "matplotlib.pyplot",
    "onnxruntime",
    "pandas",
    "skl2onnx",
    "sklearn.ensemble",
    "sklearn.svm",
)
CLIENT = """#!{python} -ISE
import json, os, socket, sys
words = sys.argv[1:]
served = len(words) > 1 and words[0] == "-m" and (words[1].startswith("pipeline.") or words[1] == "pytest")
if not served or "commands" in words[1]:
    os.execv({python!r}, [{python!r}, *words])
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    request = json.dumps([words[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(request).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(request)
    code = server.recv(1)
sys.exit(code[0] if code else 1)
"""


def start(folder: Path, environment: dict[str, str]) -> tuple[Path, subprocess.Popen[bytes]]:
    """Start a server; return the folder to be first on the PATH, and the server's process."""
    address, programs = folder / "socket", folder / "bin"
    programs.mkdir()
    for name in ("python", "python3"):
        (programs / name).write_text(CLIENT.format(python=sys.executable, address=str(address)))
        (programs / name).chmod(0o755)
    command = [sys.executable, "-m", "tests.stage_server", str(address)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1], env=environment)
    while not address.exists():
        assert process.poll() is None
        time.sleep(0.05)
    return programs, process


def serve(address: str) -> None:
    """Import the libraries, then fork for each request."""
    import json

    for name in LIBRARIES:
        importlib.import_module(name)
    import torch

    torch.onnx.export(torch.nn.Identity().eval(), (torch.zeros(1),), dynamo=True, verbose=False)  # imports more
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{address}.new")
        server.listen()
        Path(f"{address}.new").rename(address)
        while True:
            client, _ = server.accept()
            if os.fork() == 0:
                server.close()
                size, streams, _, _ = socket.recv_fds(client, 4, 3)
                request = b""
                while len(request) < int.from_bytes(size, "big"):
                    request += client.recv(65536)
                code = run(*json.loads(request), streams)
                client.sendall(bytes([code]))
                os._exit(0)
            client.close()


def run(words: list[str], folder: str, environment: dict[str, str], streams: list[int]) -> int:
    """Run a stage in this process, and return its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = folder
    sys.argv = words
    for name in [name for name in sys.modules if name.partition(".")[0] in ("digits", "pipeline", "tests")]:
        del sys.modules[name]
    code: object = 0
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


if __name__ == "__main__":
    serve(sys.argv[1])
