"""Network namespaces: their inode numbers and the names people gave them.  Reads, never enters."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from tcpvitals.errors import UsageError
from tcpvitals.model.printable import printable

NAMED: Final = Path("/run/netns")
# Inode numbers of namespaces begin here (PROC_DYNAMIC_FIRST of fs/proc/generic.c); process ids
# end at 2^22 (PID_MAX_LIMIT).
_FIRST_INODE: Final = 0xF0000000
HOST: Final = "host"


def _candidates(text: str) -> list[Path]:
    if text.isascii() and text.isdecimal():
        return [Path("/proc", text, "ns/net")]
    return [Path(text)] if "/" in text else [NAMED / text]


def find_inode(text: str) -> int:
    """The inode number of a namespace given by name, path, inode number or process id.

    Raises:
        UsageError: there is no such namespace.
    """
    if text.isascii() and text.isdecimal() and _FIRST_INODE <= int(text) < 1 << 32:
        return int(text)
    for path in _candidates(text):
        with contextlib.suppress(OSError, ValueError):
            inode = path.stat().st_ino
            if _FIRST_INODE <= inode < 1 << 32:
                return inode
    message = (
        f"no network namespace '{printable(text)}': give a name as in ip netns, "
        "a path, an inode number or a process id"
    )
    raise UsageError(message)


def names() -> dict[int, str]:
    """Names by inode number: those of `ip netns`, and the first process's as "host"."""
    found: dict[int, str] = {}
    with contextlib.suppress(OSError):
        for entry in os.scandir(NAMED):
            with contextlib.suppress(OSError):
                found[entry.stat().st_ino] = entry.name
    with contextlib.suppress(OSError):
        found[Path("/proc/1/ns/net").stat().st_ino] = HOST
    return found
