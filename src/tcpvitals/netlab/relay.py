"""The wire where the kernel has no netem: a process that forwards between two TUN devices.

It does what `impairment.Impairment` says, drawing at random from a seeded generator.  `link`
starts it inside the client's namespace and then moves one device to the server's: a TUN device
stays with the file descriptor that made it.  It ends with its standard input, with its parent, or
when its lifetime is over.

On standard input, a line {"to_server": {...}, "to_client": {...}} of Impairment's fields sets
what the wire does from then on; each is answered by a line on standard output, as is the start.
"""

from __future__ import annotations

import argparse
import fcntl
import heapq
import json
import os
import random
import select
import struct
import sys
import time
from contextlib import suppress

from tcpvitals.netlab.impairment import CLEAN, Impairment

_TUNSETIFF = 0x400454CA  # linux/if_tun.h
_IFF_TUN_NO_PI = 0x0001 | 0x1000
_LARGEST_PACKET = 65536
_BATCH = 64  # so that a flood from one side does not starve the other, or what is due


class Direction:
    """The packets from one TUN device to the other, and when each is due."""

    def __init__(self, source: int, sink: int, seed: int) -> None:
        """Forward from the descriptor `source` to `sink`, cleanly until told otherwise."""
        self.source = source
        self._sink = sink
        self._random = random.Random(seed)  # noqa: S311 repeatable loss is the point
        self._under_way: list[tuple[float, int, bytes]] = []
        self._accepted = 0
        self._line_free_at = 0.0
        self.impairment = CLEAN

    @property
    def next_due(self) -> float:
        """When the next packet arrives, in seconds of the monotonic clock; infinity if none."""
        return self._under_way[0][0] if self._under_way else float("inf")

    def accept(self, now: float) -> None:
        """Take from the source what has been sent, and decide its fate."""
        with suppress(BlockingIOError):
            for _ in range(_BATCH):
                packet = os.read(self.source, _LARGEST_PACKET)
                due = self._due(now, len(packet))
                if due is not None:
                    self._accepted += 1
                    heapq.heappush(self._under_way, (due, self._accepted, packet))

    def _due(self, now: float, size: int) -> float | None:
        """Return when a packet arrives, or None for never."""
        bad = self.impairment
        if self._random.random() < bad.loss or len(self._under_way) >= bad.limit:
            return None
        if self._random.random() < bad.reorder:
            return now
        if bad.rate_mbit:
            self._line_free_at = max(now, self._line_free_at) + size * 8 / (bad.rate_mbit * 1e6)
            now = self._line_free_at
        return now + (bad.delay_ms + self._random.uniform(-1, 1) * bad.jitter_ms) / 1000

    def deliver(self, now: float) -> None:
        """Hand over what is due."""
        while self.next_due <= now:
            packet = heapq.heappop(self._under_way)[2]
            with suppress(OSError):  # the device went down, or its memory is used up: a loss
                os.write(self._sink, packet)


def open_tun(name: str) -> int:
    """Make a TUN device in this process's network namespace and return its descriptor.

    Raises:
        OSError: no /dev/net/tun, no CAP_NET_ADMIN, or the name is taken.
    """
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN_NO_PI))
    return descriptor


def relay(to_server: Direction, to_client: Direction, deadline: float) -> None:
    """Forward both ways until `deadline` (monotonic, seconds) or the end of standard input."""
    both = (to_server, to_client)
    control = sys.stdin.fileno()
    while (now := time.monotonic()) < deadline:
        for direction in both:
            direction.deliver(now)
        wait = min(to_server.next_due, to_client.next_due, deadline) - time.monotonic()
        ready, _, _ = select.select([d.source for d in both] + [control], [], [], max(0, wait))
        now = time.monotonic()
        for direction in both:
            if direction.source in ready:
                direction.accept(now)
        if control in ready and not _obey(to_server, to_client):
            return


def _obey(to_server: Direction, to_client: Direction) -> bool:
    """Do what one line of standard input says; False at its end."""
    line = sys.stdin.readline()
    if line:
        wanted = json.loads(line)
        to_server.impairment = Impairment(**wanted["to_server"])
        to_client.impairment = Impairment(**wanted["to_client"])
        _answer("done")
    return bool(line)


def _answer(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def main() -> None:
    """Make both devices, say so, and relay."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("client_device")
    parser.add_argument("server_device")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--lifetime-s", type=float, required=True)
    arguments = parser.parse_args()
    deadline = time.monotonic() + arguments.lifetime_s
    try:
        client, server = open_tun(arguments.client_device), open_tun(arguments.server_device)
    except OSError as error:
        _answer(f"cannot make a TUN device: {error}")
        return
    _answer("ready")
    to_server = Direction(client, server, arguments.seed)
    to_client = Direction(server, client, arguments.seed + 1)
    relay(to_server, to_client, deadline)


if __name__ == "__main__":
    main()
