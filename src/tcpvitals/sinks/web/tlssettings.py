"""The `tls_server_config` of the web config: what it says, in OpenSSL's words.

What Python's ssl cannot do as Go does is refused here, or is done more strictly and documented.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from tcpvitals.errors import UsageError
from tcpvitals.files import FileError, read_file
from tcpvitals.model.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tcpvitals.sinks.web.yamlnodes import Value

T = TypeVar("T")

# The bundle of all public authorities is a fifth of it.
_MOST_BYTES: Final = 1 << 20
_KEYS: Final = frozenset({
    "cert", "cert_file", "key", "key_file", "client_ca", "client_ca_file", "client_auth_type",
    "client_allowed_sans", "min_version", "max_version", "cipher_suites",
    "prefer_server_cipher_suites", "curve_preferences",
})  # fmt: skip
# Go's names of the suites it does not call insecure, and OpenSSL's.  Those of TLS 1.3 cannot be
# chosen in either.
_SUITES: Final[Mapping[str, str]] = {
    "TLS_AES_128_GCM_SHA256": "",
    "TLS_AES_256_GCM_SHA384": "",
    "TLS_CHACHA20_POLY1305_SHA256": "",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
_CURVES: Final[Mapping[str, str]] = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}


class Version(Enum):
    """A version of TLS as the file names it."""

    TLS10 = "TLS10"
    TLS11 = "TLS11"
    TLS12 = "TLS12"
    TLS13 = "TLS13"


class ClientAuth(Enum):
    """What is asked of a client's certificate."""

    NONE = "none"
    IF_GIVEN = "verified if given"
    REQUIRED = "required and verified"


# RequestClientCert lets everybody in, with or without a certificate and whatever it says.  Python
# cannot ask for one without verifying it, so it is not asked for: nobody else gets in by that.
_CLIENT_AUTH: Final[Mapping[str, ClientAuth]] = {
    "": ClientAuth.NONE,
    "NoClientCert": ClientAuth.NONE,
    "RequestClientCert": ClientAuth.NONE,
    "VerifyClientCertIfGiven": ClientAuth.IF_GIVEN,
    "RequireAndVerifyClientCert": ClientAuth.REQUIRED,
}
_ANY_CERTIFICATE: Final = frozenset({"RequireAnyClientCert", "RequireClientCert"})


@dataclass(frozen=True, slots=True)
class Pem:
    """Certificates or a key: in a file, or written out in the web config itself."""

    where: str
    key: str
    file: Path | None
    inline: str = ""

    def read(self) -> bytes:
        """Return it as it is now.

        Raises:
            UsageError: the file cannot be read.
        """
        if self.file is None:
            return self.inline.encode()
        try:
            return read_file(self.file, _MOST_BYTES)
        except FileError as error:
            self.refuse(f"cannot read {printable(str(self.file))}: {error}")

    def refuse(self, message: str) -> NoReturn:
        """Raise a UsageError that begins with the place in the web config."""
        message = f"{self.where}: {self.key}: {message}"
        raise UsageError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """How to speak TLS.

    `suites` are OpenSSL's names for TLS 1.2, None for our choice, empty for TLS 1.3 alone;
    `allowed_sans` None for every client whose certificate is good.
    """

    certificate: Pem
    key: Pem
    client_ca: Pem | None
    client_auth: ClientAuth
    allowed_sans: frozenset[str] | None
    oldest: Version
    newest: Version
    suites: tuple[str, ...] | None
    server_prefers: bool
    curve: str | None

    @property
    def files(self) -> tuple[Path, ...]:
        """The files it is read from, whose change matters."""
        pems = (self.certificate, self.key, self.client_ca)
        return tuple(pem.file for pem in pems if pem is not None and pem.file is not None)


def read_tls_settings(section: Value, folder: Path) -> TlsSettings | None:
    """Read the section; None if it is empty.  Its paths are relative to `folder`.

    Raises:
        UsageError: an unknown key, a bad value, or what Python cannot do.
    """
    fields = section.fields(_KEYS)
    if not fields:
        return None
    client_ca = _pem(fields, "client_ca", folder)
    oldest, newest = _versions(fields)
    return TlsSettings(
        certificate=_needed(section, fields, "cert", folder),
        key=_needed(section, fields, "key", folder),
        client_ca=client_ca,
        client_auth=_client_auth(section, fields, client_ca),
        allowed_sans=_allowed_sans(fields),
        oldest=oldest,
        newest=newest,
        suites=_suites(fields),
        server_prefers=_server_prefers(fields),
        curve=_curve(fields),
    )


