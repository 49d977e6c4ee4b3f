"""HTTPS: certificates, versions, clients' certificates, and all of them changing while we serve."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest
from web_certificates import Certificate, client_context, make_certificate
from web_client import GET, is_closed, read_answer, request, serving, until

from tcpvitals.errors import UsageError
from tcpvitals.sinks.web.limits import Limits
from tcpvitals.sinks.web.reloading import WebConfigFile

if TYPE_CHECKING:
    from pathlib import Path

    from web_client import Running

# sesame, at cost 4
SESAME = "$2b$04$FEK6hq50LP2AcxbUpt/B0uAB7vYjl/oAj.U14aeK8DSPfRGgXEsIC"
VERIFIED = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the certificates once: two for the server, a CA, and clients, one of them a forger."""
    folder = tmp_path_factory.mktemp("certificates")
    make_certificate(folder, "server", "DNS:localhost")
    make_certificate(folder, "other", "DNS:localhost")
    ca = make_certificate(folder, "ca", "DNS:ca.example")
    make_certificate(folder, "scraper", "DNS:scraper.example,IP:2001:db8::1", ca)
    make_certificate(folder, "stranger", "DNS:stranger.example", ca)
    make_certificate(folder, "forger", "DNS:scraper.example")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """Return a folder of the test's own with them."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def certificate(folder: Path, name: str) -> Certificate:
    """Return one by name."""
    return Certificate(folder / f"{name}.crt", folder / f"{name}.key")


def web_config(folder: Path, more: str = "") -> Path:
    """Write a web config with the server's certificate."""
    file = folder / "web.yml"
    file.write_text(f"tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n{more}")
    return file


def status(server: Running, folder: Path, own: str | None = None, trusted: str = "server") -> int:
    """Ask as a client with the certificate `own`; 0 if it is turned away."""
    mine = certificate(folder, own) if own else None
    try:
        return server.ask_tls(client_context(certificate(folder, trusted), mine)).status
    except (ssl.SSLError, ConnectionError):
        return 0


def test_a_page_comes_over_tls_and_the_connection_is_kept(folder: Path) -> None:
    with serving(web_config=web_config(folder)) as server:
        context = client_context(certificate(folder, "server"))
        with context.wrap_socket(server.connect(), server_hostname="localhost") as client:
            assert client.version() == "TLSv1.3"
            for _ in range(3):
                client.sendall(GET)
                assert read_answer(client).body == b"metrics\n"
            client.sendall(request("GET /big HTTP/1.1"))
            assert len(read_answer(client).body) == 16 << 20
        assert until(lambda: server.connections() == 0)
        assert server.reports == []


def test_whoever_does_not_speak_tls_gets_nothing(folder: Path) -> None:
    with serving(web_config=web_config(folder)) as server:
        with server.connect() as client:
            client.sendall(GET)
            assert is_closed(client)
        assert status(server, folder) == 200


def test_a_certificate_written_out_serves_as_well(folder: Path) -> None:
    lines = ["tls_server_config:"]
    for key in ("crt", "key"):
        lines += [f"  {'cert' if key == 'crt' else key}: |"]
        lines += [f"    {line}" for line in (folder / f"server.{key}").read_text().splitlines()]
    (folder / "web.yml").write_text("\n".join(lines))
    with serving(web_config=folder / "web.yml") as server:
        assert status(server, folder) == 200


def test_a_version_older_than_the_oldest_is_refused(folder: Path) -> None:
    older = client_context(certificate(folder, "server"), version=ssl.TLSVersion.TLSv1_2)
    with serving(web_config=web_config(folder)) as server:
        assert server.ask_tls(older).status == 200
    with serving(web_config=web_config(folder, "  min_version: TLS13\n")) as server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            server.ask_tls(older)
        assert status(server, folder) == 200


def test_a_version_newer_than_the_newest_is_not_spoken(folder: Path) -> None:
    context = client_context(certificate(folder, "server"))
    with (
        serving(web_config=web_config(folder, "  max_version: TLS12\n")) as server,
        context.wrap_socket(server.connect(), server_hostname="localhost") as client,
    ):
        assert client.version() == "TLSv1.2"


