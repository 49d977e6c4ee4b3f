"""When a command that counts has begun to: everything is attached, and it waits for the first time.

How long that takes depends on the machine, so that no pause between two links tells.
"""

from __future__ import annotations

import contextlib
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sockets_lab import PATIENCE_S

if TYPE_CHECKING:
    from sockets_lab import Watcher

POLL_S = 0.05
# poll, select, nanosleep, clock_nanosleep, epoll_wait, pselect6, ppoll, epoll_pwait: asm/unistd.h.
_WAITING = {
    "x86_64": {"7", "23", "35", "230", "232", "270", "271", "281"},
    "aarch64": {"22", "72", "73", "101", "115"},
}


def wait_until_attached(*watchers: Watcher) -> None:
    """Until each has links and waits for events or for its next print; or one has ended."""
    deadline = time.monotonic() + 2 * PATIENCE_S
    while all(watcher.process.poll() is None for watcher in watchers):
        if all(watcher.links() and is_waiting(watcher.process.pid) for watcher in watchers):
            return
        assert time.monotonic() < deadline, f"not attached: {[one.links() for one in watchers]}"
        time.sleep(POLL_S)


def is_waiting(pid: int) -> bool:
    """Whether a process is in select(), poll(), epoll_wait() or nanosleep().

    tcpvitals, as libbpf-tools, does so for the first time after everything is attached and, with
    --verify, the baseline is read.  How long that takes depends on the machine.
    """
    with contextlib.suppress(OSError):
        number = Path(f"/proc/{pid}/syscall").read_text().split()[0]
        return number in _WAITING[platform.machine()]
    return False
