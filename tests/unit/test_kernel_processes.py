"""A filter by process is refused where no socket could ever pass it."""

from __future__ import annotations

import os
import threading

import pytest

from tcpvitals.errors import UsageError
from tcpvitals.kernel.processes import check_process

# Process ids are below it (PID_MAX_LIMIT of linux/threads.h).
NEVER = 1 << 22


@pytest.mark.parametrize("pid", [1, os.getpid()])
def test_a_process_that_is_there_is_accepted_whosever_it_is(pid: int) -> None:
    check_process(pid)


def test_a_number_that_no_process_has_is_refused() -> None:
    with pytest.raises(UsageError, match="there is no process 4194304"):
        check_process(NEVER)


def test_a_thread_is_answered_with_its_process() -> None:
    """Sockets are owned by processes: nothing would ever pass."""
    refused: list[UsageError] = []

    def look() -> None:
        try:
            check_process(threading.get_native_id())
        except UsageError as error:
            refused.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()

    (error,) = refused
    assert str(error).endswith(f"is a thread: give its process, {os.getpid()}")
