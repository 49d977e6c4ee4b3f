"""Processes of this host, by number."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from tcpvitals.errors import UsageError


def check_process(pid: int) -> None:
    """Refuse a number that no process has: its sockets could never be met.

    Raises:
        UsageError: there is no such process, or the number is a thread's.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        message = f"there is no process {pid}"
        raise UsageError(message) from None
    except PermissionError:
        pass  # it is there
    leader = _process_of(pid)
    if leader not in (None, pid):
        message = f"{pid} is a thread: give its process, {leader}"
        raise UsageError(message)


def _process_of(thread: int) -> int | None:
    """The process that a thread belongs to; None where /proc does not say."""
    with contextlib.suppress(OSError):
        found = re.search(
            r"^Tgid:\s*(\d+)$", Path(f"/proc/{thread}/status").read_text(), re.MULTILINE
        )
        return int(found[1]) if found else None
    return None
