"""The web config as it is now: read again when it or its certificates change.

It is read and checked whole, in a thread of its own, before any of it is adopted.  A change that is
no good leaves what was in force before, and is reported once.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from tcpvitals.errors import UsageError
from tcpvitals.sinks.web.tls import Tls, make_tls
from tcpvitals.sinks.web.webconfig import WebConfig, read_web_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# What tells one state of a file from another: inode, size, time of its last change, and of the last
# change of its permissions.
_Stamp: TypeAlias = tuple[int, int, int, int] | None

# A request waits no longer for a change to be read; what was in force before serves it then.
_PATIENCE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class InForce:
    """What a web config says, and its certificates, ready for use; `tls` None is plain HTTP."""

    config: WebConfig
    tls: Tls | None


class WebConfigFile:
    """The file that `--web.config.file` names."""

    def __init__(self, file: Path, report: Callable[[str], None]) -> None:
        """Read it; what is wrong with it later goes to `report`, one line each.

        Raises:
            UsageError: it, or a certificate it names, is no good.
        """
        self._file = file
        self._report = report
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="web-config")
        self._following: asyncio.Future[None] | None = None
        # Of every file that was read the last time, or was to be read.
        self._stamps: dict[Path, _Stamp] = {}
        self.current = self._read()
        #: Raises UsageError for a change that is not to be followed.
        self.check: Callable[[WebConfig], None] = lambda _config: None

    def move_to(self, file: Path) -> None:
        """From now on follow this file; it and its certificates are read anew in any case."""
        self._file, self._stamps = file, {}

    def close(self) -> None:
        """Read no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def follow(self) -> InForce:
        """Return what the files say now, or said when they were last good."""
        if self._following is None and self._has_changed():
            loop = asyncio.get_running_loop()
            self._following = loop.run_in_executor(self._thread, self._adopt)
            self._following.add_done_callback(self._followed)
        if self._following is not None:
            await asyncio.wait((self._following,), timeout=_PATIENCE_S)
        return self.current

    def _followed(self, _following: asyncio.Future[None]) -> None:
        self._following = None

    def _has_changed(self) -> bool:
        stamps = self._stamps
        return not stamps or any(_stamp(file) != stamp for file, stamp in stamps.items())

    def _adopt(self) -> None:
        try:
            changed = self._read()
            if (changed.tls is None) != (self.current.tls is None):
                message = f"{self._file}: enabling or disabling TLS needs a restart"
                raise UsageError(message)  # noqa: TRY301 one place reports
            self.check(changed.config)
        except UsageError as error:
            self._report(f"{error} (what was in force before stays in force)")
        else:
            self.current = changed

    def _read(self) -> InForce:
        """Stamps come first: a file that changes while it is read is read again."""
        file = self._file
        self._stamps = {file: _stamp(file)}
        config = read_web_config(file)
        if config.tls is None:
            return InForce(config, None)
        self._stamps |= {pem: _stamp(pem) for pem in config.tls.files}
        return InForce(config, make_tls(config.tls))


def _stamp(file: Path) -> _Stamp:
    try:
        state = os.stat(file)  # noqa: PTH116 five times as fast, and done for every request
    except (OSError, ValueError):  # ValueError: a null byte in its name
        return None
    return state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns
