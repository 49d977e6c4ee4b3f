"""The one way in which a file that a user names is read: regular, whole, bounded, never waiting."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class FileError(Exception):
    """The file cannot be read; the text says why, and does not repeat its name."""


def read_file(path: str | Path, most_bytes: int) -> bytes:
    """Read a regular file whole.

    A FIFO or a device would make the reader wait, or never end.

    Raises:
        FileError: it cannot be opened or read, is no regular file, or has more than `most_bytes`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise FileError(error.strerror or str(error)) from error
    except ValueError as error:  # a null byte, or a surrogate
        message = "no file can have this name"
        raise FileError(message) from error
    try:
        return _read(descriptor, most_bytes)
    except OSError as error:
        raise FileError(error.strerror or str(error)) from error
    finally:
        os.close(descriptor)


def _read(descriptor: int, most_bytes: int) -> bytes:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        message = "not a regular file"
        raise FileError(message)
    data = b""
    while len(data) <= most_bytes and (piece := os.read(descriptor, most_bytes + 1 - len(data))):
        data += piece
    if len(data) > most_bytes:
        message = f"more than {most_bytes >> 10} KiB"
        raise FileError(message)
    return data
