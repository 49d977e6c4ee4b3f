"""The load: pinned ping-pong over the loopback of a network namespace of its own."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from errors import CannotRunError
from tcpvitals.netlab.errors import NetlabError
from tcpvitals.netlab.namespace import open_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Slice:
    """What one stretch of load did: round trips, and the time and CPU time they took."""

    trips: int
    elapsed_ns: int
    cpu_ns: int

    @property
    def trips_per_s(self) -> float:
        """Round trips a second."""
        return self.trips / self.elapsed_ns * 1e9

    @property
    def cpu_ns_per_trip(self) -> float:
        """CPU time of both ends for one round trip.

        Softirqs of loopback run in the sender's time, so what BPF programs cost is in it, and what
        other processes do meanwhile is not.
        """
        return self.cpu_ns / self.trips


class Load:
    """Connections that exchange a byte as often as they can, all at a time, when told to."""

    def __init__(self, generators: Sequence[subprocess.Popen[str]]) -> None:
        """Take over running generators, which have pipes."""
        self._generators = generators

    def run(self, seconds: float, trips_per_s: float = 0) -> Slice:
        """Make load for so long, as fast as it goes or each at a steady rate; the sum of all.

        Raises:
            CannotRunError: a generator ended.
        """
        self.begin(seconds, trips_per_s)
        return self.end()

    def begin(self, seconds: float, trips_per_s: float = 0) -> None:
        """Start what `run` does, and do not wait for it."""
        for generator in self._generators:
            print(seconds, trips_per_s, file=generator.stdin, flush=True)

    def end(self) -> Slice:
        """Wait for the end of what was begun.

        Raises:
            CannotRunError: a generator ended.
        """
        lines = [generator.stdout.readline() for generator in self._generators if generator.stdout]
        if not all(lines):
            msg = "the ping-pong ended early"
            raise CannotRunError(msg)
        trips, elapsed_ns, cpu_ns = zip(*(map(int, line.split()) for line in lines), strict=True)
        return Slice(sum(trips), max(elapsed_ns), sum(cpu_ns))


@contextmanager
def open_load(program: Path, cpus: Sequence[int]) -> Iterator[Load]:
    """Start a generator on each of these CPUs, both its ends there.

    Ends on two CPUs would mostly measure how one idle CPU wakes another.

    Raises:
        CannotRunError: there is no making a network namespace here.
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    try:
        with open_namespace() as namespace, ExitStack() as undo:
            generators = [
                undo.enter_context(namespace.popen([str(program), str(cpu)], **pipes))
                for cpu in cpus
            ]  # leaving their contexts closes their pipes, upon which they end
            yield Load(generators)
    except NetlabError as error:
        raise CannotRunError(str(error)) from error
