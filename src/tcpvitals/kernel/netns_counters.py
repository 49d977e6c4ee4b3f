"""The kernel's own TCP counters, of every network namespace that can be found.

There are two ways to them.  `read_all` enters each namespace, and needs root.  `read_through` reads
what /proc shows of a process in it, which anyone may who knows of one; the kernel half does.

The only place that enters namespaces.  It does so in a thread that nothing else ever uses and that
ends when the last one is read, so that no socket of ours is ever made in a foreign namespace by
accident.  Nothing stays open: a descriptor would keep a namespace alive.

Namespaces are found by the processes in them and by the names that `ip netns` gave.  One that only
a thread, an open file or a socket holds is not found.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tcpvitals.kernel import netns
from tcpvitals.kernel.libbpf.setns import join_network_namespace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

COUNTERS: Final = (
    "TcpRetransSegs",
    "TcpExtTCPSynRetrans",
    "TcpExtTCPRetransFail",
    "TcpExtTCPTimeouts",
    "TcpExtTCPLossProbes",
    "TcpExtTCPFastRetrans",
    "TcpExtTCPSlowStartRetrans",
    "TcpExtTCPSpuriousRtxHostQueues",
    "TcpExtTCPDeferAcceptDrop",
)
"""The counters that are read, named as `nstat` names them."""

_SO_NETNS_COOKIE: Final = 71  # asm-generic/socket.h, from 5.14 on
_COOKIE_BYTES: Final = 8
# A process may end before its namespace is entered; another one in there will do.
_MOST_PLACES: Final = 4
_OWN: Final = Path("/proc/thread-self/net")  # the namespace that this thread is in


@dataclass(frozen=True, slots=True)
class NetnsCounters:
    """One namespace's counters since it began; `cookie` is 0 where the kernel does not tell it.

    A counter that this kernel lacks is not among them.
    """

    inode: int
    cookie: int
    counters: Mapping[str, int]


def read_all() -> dict[int, NetnsCounters]:
    """Read every namespace, by inode number; one that cannot be read is left out.  Needs root."""
    return _read_apart(find_places())


def read(inodes: Collection[int]) -> dict[int, NetnsCounters]:
    """Read only these namespaces; one that cannot be found or read is left out.  Needs root."""
    wanted = set(inodes)
    if not wanted:
        return {}
    places = find_places()
    return _read_apart({inode: places[inode] for inode in wanted & places.keys()})


def read_through(found: Iterable[tuple[int, int, int]]) -> dict[int, NetnsCounters]:
    """Read every namespace through a process in it; one that cannot be read is left out.

    Args:
        found: inode number and cookie of each namespace, and a process in it, for every process;
            a few are tried, since one may have ended.
    """
    read: dict[int, NetnsCounters] = {}
    tried: dict[int, int] = {}
    for inode, cookie, process in found:
        if inode in read or tried.get(inode, 0) >= _MOST_PLACES:
            continue
        tried[inode] = tried.get(inode, 0) + 1
        with contextlib.suppress(OSError):
            read[inode] = NetnsCounters(inode, cookie, _counters(Path(f"/proc/{process}/net")))
    return read


def find_places() -> dict[int, list[Path]]:
    """Where each namespace can be opened, by inode number: names first, they outlive processes.

    What cannot be looked at, because it is gone or not permitted, is passed over.
    """
    found: dict[int, list[Path]] = {}
    for path in (*_names(), *_processes()):
        with contextlib.suppress(OSError):
            places = found.setdefault(path.stat().st_ino, [])
            if len(places) < _MOST_PLACES:
                places.append(path)
    return found


def _names() -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from netns.NAMED.iterdir()


def _processes() -> Iterator[Path]:
    with contextlib.suppress(OSError):
        for entry in os.scandir("/proc"):
            if entry.name.isdecimal():
                yield Path(entry.path, "ns/net")


def _read_apart(places: Mapping[int, Sequence[Path]]) -> dict[int, NetnsCounters]:
    """The thread is gone at the end, from the last namespace that it entered."""
    with ThreadPoolExecutor(1, "netns-counters") as apart:
        return apart.submit(_read_each, places).result()


def _read_each(places: Mapping[int, Sequence[Path]]) -> dict[int, NetnsCounters]:
    read = (_read_any(inode, paths) for inode, paths in places.items())
    return {one.inode: one for one in read if one}


def _read_any(inode: int, paths: Sequence[Path]) -> NetnsCounters | None:
    for path in paths:
        with contextlib.suppress(OSError):
            _enter(path, inode)
            return NetnsCounters(inode, _cookie(), _counters(_OWN))
    return None


def _enter(path: Path, inode: int) -> None:
    """What has been opened is what is entered, whoever has the path by now."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if os.fstat(fd).st_ino != inode:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        join_network_namespace(fd)
    finally:
        os.close(fd)


def _cookie() -> int:
    """Of the namespace that this thread is in."""
    with contextlib.suppress(OSError), socket.socket() as tcp:
        cookie = tcp.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, _COOKIE_BYTES)
        return int.from_bytes(cookie, sys.byteorder)
    return 0


def _counters(net: Path) -> dict[str, int]:
    files = ((net / name).read_text() for name in ("snmp", "netstat"))
    return {name: value for text in files for name, value in parse_counters(text).items()}


def parse_counters(text: str) -> dict[str, int]:
    """Those of `COUNTERS` in /proc/net/snmp or netstat: a line of names, and one of values."""
    found: dict[str, int] = {}
    lines = text.splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        if columns := _columns(names):
            fields = values.split()
            found |= {name: int(fields[at]) for name, at in columns.items()}
    return found


@lru_cache(maxsize=64)
def _columns(names: str) -> dict[str, int]:
    """Where a line of names, the same in every namespace, has counters that are read."""
    prefix, *fields = names.split()
    places = {prefix[:-1] + field: at for at, field in enumerate(fields, 1)}
    return {name: places[name] for name in COUNTERS if name in places}
