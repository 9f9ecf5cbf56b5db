"""Find CPUID and the approximate instructions in x86-64 libraries, and patch them so that they trap: see othercpu.c."""

import bisect
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

from digits.errors import InputError

LINE = re.compile(r"^ *([0-9a-f]+):\s+(.*)")
WANTED = r"\s(cpuid|v?rsqrt[ps]s|v?rcp[ps]s|<unknown>|\(bad\))"  # the last two: bytes that are no instruction
UNKNOWN = ("<unknown>", "(bad)")
DATA = 256  # bytes around unknown ones, in which instructions may be data. In code, unknown bytes are far away


def disassembler() -> str:
    """Return the path of llvm-objdump, or of GNU objdump, which is slower.

    Raises:
        InputError: neither is installed.
    """
    found = shutil.which("llvm-objdump") or shutil.which("objdump")
    if not found:
        raise InputError(
            "expected llvm-objdump or objdump, found neither. On Debian: `apt install llvm` or `binutils`."
        )
    return found


def find(path: Path) -> tuple[list[int], int]:
    """Return the addresses of the instructions in the ELF file at `path`, and how many others are probably data."""
    command = [disassembler(), "-d", "--no-show-raw-insn", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as listing:
        grep = ["grep", "-aE", WANTED]  # of millions of lines
        environment = os.environ | {"LC_ALL": "C"}
        lines = subprocess.run(grep, stdin=listing.stdout, stdout=subprocess.PIPE, env=environment, check=False)
    if listing.returncode:
        raise InputError(f"{path}: {command[0]} cannot read this file.")
    found, unknown = list[int](), list[int]()
    for line in lines.stdout.decode(errors="replace").splitlines():
        if match := LINE.match(line):
            (unknown if any(word in match[2] for word in UNKNOWN) else found).append(int(match[1], 16))
    unknown.sort()
    code = [address for address in found if not _near(address, unknown)]
    return code, len(found) - len(code)


def _near(address: int, unknown: list[int]) -> bool:
    """Return whether one of `unknown`, sorted, is nearer than DATA."""
    first = bisect.bisect_right(unknown, address - DATA)
    return first < len(unknown) and unknown[first] < address + DATA


def site(code: bytes | bytearray) -> tuple[int, int] | None:
    """Return the position of the byte to replace in the instruction that `code` begins with, and its replacement.

    None stands for a form that othercpu.c does not emulate.
    """
    if code[:2] == b"\x0f\xa2":
        return 0, 0x06
    if code[0] == 0xC5 and code[2] in (0x52, 0x53) and not code[1] & 1:
        packed = code[1] & 0x7B == 0x78
        return 0, 0xCC if packed else 0x0E
    if code[0] == 0xC4 and code[3] in (0x52, 0x53) and not code[2] & 1 and code[1] & 31 == 1:
        return 0, 0x16
    at = int(code[0] == 0xF3)
    at += code[at] & 0xF0 == 0x40  # REX
    if code[at] == 0x0F and code[at + 1] in (0x52, 0x53):
        return at, 0x06 if at else 0xCC
    return None


def segments(data: bytes | bytearray) -> list[tuple[int, int, int]]:
    """Return address, offset and size of the executable segments of an ELF file."""
    (start,) = struct.unpack_from("<Q", data, 32)
    size, number = struct.unpack_from("<HH", data, 54)
    headers = [struct.unpack_from("<IIQQQQQQ", data, start + i * size) for i in range(number)]
    return [(header[3], header[2], header[5]) for header in headers if header[0] == 1 and header[1] & 1]


def patch(path: Path) -> tuple[int, int]:
    """Patch the ELF file at `path` and return how many instructions were patched, and how many were not."""
    addresses, left = find(path)
    data = bytearray(path.read_bytes())
    executable, changes = segments(data), dict[int, int]()
    for address in addresses:
        begin, offset, _ = next(segment for segment in executable if 0 <= address - segment[0] < segment[2])
        position = address - begin + offset
        if change := site(data[position : position + 16]):
            changes[position + change[0]] = change[1]
    for position, byte in changes.items():
        data[position] = byte
    if changes:
        replace(path, data)
    return len(changes), len(addresses) - len(changes) + left


def replace(path: Path, data: bytes | bytearray) -> None:
    """Replace the file at `path` by a new one: other links to the old one keep its content."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(data)
    shutil.copymode(path, new)
    new.replace(path)


def is_program(path: Path) -> bool:
    """Return whether `path` is an ELF file for x86-64, and no link."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(20)
    return head[:5] == b"\x7fELF\x02" and head[18:] == b"\x3e\x00"
