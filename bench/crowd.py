"""A host with many connections: thousands over the loopback of a network namespace of its own."""

from __future__ import annotations

import resource
import subprocess
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from errors import CannotRunError
from load import Load
from tcpvitals.netlab.errors import NetlabError
from tcpvitals.netlab.namespace import open_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tcpvitals.netlab.namespace import Namespace

_LIFETIME_S: Final = 1800
# Of open files that a process may have, those that are no connections.
_OTHER_FILES: Final = 100
_UNANSWERED: Final = """add table inet bench
add chain inet bench unanswered { type filter hook input priority 0; }
add rule inet bench unanswered tcp dport 4001 drop
"""


@contextmanager
def open_crowd(
    program: Path, cpu: int, connections: int, networks: int, unanswered: int = 0
) -> Iterator[Load]:
    """Make so many connections, both ends here, from as many networks /24 as said.

    Grouped as `serve` does by default that is a group for each network and one for the clients.
    Those `unanswered` are besides, and send their SYN again and again: a flow each.  Load goes over
    one connection after the other.

    Raises:
        CannotRunError: there is no making them here.
    """
    try:
        with open_namespace(lifetime_s=_LIFETIME_S) as namespace, ExitStack() as undo:
            if unanswered:
                namespace.run(["nft", "-f", "-"], stdin=_UNANSWERED)
            generators = []
            _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
            for number, share in enumerate(shares(connections, files), 1):
                first_only = unanswered if number == 1 else 0
                words = [program, cpu, number, share, networks, first_only]
                generators.append(undo.enter_context(_start(namespace, words)))
                undo.callback(generators[-1].kill)  # it may be in the middle of a long slice
            _wait_until_ready(generators)
            yield Load(generators)
    except NetlabError as error:
        raise CannotRunError(str(error)) from error


def _start(namespace: Namespace, words: Sequence[object]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return namespace.popen([str(word) for word in words], stdin=pipe, stdout=pipe)


def shares(connections: int, files: int) -> list[int]:
    """Divide them between processes, none of which may have more files open than that."""
    processes = -(-connections * 2 // max(1, files - _OTHER_FILES))
    some, rest = divmod(connections, processes)
    return [some + (number < rest) for number in range(processes)]


def _wait_until_ready(generators: Sequence[subprocess.Popen[str]]) -> None:
    for generator in generators:
        if not (generator.stdout and generator.stdout.readline()):
            message = "connections could not be made"
            raise CannotRunError(message)
