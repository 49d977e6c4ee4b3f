"""Whether an address may be served on: what others can reach needs TLS or users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcpvitals.errors import UsageError

if TYPE_CHECKING:
    from tcpvitals.sinks.web.listening import ListenAddress
    from tcpvitals.sinks.web.webconfig import WebConfig


def check_exposure(listen: ListenAddress, config: WebConfig | None, *, insecure: bool) -> None:
    """Refuse an address that others can reach without encryption or a password.

    Raises:
        UsageError: `listen` is not loopback, `config` has neither TLS nor basic auth, and the user
            did not say that this is meant (`insecure`).
    """
    protected = config is not None and (config.tls is not None or bool(config.users))
    if insecure or protected or listen.is_loopback:
        return
    lack = "no --web.config.file" if config is None else "neither TLS nor users in the web config"
    message = (
        f"--listen {listen} can be reached from other hosts, and there is {lack}: name a file with"
        " tls_server_config or basic_auth_users, or say --insecure-listen if anyone may read it"
    )
    raise UsageError(message)
