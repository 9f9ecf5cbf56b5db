"""How a stage or command ends when its input is wrong: a message, exit code 1, no traceback."""

import sys
from collections.abc import Callable


class InputError(Exception):
    """Something the user can mend. Its text says what was expected, what was found and what to do."""


def run(main: Callable[[], int | None]) -> None:
    """Call `main` and exit with its code (None is 0), or with 1 and a message after an InputError."""
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
