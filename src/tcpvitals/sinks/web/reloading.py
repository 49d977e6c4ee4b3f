"""The web config as it is now: read again when it or its certificates change.

A change that is no good leaves what was in force before, and is reported once.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from tcpvitals.errors import UsageError
from tcpvitals.sinks.web.tls import Tls, make_tls
from tcpvitals.sinks.web.webconfig import WebConfig, read_web_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# What tells one state of a file from another: inode, size, time of its last change.
_Stamp: TypeAlias = tuple[int, int, int] | None


class WebConfigFile:
    """The file that `--web.config.file` names."""

    def __init__(self, file: Path, report: Callable[[str], None]) -> None:
        """Read it; what is wrong with it later goes to `report`, one line each.

        Raises:
            UsageError: it, or a certificate it names, is no good.
        """
        self._file = file
        self._report = report
        self._stamp = _stamp(file)
        self._config = read_web_config(file)
        self._tls_stamp = self._certificates()
        self._tls = make_tls(self._config.tls) if self._config.tls is not None else None
        #: Raises UsageError for a change that is not to be followed.
        self.check: Callable[[WebConfig], None] = lambda _config: None

    def move_to(self, file: Path) -> None:
        """From now on follow another file; until it is good, what was in force stays."""
        self._file, self._stamp = file, None

    @property
    def config(self) -> WebConfig:
        """What the file says now, or said when it was last good."""
        stamp = _stamp(self._file)
        if stamp != self._stamp:
            self._stamp = stamp
            self._follow()
        return self._config

    @property
    def tls(self) -> Tls | None:
        """What to meet a new connection with; None for plain HTTP."""
        if self.config.tls is None:
            return None
        stamp = self._certificates()
        if stamp != self._tls_stamp:
            self._tls_stamp = stamp
            self._follow_certificates()
        return self._tls

    def _follow(self) -> None:
        try:
            config = read_web_config(self._file)
            if (config.tls is None) != (self._config.tls is None):
                message = f"{self._file}: TLS cannot come or go while we serve; start anew for that"
                raise UsageError(message)  # noqa: TRY301 one place reports
            self.check(config)
        except UsageError as error:
            self._report(f"{error} (the web config from before stays in force)")
        else:
            self._config = config

    def _follow_certificates(self) -> None:
        settings = self._config.tls
        try:
            self._tls = make_tls(settings) if settings is not None else None
        except UsageError as error:
            self._report(f"{error} (the TLS settings from before stay in force)")

    def _certificates(self) -> tuple[object, ...]:
        """Return what differs when TLS has to be set up anew: the settings or their files."""
        settings = self._config.tls
        return (settings, *(_stamp(file) for file in settings.files)) if settings else ()


def _stamp(file: Path) -> _Stamp:
    try:
        state = os.stat(file)  # noqa: PTH116 five times as fast, and done for every request
    except OSError:
        return None
    return state.st_ino, state.st_size, state.st_mtime_ns
