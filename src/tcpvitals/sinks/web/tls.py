"""TLS settings made into what serves a connection: an SSLContext, and which clients are let in."""

from __future__ import annotations

import ipaddress
import os
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tcpvitals.sinks.web.tlssettings import ClientAuth, TlsSettings, Version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Forward secret and authenticated: what every TLS 1.2 client of the last ten years speaks.
_SUITES: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
_VERIFY: Final[Mapping[ClientAuth, ssl.VerifyMode]] = {
    ClientAuth.NONE: ssl.CERT_NONE,
    ClientAuth.IF_GIVEN: ssl.CERT_OPTIONAL,
    ClientAuth.REQUIRED: ssl.CERT_REQUIRED,
}


@dataclass(frozen=True, slots=True)
class Tls:
    """What a new connection is met with."""

    context: ssl.SSLContext
    allowed_sans: frozenset[str] | None

    def admits(self, certificate: Mapping[str, Any] | None) -> bool:
        """Whether a verified certificate, as ssl's getpeercert() has it, names one we let in."""
        if self.allowed_sans is None:
            return True
        return not self.allowed_sans.isdisjoint(_alternative_names(certificate or {}))


def _alternative_names(certificate: Mapping[str, Any]) -> Iterator[str]:
    """Return its DNS names, addresses, e-mail addresses and URIs, written as Go writes them."""
    for kind, name in certificate.get("subjectAltName", ()):
        if kind in ("DNS", "email", "URI"):
            yield name
        elif kind == "IP Address":
            with suppress(ValueError):
                yield str(ipaddress.ip_address(name.strip()))


def make_tls(settings: TlsSettings) -> Tls:
    """Read certificates and keys, and make them ready.

    Raises:
        UsageError: one cannot be read, or is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # What lets a client in is looked at in every handshake, so none is resumed.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    _set_versions(context, settings)
    _set_suites(context, settings)
    _load_certificate(context, settings)
    _load_client_ca(context, settings)
    return Tls(context, settings.allowed_sans)


def _set_versions(context: ssl.SSLContext, settings: TlsSettings) -> None:
    # Distributions build OpenSSL so that TLS 1.0 and 1.1 fail anyway.
    newer_only = settings.oldest is Version.TLS13 or settings.suites == ()
    oldest = ssl.TLSVersion.TLSv1_3 if newer_only else ssl.TLSVersion.TLSv1_2
    newest = ssl.TLSVersion.TLSv1_2 if settings.newest is Version.TLS12 else ssl.TLSVersion.TLSv1_3
    if newest < oldest:
        settings.certificate.refuse("cipher_suites has none for TLS12, the max_version")
    context.minimum_version, context.maximum_version = oldest, newest


def _set_suites(context: ssl.SSLContext, settings: TlsSettings) -> None:
    context.set_ciphers(":".join(settings.suites) if settings.suites else _SUITES)
    if not settings.server_prefers:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if settings.curve is not None:
        context.set_ecdh_curve(settings.curve)


def _load_certificate(context: ssl.SSLContext, settings: TlsSettings) -> None:
    pem = settings.key.read() + b"\n" + settings.certificate.read()
    # ssl takes a certificate from files only; this one is nowhere but in memory.
    descriptor = os.memfd_create("certificate")
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(pem)
        # With a password ssl does not ask for one on the terminal.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or "not a certificate and its key, unencrypted"
        settings.certificate.refuse(f"cannot be used with its key: {reason}")
    finally:
        os.close(descriptor)


def _load_client_ca(context: ssl.SSLContext, settings: TlsSettings) -> None:
    if settings.client_ca is None:
        return
    try:
        context.load_verify_locations(cadata=settings.client_ca.read().decode("ascii", "replace"))
    except (ssl.SSLError, ValueError):
        settings.client_ca.refuse("has no certificate in it (PEM)")
    # As in Go, an intermediate certificate in the file is trusted without its root.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_mode = _VERIFY[settings.client_auth]
