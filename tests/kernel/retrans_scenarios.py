"""Traffic that the kernel has to send again, and `tcpvitals retrans --verify` beside it.

What is started here ends with the test, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attaching import POLL_S, is_waiting

from tcpvitals.netlab.link import SERVER_IPV4, SERVER_IPV6
from tcpvitals.netlab.workload import serve, traffic_command

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tcpvitals.netlab.link import Link
    from tcpvitals.netlab.namespace import Namespace

PATIENCE_S = 120  # for what happens in its own time, under an emulated CPU

# The installed program itself.
_COMMAND = [str(Path(sys.executable).with_name("tcpvitals")), "retrans"]
_OPTIONS = ["--verify", "--json"]
_LINK = "anon_inode:bpf_link"

_ADDRESSES = (SERVER_IPV4, SERVER_IPV6)
_PREFIXES = ("10.64.0.0/20", "fd64::/112")
# The kernel's get_tcp4_sock: 1 is the timer that sends again, of handshakes too; 4 probes a window.
_SENDING_TIMERS = {"01", "04"}


# --- the command ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """How the command ended, and what it said: `verified` has a line for each active namespace."""

    status: int
    stderr: str
    totals: list[dict[str, Any]]
    verified: dict[str, dict[str, Any]]
    not_verified: list[dict[str, Any]]

    @property
    def skipped(self) -> int:
        """How many runs of its programs the kernel says that it skipped."""
        return self.lost("recursion")

    @property
    def unattributed(self) -> int:
        """How many retransmissions have no cause that was seen, in all namespaces."""
        return self.lost("unattributed")

    def lost(self, reason: str) -> int:
        """How much was lost for a reason, in all namespaces."""
        return max(int(line["dropped"][reason]) for line in self.totals)

    @property
    def explained(self) -> bool:
        """Whether no difference is left without an explanation."""
        return all(line["explained"] for line in self.verified.values())

    def counters(self, namespace: Namespace) -> dict[str, dict[str, Any]]:
        """Each counter's comparison in a namespace; none if nothing was counted there."""
        line = self.verified.get(str(namespace.inode))
        return line["counters"] if line else {}

    def by_groups_of(self, namespace: Namespace) -> int:
        """What the groups of a namespace sent again, in all."""
        name = str(namespace.inode)
        return _sum_retransmitted(line for line in self.totals if line["key"].get("netns") == name)

    @property
    def by_groups(self) -> int:
        """What all groups sent again."""
        return _sum_retransmitted(self.totals)

    @property
    def by_namespaces(self) -> int:
        """What we counted in all namespaces."""
        return sum(line["counters"]["RetransSegs"]["ours"] for line in self.verified.values())


def _sum_retransmitted(lines: Iterable[dict[str, Any]]) -> int:
    return sum(line["retransmitted"] for line in lines)


class Verification:
    """A running `tcpvitals retrans --verify`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Take it over, and wait until it counts."""
        self._process = process
        _wait_until_attached(process)

    def end(self) -> Outcome:
        """Interrupt it as Ctrl-C does, and return what it found."""
        self._process.send_signal(signal.SIGINT)
        stdout, stderr = self._process.communicate(timeout=PATIENCE_S)
        lines = [json.loads(line) for line in stdout.splitlines()]
        return Outcome(
            self._process.returncode,
            stderr,
            [line for line in lines if line["type"] == "totals"],
            {line["netns"]: line for line in lines if line["type"] == "verify"},
            [line for line in lines if line["type"] == "not_verified"],
        )


@contextlib.contextmanager
def verification(by: str = "netns,role") -> Iterator[Verification]:
    """Start it with groups by these fields; if nobody ends it, it is killed."""
    with subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *_COMMAND, "--by", by, *_OPTIONS],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Verification(process)
        finally:
            process.kill()


def _wait_until_attached(process: subprocess.Popen[str]) -> None:
    """It has links and waits for its first print: the baseline is read."""
    deadline = time.monotonic() + PATIENCE_S
    while not (_count_links(process.pid) and is_waiting(process.pid)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "tcpvitals did not attach"
        time.sleep(POLL_S)


def _count_links(pid: int) -> int:
    found = 0
    with contextlib.suppress(OSError):  # it may close them, or end, meanwhile
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            found += str(entry.readlink()) == _LINK
    return found


# --- the end of the traffic -----------------------------------------------------------------------


def wait_until_quiet(link: Link) -> None:
    """Until no connection or handshake of either end can send anything again."""
    deadline = time.monotonic() + PATIENCE_S
    while waiting := [*_may_send_again(link.client), *_may_send_again(link.server)]:
        assert time.monotonic() < deadline, waiting
        time.sleep(0.1)


def _may_send_again(namespace: Namespace) -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{namespace.pid}/net/{name}").read_text().splitlines()[1:]:
            timer = line.split()[5].partition(":")[0]
            if timer in _SENDING_TIMERS:
                yield line


# --- traffic --------------------------------------------------------------------------------------


def transfer(link: Link, *options: str) -> None:
    """By iperf3, as fast as it goes: to the server by IPv4, and back by IPv6 at the same time."""
    there = ["iperf3", "--client", SERVER_IPV4, "--port", "5201", *options]
    back = ["iperf3", "--client", SERVER_IPV6, "--port", "5202", "--reverse", *options]
    with _iperf3_server(link, 5201), _iperf3_server(link, 5202):
        for status, output in run_at_once([(link.client, there), (link.client, back)]):
            assert status == 0, output


@contextlib.contextmanager
def _iperf3_server(link: Link, port: int) -> Iterator[None]:
    command = ["iperf3", "--server", "--one-off", "--forceflush", "--port", str(port)]
    with link.server.popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        try:
            assert server.stdout
            lines = iter(server.stdout.readline, "")
            assert any("listening" in line for line in lines), "iperf3 does not listen"
            yield
        finally:
            server.kill()


def short_connections(link: Link, count: int, *, size: int, timeout_s: float) -> None:
    """A message there and back on each, half of them by IPv4, many at a time; some may fail."""
    for prefix in _PREFIXES:
        link.add_prefix("client", prefix)
    each = {"count": count // 2, "concurrency": 75, "size": size, "timeout": timeout_s}
    with serve(link.server) as port:
        commands = [
            traffic_command("peers", address, port, prefix=prefix, **each)
            for address, prefix in zip(_ADDRESSES, _PREFIXES, strict=True)
        ]
        for _, output in run_at_once([(link.client, command) for command in commands]):
            assert json.loads(output)["peers"] == count // 2


def connect_in_vain(ports: Sequence[tuple[Link, int]], each: int) -> None:
    """On all links at once, so many connects by each family that get no answer."""
    commands = [
        (link.client, traffic_command("pingpong", address, port, connections=each))
        for link, port in ports
        for address in _ADDRESSES
    ]
    for _, output in run_at_once(commands):
        assert [one["local"] for one in json.loads(output)["connections"]] == [None] * each


def run_at_once(commands: Sequence[tuple[Namespace, Sequence[str]]]) -> list[tuple[int, str]]:
    """Run commands side by side to their ends, and return each one's status and output."""
    with contextlib.ExitStack() as stack:
        running = []
        for namespace, command in commands:
            process = namespace.popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            running.append(stack.enter_context(process))
            stack.callback(process.kill)
        return [_finish(process) for process in running]


def _finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, output
