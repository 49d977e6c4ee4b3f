"""Starts the programs of `traffic` in a namespace and hands back what they printed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tcpvitals.netlab.errors import NetlabError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tcpvitals.netlab.namespace import Namespace


def traffic_command(program: str, address: str, port: int, **options: object) -> list[str]:
    """Return the command line of one of traffic's programs; an option of None is left out."""
    words = [sys.executable, "-m", "tcpvitals.netlab.traffic", program, address, str(port)]
    for name, value in options.items():
        if value is not None:
            words += [f"--{name}", str(value)]
    return words


@contextlib.contextmanager
def serve(
    namespace: Namespace, address: str = "::", port: int = 0, *, lifetime_s: float = 600
) -> Iterator[int]:
    """Run an echo server (TCP and UDP) in a namespace, and yield its port once it listens.

    Raises:
        NetlabError: it does not start, such as for a port that is taken.
    """
    command = traffic_command("serve", address, port, lifetime=lifetime_s)
    with namespace.popen(command, stdout=subprocess.PIPE) as server:
        try:
            first_line = server.stdout.readline() if server.stdout else ""
            if not first_line:
                message = f"the echo server on {address} port {port} ended at once"
                raise NetlabError(message)
            yield int(json.loads(first_line)["port"])
        finally:
            server.kill()


def exchange(
    namespace: Namespace, program: str, address: str, port: int, **options: object
) -> dict[str, Any]:
    """Run `pingpong`, `peers` or `probe` in a namespace to its end, and return what it printed.

    The options are the program's own, without the dashes: exchange(client, "pingpong",
    SERVER_IPV4, port, count=10).  `timeout` is in seconds and always set, 60 if not given.

    Raises:
        NetlabError: it did not do everything that was asked; its last words are in the text.
    """
    command = traffic_command(program, address, port, **options)
    limit_s = float(str(options.get("timeout", 60))) + float(str(options.get("hold", 0)))
    done = namespace.run(command, timeout_s=limit_s + 30, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()[-1:]
        message = f"{program} to {address} port {port}: {' '.join(lines)}"
        raise NetlabError(message)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
