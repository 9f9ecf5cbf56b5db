"""How a command ends when something outside of it is wrong: a message, exit code 1, no traceback."""

import errno
import json
import sys
from collections.abc import Callable
from typing import NoReturn

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_PERMITTED = (errno.EACCES, errno.EPERM, errno.EROFS)


class InputError(Exception):
    """Something the user can fix. Its text says what was expected, what was found and what to do."""


def run(main: Callable[[], int | None], advice: str = "") -> NoReturn:
    """Call `main` and exit with its code (None is 0), or with 1 and a message if the user can fix the error.

    Args:
        advice: what to do about a missing or damaged file.
    """
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if message := _explain(error, advice):
            sys.exit(f"error: {message}")
        raise


def _explain(error: Exception, advice: str) -> str | None:
    """Return a message for an error of the disk or of a file; None for any other error, which is a bug."""
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
        return f"{error.filename}: {error.strerror}. {advice}".rstrip()
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return f"expected JSON, found something else ({error}). {advice}".rstrip()
    number, text = getattr(error, "errno", None), str(error)
    # NumPy and safetensors report a full disk in their message only.
    if number in DISK_FULL or "No space left" in text or ("requested and" in text and "written" in text):
        return f"the disk is full ({error}). Free some space and run the same command again."
    if number in NOT_PERMITTED:
        return f"not allowed to read or write ({error}). Check the permissions and run the same command again."
    return None
