"""The IDX format of the MNIST files: bytes 0, 0, type (8: unsigned byte), number of dimensions; then each dimension as
a big-endian 32-bit integer; then the values, last dimension fastest. Source: http://yann.lecun.com/exdb/mnist/."""

import gzip
import zlib
from pathlib import Path

import numpy as np

from digits.errors import InputError
from pipeline.datasets.arrays import ADVICE

UNSIGNED_BYTE = 8


def read(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Return the array in `path`, gzipped if its name ends in .gz: uint8 of the expected `shape`.

    Raises:
        InputError: no such file, not IDX of unsigned bytes, another shape, or too few or too many values.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} not found. Run `dvc repro download` to get it.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: expected a file, found a directory. {ADVICE}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: expected a whole gzip file, found a broken one ({error}). {ADVICE}") from None
    expected = bytes([0, 0, UNSIGNED_BYTE, len(shape)])
    if data[:4] != expected:
        raise InputError(f"{path}: expected the IDX magic number {expected.hex()}, found {data[:4].hex()!r}. {ADVICE}")
    start = 4 + 4 * len(shape)
    found = tuple(int(n) for n in np.frombuffer(data[4:start][: 4 * ((len(data) - 4) // 4)], ">u4"))
    if found != shape:
        raise InputError(f"{path}: expected dimensions {shape}, its header says {found}. {ADVICE}")
    values = len(data) - start
    if values != np.prod(shape):
        raise InputError(f"{path}: expected {np.prod(shape)} values after the header, found {values}. {ADVICE}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def write(path: Path, array: np.ndarray) -> None:
    """Write uint8 `array` to `path`, not compressed."""
    header = bytes([0, 0, UNSIGNED_BYTE, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(header + array.tobytes())
