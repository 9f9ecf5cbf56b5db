"""Start of `digits-serve`, also `python -m digits.server`."""

from digits import errors
from digits.errors import InputError


def main() -> int:
    """Run the command line; return its exit code.

    Raises:
        InputError: the packages of the service are not installed.
    """
    try:
        from digits.server import cli
    except ModuleNotFoundError as error:
        raise InputError(f"expected {error.name}, not installed. Run `pip install mnist-digits[serve]`.") from None
    return cli.main()


def command() -> None:
    """Run `main` and exit; the entry point of the console script."""
    errors.run(main)


if __name__ == "__main__":
    command()
