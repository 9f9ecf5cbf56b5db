"""SHA-256 checksums of files."""

import hashlib
from pathlib import Path

from digits.errors import InputError


def sha256(content: bytes | Path) -> str:
    """Return the SHA-256 of bytes or of the file at a path, as 64 hexadecimal digits."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, expected: str | None, advice: str, content: bytes | None = None) -> None:
    """Check the SHA-256 of the file at `path`, or of its `content` where that was read already.

    Args:
        advice: what the user can do about a mismatch; ends the message.

    Raises:
        InputError: another checksum, or no such file.
    """
    try:
        found = sha256(path if content is None else content)
    except FileNotFoundError:
        found = "no such file"
    if found != expected:
        raise InputError(f"{path}: expected SHA-256 {expected}, found {found}. {advice}")
