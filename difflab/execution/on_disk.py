"""Arrays that are written to ``.npy`` files piece by piece, and appear under their names when they are whole."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import ForecastError, InputError
from .amounts import size

STRIP = 1 << 22
"""Bytes of a file that are mapped at once while it is written, or one row of it."""


class Block(NamedTuple):
    """An array of a file: its name in a folder, its shape and dtype, and how many leading axes count its rows."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    leading: int

    @property
    def flat(self) -> tuple[int, int]:
        """Rows and columns as a matrix."""
        rows, columns = self.shape[: self.leading], self.shape[self.leading :]
        return int(np.prod(rows, dtype=np.int64)), int(np.prod(columns, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes of its numbers."""
        return self.flat[0] * self.flat[1] * self.dtype.itemsize


class BlockFiles:
    """The files of some blocks: one ``.npy``, or a folder with one for each.

    They are written under another name beside the one that is asked for, which they take when they are whole.

    Args:
        target: the path; nothing may be there.
        blocks: what is to be written, zeros at first.

    Raises:
        InputError: the path cannot be used, in a sentence.
        ForecastError: the disk has no room.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     files = BlockFiles(Path(folder, "two.npy"), [Block("", (2, 3), np.dtype("f8"), 1)])
        ...     files.write(0, slice(1, 2), slice(0, 3), np.ones((1, 3)))
        ...     np.array(files.finish()[0])
        array([[0., 0., 0.],
               [1., 1., 1.]])
    """

    def __init__(self, target: str | os.PathLike[str], blocks: Sequence[Block]):
        self._target = checked(target, single=len(blocks) == 1)
        self._blocks = list(blocks)
        needed, room = sum(block.nbytes for block in blocks), shutil.disk_usage(self._target.parent).free
        if needed > room:
            raise ForecastError(
                f"file={str(target)!r} needs {size(needed)}, and the disk has {size(room)} free; choose another disk"
            )
        self._part = self._target.with_name(f"{self._target.name}.{secrets.token_hex(4)}.part")
        self._offsets: list[int] = []
        try:
            if len(blocks) != 1:
                self._part.mkdir()
            for number, block in enumerate(self._blocks):
                self._offsets.append(_create(self._path(number), block))
        except OSError as error:
            self.discard()
            why = f"file={str(target)!r} cannot be written: {error.strerror}; choose another path"
            raise InputError(why) from error
        except BaseException:
            self.discard()
            raise

    def _path(self, number: int) -> Path:
        return self._part if len(self._blocks) == 1 else self._part / f"{self._blocks[number].name}.npy"

    def write(self, number: int, rows: slice, columns: slice, values: np.ndarray) -> None:
        """Write a part of a block seen as a matrix; the pages that it touches are given back at once."""
        block, offset = self._blocks[number], self._offsets[number]
        height, width = block.flat
        if not height * width or not values.size:
            return
        row_bytes = width * block.dtype.itemsize
        strip = max(1, STRIP // row_bytes)
        for first in range(rows.start, rows.stop, strip):
            last = min(first + strip, rows.stop)
            mapped = np.memmap(
                self._path(number), block.dtype, "r+", offset + first * row_bytes, shape=(last - first, width)
            )
            mapped[:, columns] = values[first - rows.start : last - rows.start]
            del mapped  # nothing else holds it, so its pages go

    def finish(self) -> list[np.memmap]:
        """Give the files their names, and open them for reading."""
        if os.path.lexists(self._target):
            raise _exists(self._target)
        self._part.rename(self._target)
        single = len(self._blocks) == 1
        paths = [self._target] if single else [self._target / f"{block.name}.npy" for block in self._blocks]
        return [np.lib.format.open_memmap(path, mode="r") for path in paths]

    def discard(self) -> None:
        """Remove what was written so far, after a failure."""
        if os.path.isdir(self._part):
            shutil.rmtree(self._part)
        elif os.path.lexists(self._part):
            self._part.unlink()


def checked(target: Any, *, single: bool) -> Path:
    """The path of a new file or folder.

    Raises:
        InputError: it cannot be used, in a sentence.
    """
    if not isinstance(target, str | os.PathLike):
        raise InputError(f"file={target!r}: it is the path of a .npy file, or of a folder where there are several")
    if "\0" in os.fsdecode(target):
        raise InputError(f"file={str(target)!r}: a path has no zero characters")
    path = Path(target)
    if single and path.suffix != ".npy":
        raise InputError(f"file={str(target)!r}: the result is one array, so the path ends in .npy")
    if not single and path.suffix == ".npy":
        raise InputError(
            f"file={str(target)!r}: the result has several arrays or none, so the path is that of a folder, in which "
            "each gets a .npy of its own"
        )
    if os.path.lexists(path):
        raise _exists(path)
    if not path.parent.is_dir():
        raise InputError(f"file={str(target)!r}: there is no folder {str(path.parent)!r}; make it first")
    return path


def _exists(path: Path) -> InputError:
    return InputError(f"file={str(path)!r} is there already, and is left as it is; remove it or choose another path")


def _create(path: Path, block: Block) -> int:
    """A file of zeros; returns where its numbers begin."""
    header = {"descr": np.lib.format.dtype_to_descr(block.dtype), "fortran_order": False, "shape": block.shape}
    with open(path, "xb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        offset = file.tell()
        file.truncate(offset + block.nbytes)
        _reserve(file.fileno(), offset + block.nbytes)
    return offset


def _reserve(descriptor: int, nbytes: int) -> None:
    """Take the room on the disk now: a page of a mapped file that finds none ends the process."""
    try:
        reserve = os.posix_fallocate
    except AttributeError:  # not on this system
        return
    reserve(descriptor, 0, nbytes)
