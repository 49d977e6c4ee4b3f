"""Runs many scenarios at once, each in a process and on a network of its own.

As a script it prints the namespaces once every scenario is ready, begins when it reads a line, and
prints what came of each: what the kernel counted, and what the test has to know. The namespaces
last until its standard input ends.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import scenarios_life as life
import scenarios_path as path
from scenario_net import CLIENT, FAR, SERVER, Absent, Net, Notes, fork, open_hosts
from sockets_lab import die_with_parent

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping

    Scenario = Callable[[Net], Notes]

SCENARIOS: Final[Mapping[str, Scenario]] = {
    "orphans": life.orphans,
    "RST": life.rst,
    "ss -K": life.ss_kill,
    "TCP_USER_TIMEOUT": life.user_timeout,
    "zero window": life.zero_window,
    "keepalive": life.keepalive,
    "older sockets": life.older,
    "AF_UNSPEC": life.reconnect,
    "killed owner": life.killed_owner,
    "prefork": life.prefork,
    "SCM_RIGHTS": life.scm_rights,
    "path MTU": path.path_mtu,
    "BBR": partial(path.under_loss, settings={}, congestion=b"bbr"),
    "no SACK": partial(path.under_loss, settings={"ipv4.tcp_sack": 0}),
    "ECN": path.ecn,
    "F-RTO": path.f_rto,
    "MPTCP": path.mptcp,
    "SYN cookies": path.syn_flood,
    "TCP_DEFER_ACCEPT": path.deferred_accept,
    "SO_REUSEPORT": path.reuseport,
}
_ROUTED: Final = {"path MTU"}


# --- for tests ------------------------------------------------------------------------------------


class Scenarios:
    """Scenarios that are ready to begin; `inodes` are the namespaces' numbers, by side."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Take over the script, and wait until it is ready."""
        assert process.stdin
        assert process.stdout
        self._to, self._from = process.stdin, process.stdout
        self.inodes: dict[str, dict[str, int]] = self._read()

    def play(self) -> dict[str, dict[str, Any]]:
        """Run them all to their ends; what came of each."""
        self._to.write("\n")
        self._to.flush()
        results: dict[str, dict[str, Any]] = self._read()
        return results

    def _read(self) -> Any:  # noqa: ANN401 - JSON
        line = self._from.readline()
        assert line, "the scenarios have ended"
        return json.loads(line)


@contextlib.contextmanager
def open_scenarios() -> Iterator[Scenarios]:
    """Start the script, and end it."""
    command = ["setpriv", "--pdeathsig", "KILL", sys.executable, __file__]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Scenarios(process)
        finally:
            process.kill()


# --- the script -----------------------------------------------------------------------------------


def _play(scenario: Scenario, pids: Mapping[str, int], channel: socket.socket) -> None:
    """A process's whole life; its last line is the result."""
    with channel.makefile("rw") as both:
        _say(both, _result(scenario, pids, both))
        both.readline()


def _result(scenario: Scenario, pids: Mapping[str, int], both: IO[str]) -> dict[str, Any]:
    def wait_for_start() -> None:
        _say(both, {"ready": True})
        both.readline()

    try:
        net = Net(pids, wait_for_start)
        notes = scenario(net)
        net.wait_until_quiet()
        return {"notes": notes, "moved": net.moved()}
    except Absent as absent:
        return {"absent": str(absent)}
    except Exception:  # noqa: BLE001 - the test reports it
        return {"error": traceback.format_exc()}


def _say(to: IO[str], what: object) -> None:
    to.write(json.dumps(what) + "\n")
    to.flush()


def _inode(pid: int) -> int:
    return Path(f"/proc/{pid}/ns/net").stat().st_ino


def main() -> None:
    """Make the networks, then follow the scenarios."""
    sides = {name: (CLIENT, SERVER, FAR)[: 2 + (name in _ROUTED)] for name in SCENARIOS}
    hosts = {
        name: {side: holder.pid for side, holder in holders.items()}
        for name, holders in open_hosts(sides).items()
    }
    workers = {name: fork(partial(_play, SCENARIOS[name], hosts[name])) for name in SCENARIOS}
    files = {name: worker.channel.makefile("rw") for name, worker in workers.items()}
    results = {name: json.loads(file.readline()) for name, file in files.items()}
    _say(sys.stdout, {name: {s: _inode(pid) for s, pid in hosts[name].items()} for name in hosts})
    sys.stdin.readline()
    begun = [name for name, result in results.items() if "ready" in result]
    for name in begun:
        _say(files[name], "begin")
    results |= {name: json.loads(files[name].readline()) for name in begun}
    _say(sys.stdout, results)
    sys.stdin.read()


if __name__ == "__main__":
    die_with_parent()
    main()
