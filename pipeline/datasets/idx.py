"""The IDX format of the MNIST files: bytes 0, 0, type (8: unsigned byte, 12: 32-bit integer), number of dimensions;
then each dimension as a big-endian 32-bit integer; then the values, big-endian, last dimension fastest.
Source: http://yann.lecun.com/exdb/mnist/.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from digits.errors import InputError
from pipeline.datasets.arrays import ADVICE

UNSIGNED_BYTE = 8
TYPES: dict[int, np.dtype] = {UNSIGNED_BYTE: np.dtype(np.uint8), 12: np.dtype(">i4")}


def read(path: Path) -> np.ndarray:
    """Return the array in the file `path`. See `decode`.

    Raises:
        InputError: no such file, or not an IDX file.
    """
    try:
        return decode(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise InputError(f"{path} not found. Run `dvc repro download` to get it.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: expected a file, found a directory. {ADVICE}") from None


def decode(content: bytes, name: str) -> np.ndarray:
    """Return the array in the content of the IDX file `name`, gzipped if the name ends in .gz: uint8 or int32.

    Raises:
        InputError: not an IDX file of unsigned bytes or 32-bit integers, or too few or too many values.
    """
    try:
        data = gzip.decompress(content) if name.endswith(".gz") else content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{name}: expected a whole gzip file, found a broken one ({error}). {ADVICE}") from None
    if len(data) < 4 or data[:2] != bytes(2) or data[2] not in TYPES or not data[3]:
        raise InputError(
            f"{name}: expected an IDX file, which begins with 0000, 08 or 0c and the number of dimensions; "
            f"found {data[:4].hex()!r}. {ADVICE}"
        )
    kind, start = TYPES[data[2]], 4 + 4 * data[3]
    if len(data) < start:
        raise InputError(f"{name}: expected {data[3]} dimensions of 4 bytes, found {len(data) - 4} bytes. {ADVICE}")
    shape = tuple(int(side) for side in np.frombuffer(data[4:start], ">u4"))
    expected, found = math.prod(shape) * kind.itemsize, len(data) - start
    if found != expected:
        raise InputError(
            f"{name}: expected {expected} bytes after the header for dimensions {shape}, found {found}. {ADVICE}"
        )
    return np.frombuffer(data, kind, offset=start).reshape(shape)


def write(path: Path, array: np.ndarray) -> None:
    """Write uint8 `array` to `path`, not compressed."""
    header = bytes([0, 0, UNSIGNED_BYTE, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(header + array.tobytes())
