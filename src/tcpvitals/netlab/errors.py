"""How a laboratory network can fail to come up."""

from __future__ import annotations

from tcpvitals.errors import TcpvitalsError


class NetlabError(TcpvitalsError):
    """A namespace, a link or a program in one could not be had; the text says which and why."""
