"""Boot time as the wall shows it."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Final

from tcpvitals.sources.live import boot_time_ns

if TYPE_CHECKING:
    from collections.abc import Callable

_NS: Final = 1_000_000_000


def wall_clock() -> Callable[[int], dt.datetime]:
    """Return what turns boot time (ns) into local time; setting the clock later moves nothing."""
    offset_ns = time.time_ns() - boot_time_ns()

    def wall(boot_ns: int) -> dt.datetime:
        seconds, rest_ns = divmod(boot_ns + offset_ns, _NS)
        whole = dt.datetime.fromtimestamp(seconds, dt.UTC).astimezone()
        return whole.replace(microsecond=rest_ns // 1000)

    return wall
