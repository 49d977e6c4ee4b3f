"""The kernel's own TCP counters, of every network namespace that can be found.

There are two ways to them.  `read_through` reads what /proc shows of a process in a namespace; the
kernel half names the process and the namespace's identity, and no privilege is needed.  `read_all`
also enters the namespaces that are mounted and without a process, and needs root.

The only place that enters namespaces.  It does so in a thread that nothing else ever uses and that
ends when the last one is read, so that no socket of ours is ever made in a foreign namespace by
accident.  Nothing stays open: a descriptor would keep a namespace alive.

A namespace that only a thread, an open file or a socket holds is not found.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tcpvitals.kernel import netns
from tcpvitals.kernel.libbpf.setns import join_network_namespace
from tcpvitals.model.namespaces import Netns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeAlias

    Counters: TypeAlias = dict[Netns, dict[str, int]]

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


def read_all(found: Iterable[tuple[int, int, int]]) -> Counters:
    """Read every namespace; one that cannot be read is left out.  Needs root.

    Args:
        found: as in `read_through`.
    """
    read = read_through(found)
    known = {one.inode for one in read}
    places: dict[int, list[Path]] = {}
    for inode, place in netns.mounts():
        if inode not in known:
            places.setdefault(inode, []).append(place)
    return read | read_apart(places)


def read_through(found: Iterable[tuple[int, int, int]]) -> Counters:
    """Read every namespace through a process in it; one that cannot be read is left out.

    A counter that this kernel lacks is not among them.

    Args:
        found: inode number and cookie of each namespace, and a process in it, for every process;
            a few are tried, since one may have ended.
    """
    read: Counters = {}
    tried: dict[Netns, int] = {}
    for inode, cookie, process in found:
        one = Netns(inode, cookie)
        if one in read or tried.get(one, 0) >= _MOST_PLACES:
            continue
        tried[one] = tried.get(one, 0) + 1
        with contextlib.suppress(OSError):
            read[one] = _counters(Path(f"/proc/{process}/net"))
    return read


def read_apart(places: Mapping[int, Sequence[Path]]) -> Counters:
    """Enter namespaces by the places where they are mounted, and read them.  Needs root.

    The thread is gone at the end, from the last namespace that it entered.
    """
    if not places:
        return {}
    with ThreadPoolExecutor(1, "netns-counters") as apart:
        return apart.submit(_read_each, places).result()


def _read_each(places: Mapping[int, Sequence[Path]]) -> Counters:
    read: Counters = {}
    for inode, paths in places.items():
        for path in paths[:_MOST_PLACES]:
            with contextlib.suppress(OSError):
                _enter(path, inode)
                read[Netns(inode, _cookie())] = _counters(_OWN)
                break
    return read


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
    """Of the namespace that this thread is in; 0 where the kernel does not say (before 5.14)."""
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
