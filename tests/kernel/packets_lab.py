"""What packet timestamps say of round trips: nothing of TCP's sockets, and nothing of ours.

A round trip begins with the packet's own timestamp: a machine with other work may hand it to its
device much later.  It ends where TCP takes up the ACK.
"""

from __future__ import annotations

from bisect import bisect_right
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tcpvitals.kernel import libbpf
from tcpvitals.kernel.btf import Layouts
from tcpvitals.model.histogram import BUCKETS, bucket_index, quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OBJECT = Path(__file__).parent / "bpf" / "packets.bpf.o"
FULL_SIZED = 1448
"""Bytes of data in a segment of a wire of MTU 1500, with timestamps."""
WHOLE = 1514
"""Bytes of such a segment on the wire."""

_PACKET = np.dtype(
    [
        ("time_ns", "<u8"),
        ("stamped_ns", "<u8"),
        ("netns", "<u4"),
        ("seq", "<u4"),
        ("ack", "<u4"),
        ("bytes", "<u4"),
        ("from_port", "<u2"),
        ("to_port", "<u2"),
        ("flags", "u1"),
        ("sent", "u1"),
        ("padding", "<u2"),
    ]
)
_FIN_SYN_RST, _ACK = 0x07, 0x10
_WRAP = 1 << 32


@dataclass(frozen=True)
class RoundTrips:
    """The round trips of one sender's connections, in microseconds.

    `clean` are those of ACKs without data for two full-sized segments or more; `least` is the
    shortest of all of a connection, one for each of `clean`; `every` has all, the handshake's too.
    """

    clean: list[float]
    least: list[float]
    every: list[float]

    def p50(self, *others_us: float) -> float:
        """The median of the clean ones and some others, as it is in a histogram of such buckets."""
        return _p50([*self.clean, *others_us])

    def p50_of_every(self) -> float:
        """The same of all."""
        return _p50(self.every)

    def inflation_p50(self) -> float:
        """The median of how far clean ones are above their connection's shortest."""
        return float(np.median(np.array(self.clean) - self.least))


def _p50(trips_us: list[float]) -> float:
    values = np.array(trips_us).astype(np.int64)
    buckets = np.bincount(bucket_index(values), minlength=BUCKETS).astype(np.uint64)
    return quantile(buckets, 0.5, values.min(), values.max()) or 0


@contextmanager
def packets() -> Iterator[Callable[[], np.ndarray]]:
    """Note all TCP packets of the machine; yields what returns those since the last call."""
    with libbpf.Object(OBJECT.read_bytes(), "packets") as opened:
        opened.load()
        links = [program.attach() for program in opened.programs.values()]
        ring = libbpf.Ring(opened.map("packets"))
        lost_at = Layouts(opened.btf()).variable_offset(".bss", "lost")

        def read() -> np.ndarray:
            found = np.frombuffer(b"".join(ring.consume(1 << 24)), _PACKET)
            bss = opened.map(".bss").lookup(bytes(4)) or b""
            assert int.from_bytes(bss[lost_at : lost_at + 8], "little") == 0
            return found[np.argsort(found["time_ns"], kind="stable")]

        try:
            yield read
        finally:
            for link in links:
                link.close()
            ring.close()


def round_trips(
    seen: np.ndarray, netns: int, *, to_port: int | None = None, from_port: int | None = None
) -> RoundTrips:
    """Match ACKs with what they acknowledge, for all connections of a namespace with this port."""
    found = RoundTrips([], [], [])
    mine = seen[seen["netns"] == netns]
    local, remote = _ends(mine)
    chosen = remote == to_port if to_port else local == from_port
    for connection in np.unique(np.stack((local[chosen], remote[chosen])), axis=1).T:
        _match(mine[(local == connection[0]) & (remote == connection[1])], found)
    return found


def waiting_us(seen: np.ndarray, client: int, server: int, port: int, rate_mbit: float) -> float:
    """The median, over segments, of what waits in front of the server by the rate of the wire.

    What has been handed to the client's device and is not yet at the server, headers included.
    """
    of_port = seen[(seen["to_port"] == port) & (seen["bytes"] > 0)]
    sent = of_port[(of_port["netns"] == client) & (of_port["sent"] == 1)]
    received = of_port[(of_port["netns"] == server) & (of_port["sent"] == 0)]
    there = np.append(0, np.cumsum(received["bytes"], dtype=np.int64))
    handed = np.cumsum(sent["bytes"], dtype=np.int64)
    waiting = handed - there[np.searchsorted(received["time_ns"], sent["time_ns"])]
    return float(np.median(waiting)) * WHOLE / FULL_SIZED * 8 / rate_mbit


def _ends(mine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sent = mine["sent"] == 1
    return (
        np.where(sent, mine["from_port"], mine["to_port"]),
        np.where(sent, mine["to_port"], mine["from_port"]),
    )


def _match(packets: np.ndarray, found: RoundTrips) -> None:
    """One connection, in the order of time; sequence numbers count from its SYN."""
    starts: list[int] = []
    sent_ns: list[int] = []
    trips: list[float] = []
    clean: list[float] = []
    first = acknowledged = 0
    for one in packets:
        if one["sent"]:
            if one["flags"] & 2:
                first, acknowledged = int(one["seq"]), 0
            elif not one["bytes"]:
                continue
            starts.append((int(one["seq"]) - first) % _WRAP)
            sent_ns.append(int(one["stamped_ns"]))
        elif one["flags"] & _ACK and starts:
            newly = (int(one["ack"]) - first) % _WRAP - acknowledged
            if not 0 < newly < _WRAP // 2:
                continue
            acknowledged += newly
            at = bisect_right(starts, acknowledged - 1) - 1
            trips.append((int(one["time_ns"]) - sent_ns[at]) / 1000)
            if _is_clean(one, newly):
                clean.append(trips[-1])
    found.every.extend(trips)
    found.clean.extend(clean)
    found.least.extend([min(trips, default=0)] * len(clean))


def _is_clean(one: np.void, newly: int) -> bool:
    return not one["bytes"] and not one["flags"] & _FIN_SYN_RST and newly >= 2 * FULL_SIZED
