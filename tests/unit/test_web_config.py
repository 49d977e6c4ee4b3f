"""The web config file: what the toolkit's format may say, and the line of whatever is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tcpvitals.errors import UsageError
from tcpvitals.sinks.web.bcrypthash import Hash
from tcpvitals.sinks.web.ratelimit import RateLimit
from tcpvitals.sinks.web.tlssettings import ClientAuth, Version
from tcpvitals.sinks.web.webconfig import WebConfig, read_web_config

if TYPE_CHECKING:
    from pathlib import Path

HASH = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"
TLS = "tls_server_config:\n  cert_file: a.crt\n  key_file: /etc/a.key\n"
FULL = f"""\
tls_server_config:
  cert_file: a.crt
  key_file: /etc/a.key
  client_ca_file: ca.crt
  client_auth_type: RequireAndVerifyClientCert
  client_allowed_sans: [prometheus.example, 192.0.2.1]
  min_version: TLS13
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [CurveP256]
http_server_config:
  http2: false
  headers:
    Strict-Transport-Security: max-age=31536000
    X-Frame-Options: deny
    X-XSS-Protection: ""
basic_auth_users:
  alice: {HASH}
  42: {HASH}
rate_limit:
  interval: 1m0.5s
  burst: 20
"""


def read(folder: Path, text: str) -> WebConfig:
    """Write a file and read it."""
    (folder / "web.yml").write_text(text)
    return read_web_config(folder / "web.yml")


def test_everything_the_format_has_is_read(tmp_path: Path) -> None:
    config = read(tmp_path, FULL)
    assert config.users == {"alice": Hash(HASH, 10), "42": Hash(HASH, 10)}
    assert config.headers == {
        "Strict-Transport-Security": "max-age=31536000",
        "X-Frame-Options": "deny",
    }
    assert config.rate_limit == RateLimit(60.5, 20)
    tls = config.tls
    assert tls is not None
    assert [str(file) for file in tls.files] == [
        f"{tmp_path}/a.crt",
        "/etc/a.key",
        f"{tmp_path}/ca.crt",
    ]
    assert tls.client_auth is ClientAuth.REQUIRED
    assert sorted(tls.allowed_sans or ()) == ["192.0.2.1", "prometheus.example"]
    assert (tls.oldest, tls.newest) == (Version.TLS13, Version.TLS13)
    assert (tls.suites, tls.server_prefers) == (("ECDHE-RSA-AES128-GCM-SHA256",), False)
    assert tls.curve == "prime256v1"


def test_what_is_not_said_is_as_in_the_toolkit(tmp_path: Path) -> None:
    tls = read(tmp_path, TLS).tls
    assert tls is not None
    assert (tls.oldest, tls.newest) == (Version.TLS12, Version.TLS13)
    assert (tls.client_auth, tls.allowed_sans) == (ClientAuth.NONE, None)
    assert (tls.suites, tls.server_prefers, tls.curve) == (None, True, None)


@pytest.mark.parametrize(
    "text",
    ["", "# nothing\n", "{}", "tls_server_config:\nbasic_auth_users:\nrate_limit:\n",
     "tls_server_config: {}", "rate_limit: {interval: 0, burst: 5}"],
)  # fmt: skip
def test_a_file_that_says_nothing_asks_for_nothing(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == WebConfig()


def test_certificates_may_be_written_out(tmp_path: Path) -> None:
    tls = read(tmp_path, "tls_server_config:\n  cert: |\n    C\n  key: |\n    K\n").tls
    assert tls is not None
    assert (tls.certificate.read(), tls.key.read(), tls.files) == (b"C\n", b"K\n", ())


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a: 1\n", 1, "unknown key a; known here: basic_auth_users"),
        ("- a\n", 1, "a mapping"),
        ("basic_auth_users:\n  a: b\n   c: d\n", 3, "mapping values"),
        ("rate_limit: [\n", 2, "expected"),
        (TLS + "  colour: red\n", 4, "unknown key colour"),
        (TLS + "  cert_file: b.crt\n", 4, "cert_file is there twice"),
        (TLS + "  cert: abc\n", 2, "cert and cert_file are both there"),
        (TLS + "  client_auth_type: Sometimes\n", 4, "Sometimes is not known; known are NoClient"),
        (TLS + "  client_auth_type: RequireAnyClientCert\n", 4, "RequireAndVerifyClientCert"),
        (TLS + "  client_auth_type: RequireClientCert\n", 4, "RequireAndVerifyClientCert"),
        (TLS + "  client_auth_type: VerifyClientCertIfGiven\n", 4, "needs client_ca_file"),
        (TLS + "  client_auth_type: RequireAndVerifyClientCert\n", 4, "needs client_ca_file"),
        (TLS + "  client_ca_file: a\n", 2, "without a client_auth_type"),
        (TLS + "  client_allowed_sans: [a]\n", 4, "needs client_auth_type"),
        (TLS + "  min_version: TLS9\n", 4, "TLS9 is not known; known are TLS10"),
        (TLS + "  min_version: TLS13\n  max_version: TLS12\n", 5, "older than min_version"),
        (TLS + "  max_version: TLS11\n", 4, "TLS11 is not spoken"),
        (TLS + "  cipher_suites:\n  - TLS_RSA_WITH_RC4_128_SHA\n", 5, "TLS_RSA_WITH_RC4_128_SHA"),
        (TLS + "  cipher_suites: TLS_AES_128_GCM_SHA256\n", 4, "a list"),
        (TLS + "  curve_preferences: [Curve25519]\n", 4, "Curve25519 is not known"),
        (TLS + "  curve_preferences:\n  - X25519\n  - CurveP256\n", 6, "one curve only"),
        (TLS + "  prefer_server_cipher_suites: perhaps\n", 4, "true or false"),
        ("tls_server_config:\n  min_version: TLS13\n", 2, "needs cert_file"),
        ("tls_server_config:\n  cert_file: a\n  key_file: ''\n", 2, "needs key_file"),
        ("http_server_config:\n  http2: 1\n", 2, "true or false"),
        ("http_server_config:\n  headers:\n    X-Mine: a\n", 3, "unknown key X-Mine"),
        ("http_server_config:\n  headers:\n    X-Frame-Options: allow\n", 3, "deny or sameorigin"),
        ('http_server_config:\n  headers:\n    X-XSS-Protection: "a\\nb"\n', 3, "printable ASCII"),
        ("basic_auth_users:\n  alice: secret\n", 2, "not a bcrypt hash"),
        (f"basic_auth_users:\n  alice: {HASH.replace('$10$', '$31$')}\n", 2, "cost 31"),
        (
            f"basic_auth_users:\n  a: {HASH}\n  b: {HASH[:28]}f{HASH[29:]}\n",
            3,
            "no password matches",
        ),
        (f"basic_auth_users:\n  a: {HASH[:-1]}j\n", 2, "no password matches"),
        (f"basic_auth_users:\n  a:b: {HASH}\n", 2, "colon"),
        ("basic_auth_users: [a]\n", 1, "a mapping"),
        ("rate_limit:\n  interval: soon\n", 2, "soon is not a duration"),
        ("rate_limit:\n  interval: 5\n  burst: 1\n", 2, "5 is not a duration"),
        ("rate_limit:\n  interval: 1s\n", 2, "burst of at least 1"),
        ("rate_limit:\n  interval: 1s\n  burst: -1\n", 3, "-1 is not a whole number"),
        ("rate_limit:\n  interval: 1s\n  burst: [1]\n", 3, "a single value"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, text: str, line: int, what: str
) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/web.yml:{line}: ")
    assert what in str(caught.value)


def test_a_password_that_stands_there_instead_of_its_hash_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, "basic_auth_users:\n  alice: open sesame\n")
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\xff", b"a: \x00", b"%YAML 9.9\n---\n", b"a: !x [&b *b]"]
)
def test_what_is_not_yaml_is_an_error_that_names_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "web.yml").write_bytes(content)
    with pytest.raises(UsageError, match=r"web\.yml"):
        read_web_config(tmp_path / "web.yml")


def test_deep_nesting_is_an_error_and_no_crash(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"web\.yml"):
        read(tmp_path, "[" * 100_000)


def test_a_file_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*/none\.yml: No such file"):
        read_web_config(tmp_path / "none.yml")