def test_the_suites_and_the_curve_are_those_of_the_file(folder: Path) -> None:
    suite = "  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n"
    more = f"{suite}  max_version: TLS12\n  curve_preferences: [X25519]\n"
    context = client_context(certificate(folder, "server"))
    with serving(web_config=web_config(folder, more)) as server:
        with context.wrap_socket(server.connect(), server_hostname="localhost") as client:
            cipher = client.cipher()
            assert cipher is not None
            assert cipher[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"
        context.set_ecdh_curve("prime256v1")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            server.ask_tls(context)


def test_suites_of_tls_1_3_alone_leave_no_older_version(folder: Path) -> None:
    older = client_context(certificate(folder, "server"), version=ssl.TLSVersion.TLSv1_2)
    more = "  cipher_suites: [TLS_AES_128_GCM_SHA256]\n"
    with serving(web_config=web_config(folder, more)) as server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            server.ask_tls(older)
        assert status(server, folder) == 200


def test_a_required_certificate_must_be_there_and_signed_by_the_ca(folder: Path) -> None:
    with serving(web_config=web_config(folder, VERIFIED)) as server:
        assert status(server, folder, "scraper") == 200
        assert status(server, folder, "stranger") == 200
        assert status(server, folder) == 0
        assert status(server, folder, "forger") == 0
        assert until(lambda: server.connections() == 0)


def test_a_certificate_verified_if_given_may_be_missing_but_not_forged(folder: Path) -> None:
    more = VERIFIED.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven")
    with serving(web_config=web_config(folder, more)) as server:
        assert status(server, folder) == 200
        assert status(server, folder, "scraper") == 200
        assert status(server, folder, "forger") == 0


@pytest.mark.parametrize("name", ["scraper.example", "2001:db8::1"])
def test_only_certificates_that_name_an_allowed_client_are_let_in(folder: Path, name: str) -> None:
    more = f'{VERIFIED}  client_allowed_sans: ["{name}"]\n'
    with serving(web_config=web_config(folder, more)) as server:
        assert status(server, folder, "scraper") == 200
        assert status(server, folder, "stranger") == 0


def test_an_empty_list_of_clients_lets_nobody_in(folder: Path) -> None:
    more = f"{VERIFIED}  client_allowed_sans: []\n"
    with serving(web_config=web_config(folder, more)) as server:
        assert status(server, folder, "scraper") == 0


def test_a_new_certificate_is_used_at_once_and_a_bad_one_is_not(folder: Path) -> None:
    with serving(web_config=web_config(folder)) as server:
        shutil.copy(folder / "other.crt", folder / "server.crt")
        old = client_context(Certificate(folder / "server.crt", folder / "server.key"))
        with pytest.raises((ssl.SSLError, ConnectionError)):  # its key is still another's
            server.ask_tls(old)
        assert ["cannot be used with its key" in line for line in server.reports] == [True]
        shutil.copy(folder / "other.key", folder / "server.key")
        assert status(server, folder, trusted="other") == 200
        (folder / "server.key").unlink()
        assert status(server, folder, trusted="other") == 200
        assert "cannot read" in server.reports[1]
        assert len(server.reports) == 2


def test_a_change_of_who_is_let_in_counts_for_the_next_connection(folder: Path) -> None:
    with serving(web_config=web_config(folder)) as server:
        assert status(server, folder) == 200
        web_config(folder, VERIFIED)
        assert status(server, folder) == 0
        assert status(server, folder, "scraper") == 200


def test_tls_does_not_go_while_we_serve(folder: Path) -> None:
    with serving(web_config=web_config(folder)) as server:
        (folder / "web.yml").write_text("")
        assert status(server, folder) == 200
        assert "enabling or disabling TLS needs a restart" in server.reports[0]
        assert len(server.reports) == 1


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("server.crt", None, ":2: cert_file: cannot read"),
        ("server.key", "", ":2: cert_file: cannot be used with its key"),
        ("server.crt", "nonsense", ":2: cert_file: cannot be used with its key"),
        ("ca.crt", "nonsense", ":5: client_ca_file: has no certificate"),
        ("ca.crt", "", ":5: client_ca_file: has no certificate"),
    ],
)
def test_a_certificate_that_is_none_is_an_error_at_the_start(
    folder: Path, name: str, content: str | None, what: str
) -> None:
    file = web_config(folder, VERIFIED)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(UsageError) as caught:
        WebConfigFile(file, print)
    assert what in str(caught.value)


def test_an_encrypted_key_is_an_error_and_no_question(folder: Path) -> None:
    command = ["openssl", "ec", "-aes128", "-passout", "pass:x", "-in", "server.key"]
    subprocess.run([*command, "-out", "locked.key"], cwd=folder, check=True, capture_output=True)
    (folder / "locked.key").rename(folder / "server.key")
    with pytest.raises(UsageError, match="cannot be used with its key"):
        WebConfigFile(web_config(folder), print)


def test_a_handshake_that_stalls_goes_at_the_deadline(folder: Path) -> None:
    with serving(Limits(deadline_s=0.3), web_config=web_config(folder)) as server:
        with server.connect() as client:
            client.sendall(b"\x16\x03\x01")
            assert is_closed(client)
        assert until(lambda: server.connections() == 0)


def test_a_full_house_drops_a_stalled_handshake_first(folder: Path) -> None:
    limits = Limits(deadline_s=60, connections=2)
    web = web_config(folder)
    with serving(limits, web) as server, server.connect() as first, server.connect() as second:
        assert until(lambda: server.connections() == 2)
        assert status(server, folder) == 200
        assert is_closed(first)
        second.sendall(b"\x16\x03\x01")


def test_who_does_not_read_over_tls_goes_at_the_deadline(folder: Path) -> None:
    context = client_context(certificate(folder, "server"))
    with (
        serving(Limits(deadline_s=0.5), web_config(folder)) as server,
        context.wrap_socket(server.connect(), server_hostname="localhost") as client,
    ):
        client.sendall(request("GET /big HTTP/1.1"))
        assert client.recv(1)
        assert until(lambda: server.connections() == 0)


def test_curl_gets_in_with_its_certificate_and_password_and_not_without(folder: Path) -> None:
    users = f"basic_auth_users:\n  alice: {SESAME}\n"
    with serving(web_config=web_config(folder, f"{VERIFIED}{users}")) as server:
        mine = ["--cert", f"{folder}/scraper.crt", "--key", f"{folder}/scraper.key"]
        assert curl(server, folder, *mine, "--user", "alice:sesame") == "200"
        assert curl(server, folder, *mine, "--user", "alice:wrong") == "401"
        assert curl(server, folder, *mine) == "401"
        assert curl(server, folder, "--user", "alice:sesame") == "000"


def curl(server: Running, folder: Path, *options: str) -> str:
    """Ask with curl, and return the status it saw; 000 for none."""
    asked = ["curl", "--silent", "--cacert", f"{folder}/server.crt", "--output", "/dev/null"]
    address = f"https://localhost:{server.port}/metrics"
    command = [*asked, "--ipv4", "--write-out", "%{http_code}", *options, address]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20).stdout