def _needed(section: Value, fields: Mapping[str, Value], key: str, folder: Path) -> Pem:
    found = _pem(fields, key, folder)
    if found is None:
        message = f"tls_server_config needs {key}_file (or {key}, written out)"
        section.refuse(message)
    return found


def _pem(fields: Mapping[str, Value], key: str, folder: Path) -> Pem | None:
    """Return what `key` or `key_file` says; an empty text says nothing, as for the toolkit."""
    given = {name: fields[name] for name in (key, f"{key}_file") if name in fields}
    given = {name: value for name, value in given.items() if value.text()}
    if not given:
        return None
    name, value = given.popitem()
    if given:
        value.refuse(f"{key} and {key}_file are both there; one of them would not count")
    if name == key:
        return Pem(value.where, name, None, value.text())
    return Pem(value.where, name, folder / value.text())


def _client_auth(section: Value, fields: Mapping[str, Value], client_ca: Pem | None) -> ClientAuth:
    value = fields.get("client_auth_type", section)
    text = value.text() if "client_auth_type" in fields else ""
    if text in _ANY_CERTIFICATE:
        value.refuse(
            f"{text}: Python cannot require a certificate without verifying it;"
            " use RequireAndVerifyClientCert"
        )
    auth = _chosen(value, text, _CLIENT_AUTH)
    if auth is ClientAuth.NONE and client_ca is not None:
        value.refuse("a client CA without a client_auth_type that verifies certificates")
    if auth is not ClientAuth.NONE and client_ca is None:
        value.refuse(f"{text} needs client_ca_file (or client_ca, written out)")
    if "client_allowed_sans" in fields and auth is not ClientAuth.REQUIRED:
        fields["client_allowed_sans"].refuse(
            "client_allowed_sans needs client_auth_type: RequireAndVerifyClientCert"
        )
    return auth


def _allowed_sans(fields: Mapping[str, Value]) -> frozenset[str] | None:
    if "client_allowed_sans" not in fields:
        return None
    return frozenset(value.text() for value in fields["client_allowed_sans"].items())


def _versions(fields: Mapping[str, Value]) -> tuple[Version, Version]:
    known = {version.value: version for version in Version}
    oldest, newest = Version.TLS12, Version.TLS13
    if "min_version" in fields:
        value = fields["min_version"]
        oldest = _chosen(value, value.text(), known)
    if "max_version" in fields:
        value = fields["max_version"]
        newest = _chosen(value, value.text(), known)
        if newest in (Version.TLS10, Version.TLS11):
            value.refuse(f"{newest.value} is not spoken any more; the oldest is TLS12")
        if newest is Version.TLS12 and oldest is Version.TLS13:
            value.refuse("max_version is older than min_version")
    return oldest, newest


def _suites(fields: Mapping[str, Value]) -> tuple[str, ...] | None:
    values = fields["cipher_suites"].items() if "cipher_suites" in fields else []
    if not values:
        return None
    return tuple(name for value in values if (name := _chosen(value, value.text(), _SUITES)))


def _server_prefers(fields: Mapping[str, Value]) -> bool:
    value = fields.get("prefer_server_cipher_suites")
    return value is None or value.flag()


def _curve(fields: Mapping[str, Value]) -> str | None:
    values = fields["curve_preferences"].items() if "curve_preferences" in fields else []
    curves = [_chosen(value, value.text(), _CURVES) for value in values]
    if len(curves) > 1:
        values[1].refuse("Python can be told one curve only; name one, or none for all")
    return curves[0] if curves else None


def _chosen(value: Value, text: str, known: Mapping[str, T]) -> T:
    if text not in known:
        names = ", ".join(name for name in known if name)
        value.refuse(f"{printable(text)} is not known; known are {names}")
    return known[text]
