"""Network namespaces: their inode numbers and the names people gave them.  Reads, never enters."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from functools import cache
from pathlib import Path
from typing import Final

from tcpvitals.errors import UsageError
from tcpvitals.model.numbers import whole_number
from tcpvitals.model.printable import printable

NAMED: Final = Path("/run/netns")
_MOUNTS: Final = Path("/proc/self/mountinfo")
_MOUNTED: Final = re.compile(r"^\S+ \S+ \S+ net:\[(\d+)\] (\S+) ", re.MULTILINE)
_ESCAPED: Final = re.compile(rb"\\([0-7]{3})")
# Inode numbers of namespaces begin here (PROC_DYNAMIC_FIRST of fs/proc/generic.c), but for the
# initial ones, which are a little below since 6.18 (enum init_ns_ino of linux/nsfs.h).  Process ids
# end at 2^22 (PID_MAX_LIMIT).
_FIRST_INODE, _LAST_INODE = 0xEFFFFF00, 0xFFFFFFFF
# linux/nsfs.h and linux/sched.h
_NS_GET_NSTYPE: Final = 0xB703
_CLONE_NEWNET: Final = 0x40000000
HOST: Final = "host"


def _path(text: str) -> Path:
    if text.isascii() and text.isdecimal():
        return Path("/proc", text, "ns/net")
    return Path(text) if "/" in text else NAMED / text


def _inode_of(path: Path) -> int | None:
    """The inode number if that is a network namespace, and no other file or kind of namespace."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if fcntl.ioctl(file, _NS_GET_NSTYPE) == _CLONE_NEWNET:
            return os.fstat(file).st_ino
    finally:
        os.close(file)
    return None


def find_inode(text: str) -> int:
    """The inode number of a namespace given by name, path, inode number or process id.

    Raises:
        UsageError: there is no such namespace.
    """
    number = whole_number(text, _FIRST_INODE, _LAST_INODE)
    if number is not None:
        return number
    # ValueError: a null byte in the path.
    with contextlib.suppress(OSError, ValueError):
        inode = _inode_of(_path(text))
        if inode is not None:
            return inode
    message = (
        f"no network namespace '{printable(text)}': give a name as in ip netns, "
        "a path, an inode number or a process id"
    )
    raise UsageError(message)


@cache
def of_host() -> int:
    """The inode number of the host's own namespace: the first process's, or else ours.

    It stays what it is, and who gave away privileges can no longer look at it.
    """
    for process in ("1", "self"):
        with contextlib.suppress(OSError):
            inode = _inode_of(Path(f"/proc/{process}/ns/net"))
            if inode is not None:
                return inode
    return 0


def names() -> dict[int, str]:
    """Names by inode number: those of `ip netns`, and the first process's as "host"."""
    found: dict[int, str] = {}
    with contextlib.suppress(OSError):
        for entry in os.scandir(NAMED):
            with contextlib.suppress(OSError):
                found[entry.stat().st_ino] = entry.name
    if host := of_host():
        found[host] = HOST
    return found


def mounts() -> list[tuple[int, Path]]:
    """Inode number and place of each namespace that is mounted: ip netns, containers, CNI.

    Source: proc_pid_mountinfo(5); the root of such a mount is `net:[INODE]`.
    """
    try:
        text = os.fsdecode(_MOUNTS.read_bytes())
    except OSError:
        return []
    return [(int(inode), _unescaped(place)) for inode, place in _MOUNTED.findall(text)]


def _unescaped(place: str) -> Path:
    """Spaces and the like are octal there."""
    plain = _ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), os.fsencode(place))
    return Path(os.fsdecode(plain))
