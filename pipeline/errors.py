"""How a stage or command ends when something outside of it is wrong: a message, exit code 1, no traceback."""

import errno
import json
import sys
from collections.abc import Callable

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


class InputError(Exception):
    """Something the user can mend. Its text says what was expected, what was found and what to do."""


def run(main: Callable[[], int | None]) -> None:
    """Call `main` and exit with its code (None is 0), or with 1 and a message after something the user can mend."""
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if message := _explain(error):
            sys.exit(f"error: {message}")
        raise


def _explain(error: Exception) -> str | None:
    """Return what to say of an `error` of the disk or of a file; None for any other, which is a mistake of ours."""
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
        return f"{error.filename}: {error.strerror}. `dvc repro` makes what is missing."
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return f"expected JSON, found something else ({error}). `make doctor` finds damaged files."
    number = getattr(error, "errno", None)
    # NumPy and safetensors say it in words only.
    if number in FULL or "No space left" in str(error) or ("requested and" in str(error) and "written" in str(error)):
        return f"the disk is full ({error}). Nothing half-written counts: make room, and run the same again."
    if number in FORBIDDEN:
        return f"not allowed to write or read ({error}). Check the permissions, and run the same again."
    return None
