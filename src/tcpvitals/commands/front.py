"""What `serve` meets its clients and its administrator with, taken before anything is loaded."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tcpvitals.commands.log import Log
from tcpvitals.sinks.web.exposure import check_exposure
from tcpvitals.sinks.web.listening import open_listener

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from tcpvitals.commands.serve_options import ServeOptions
    from tcpvitals.sinks.web.reloading import WebConfigFile


@dataclass(frozen=True, slots=True)
class Front:
    """The socket that listens, the web config if there is one, and the log."""

    listener: socket.socket
    web: WebConfigFile | None
    log: Log


@contextmanager
def open_front(options: ServeOptions) -> Iterator[Front]:
    """Take the address, once the web config is known to be good and enough for it.

    Raises:
        UsageError: the address or the web config is no good, or one is not enough for the other.
        ListenError: the address is taken, or not of this host.
    """
    log = Log(sys.stderr)
    with options.places.blame("web_config_file"):
        web = _web_config(options, log)
    config = web.current.config if web else None
    with options.places.blame("listen"):
        check_exposure(options.listen, config, insecure=options.insecure_listen)
        listener = open_listener(options.listen)
    with listener:
        yield Front(listener, web, log)


def _web_config(options: ServeOptions, log: Log) -> WebConfigFile | None:
    if not options.web_config_file:
        return None
    from tcpvitals.sinks.web.reloading import WebConfigFile  # noqa: PLC0415 brings yaml and ssl

    return WebConfigFile(Path(options.web_config_file), log.report)
