"""Basic auth: right, wrong and unknown users, and guessers who keep nobody else waiting."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import threading
from typing import TYPE_CHECKING

import bcrypt
import pytest
from web_client import authorized, request, serving, until

from tcpvitals.sinks.web.bcrypthash import Hash, decoy, read_hash
from tcpvitals.sinks.web.users import Credentials, PasswordChecks, Verdict, read_credentials

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from web_client import Running

CHEAP = 4


def hashed(password: str, kind: bytes = b"$2y$") -> str:
    """Return a cheap bcrypt hash, as htpasswd writes it."""
    made = bcrypt.hashpw(password.encode(), bcrypt.gensalt(CHEAP))
    return made.replace(b"$2b$", kind).decode()


ALICE = hashed("sesame")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a web config with users."""
    file = tmp_path / "web.yml"
    file.write_text(f"basic_auth_users:\n  alice: {ALICE}\n  bøb: {hashed('pä:ss', b'$2a$')}\n")
    return file


@pytest.fixture
def server(config: Path) -> Iterator[Running]:
    """Serve with users."""
    with serving(web_config=config) as running:
        yield running


def test_the_right_password_is_let_in(server: Running) -> None:
    for _ in range(2):  # checked, and remembered
        assert server.ask(authorized("alice", "sesame")).status == 200
    assert server.ask(authorized("bøb", "pä:ss")).status == 200


@pytest.mark.parametrize(
    ("name", "password"),
    [("alice", "open"), ("alice", ""), ("carol", "sesame"), ("", ""), ("alice", "sesame\0"),
     ("ALICE", "sesame"), ("alice", "x" * 5000)],
)  # fmt: skip
def test_every_other_is_not(server: Running, name: str, password: str) -> None:
    answer = server.ask(authorized(name, password))
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Basic"


@pytest.mark.parametrize(
    "header",
    ["Basic", "Basic !!!", "Basic YWxpY2U=", "Bearer YWxpY2U6c2VzYW1l", "Basic \u00e9", ""],
)
def test_what_is_not_basic_auth_is_not(server: Running, header: str) -> None:
    line = request("GET /metrics HTTP/1.1", f"Authorization: {header}")
    assert server.ask(line).status == 401


def test_who_is_not_known_does_not_learn_which_pages_there_are(server: Running) -> None:
    assert server.ask(request("GET /nothing HTTP/1.1")).status == 401


def test_a_change_of_users_counts_at_once_and_a_bad_one_does_not(
    server: Running, config: Path
) -> None:
    assert server.ask(authorized("alice", "sesame")).status == 200
    config.write_text(f"basic_auth_users:\n  alice: {hashed('new')}\n")
    assert server.ask(authorized("alice", "sesame")).status == 401
    assert server.ask(authorized("alice", "new")).status == 200
    config.write_text("basic_auth_users:\n  alice: new\n")
    for _ in range(3):
        assert server.ask(authorized("alice", "new")).status == 200
    config.unlink()
    assert server.ask(authorized("alice", "new")).status == 200
    assert ["not a bcrypt hash" in line for line in server.reports] == [True, False]
    assert "No such file" in server.reports[1]
    config.write_text(f"basic_auth_users:\n  carol: {ALICE}\n")
    assert server.ask(authorized("carol", "sesame")).status == 200


def test_headers_are_set_and_follow_the_file(config: Path) -> None:
    config.write_text("http_server_config:\n  headers:\n    X-Frame-Options: deny\n")
    with serving(web_config=config) as server:
        assert server.ask().headers["x-frame-options"] == "deny"
        config.write_text("http_server_config: {headers: {Content-Security-Policy: sandbox}}")
        answer = server.ask()
        assert "x-frame-options" not in answer.headers
        assert answer.headers["content-security-policy"] == "sandbox"


def test_more_requests_than_the_rate_allows_are_too_many(config: Path) -> None:
    config.write_text("rate_limit: {interval: 1h, burst: 2}")
    with serving(web_config=config) as server:
        assert [server.ask().status for _ in range(3)] == [200, 200, 429]


def test_taking_protection_away_is_not_followed_where_others_can_reach_us(config: Path) -> None:
    with serving(web_config=config, listen="0.0.0.0") as server:  # noqa: S104 has users
        config.write_text("")
        assert server.ask().status == 401
        assert "neither TLS nor users" in server.reports[0]


def test_credentials_are_read_as_bytes() -> None:
    token = base64.b64encode(b"a:b:\xff").decode()
    assert read_credentials(f"bAsIc {token}") == Credentials(b"a", b"b:\xff")


ALICE_ONLY = {"alice": read_hash(ALICE)}


async def verdicts(checks: PasswordChecks, asked: list[tuple[str, str]]) -> list[Verdict]:
    """Ask for alice's password from many addresses at once."""
    calls = [
        checks.check(ALICE_ONLY, Credentials(b"alice", password.encode()), client)
        for password, client in asked
    ]
    return list(await asyncio.gather(*calls))


@pytest.fixture
def checks() -> Iterator[PasswordChecks]:
    """Return what compares passwords."""
    made = PasswordChecks()
    yield made
    made.close()


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bytes]]:
    """Replace comparing: the password is right if it is "sesame"; returns costs and passwords."""
    seen: list[tuple[int, bytes]] = []

    def matches(known: Hash, password: bytes) -> bool:
        seen.append((known.cost, password))
        return password == b"sesame" and known != decoy(known.cost)

    monkeypatch.setattr(Hash, "matches", matches)
    return seen


def test_one_that_guesses_a_lot_is_told_to_wait_and_another_is_not(checks: PasswordChecks) -> None:
    guesses = [(f"guess{number}", f"2001:db8::{number}") for number in range(50)]
    answers = asyncio.run(verdicts(checks, [*guesses, ("sesame", "192.0.2.1")]))
    assert answers.count(Verdict.WRONG) == 1 + 4  # one is compared at once, four wait
    assert answers.count(Verdict.BUSY) == 45
    assert answers[-1] is Verdict.RIGHT


def test_many_that_guess_fill_a_bounded_queue(checks: PasswordChecks) -> None:
    threads = threading.active_count()
    asked = [("guess", f"192.0.2.{number}") for number in range(200)]
    answers = asyncio.run(verdicts(checks, asked))
    assert threading.active_count() <= threads + 1
    checks.close()
    assert (answers.count(Verdict.WRONG), answers.count(Verdict.BUSY)) == (33, 167)
    assert until(lambda: threading.active_count() == threads)


async def guess_for_ever(checks: PasswordChecks, client: str) -> None:
    """Guess from one address, without a pause."""
    for number in itertools.count():
        await asyncio.sleep(0)
        await verdicts(checks, [(f"guess{number}", client)])


@pytest.mark.parametrize(
    "guessers",
    [
        [f"192.0.{number}.1" for number in range(5)],
        [f"192.0.2.{number}" for number in range(1, 41)],
        ["198.51.100.2", "198.51.100.3", "198.51.100.4", "198.51.100.5", "198.51.100.6"],
    ],
    ids=["five networks", "forty hosts of one network", "five hosts of the scraper's network"],
)
def test_a_scraper_that_comes_while_others_guess_is_next(
    checks: PasswordChecks, compared: list[tuple[int, bytes]], guessers: list[str]
) -> None:
    async def scrape() -> tuple[Verdict, int]:
        clients = guessers * 4
        tasks = [asyncio.create_task(guess_for_ever(checks, client)) for client in clients]
        while len(compared) < 100:  # noqa: ASYNC110 they have nothing to say but by comparing
            await asyncio.sleep(0)
        before = len(compared)
        asked = Credentials(b"alice", b"sesame")
        verdict = await checks.check(ALICE_ONLY, asked, "198.51.100.1")
        for task in tasks:
            task.cancel()
        return verdict, compared.index((CHEAP, b"sesame")) - before

    verdict, others_first = asyncio.run(scrape())
    assert verdict is Verdict.RIGHT
    assert others_first <= 1  # the one that runs already


def test_a_remembered_password_is_not_compared_again_even_under_a_flood(
    checks: PasswordChecks, compared: list[tuple[int, bytes]]
) -> None:
    async def scrape() -> list[Verdict]:
        await verdicts(checks, [("sesame", "192.0.2.1")])
        compared.clear()
        return await verdicts(checks, [("sesame", "192.0.2.1")] * 100)

    assert asyncio.run(scrape()) == [Verdict.RIGHT] * 100
    assert compared == []


def test_each_user_is_remembered_however_many_there_are(
    checks: PasswordChecks, compared: list[tuple[int, bytes]]
) -> None:
    known = {f"user{number}": read_hash(ALICE) for number in range(150)}

    async def ask_all() -> list[Verdict]:
        return [
            await checks.check(known, Credentials(name.encode(), b"sesame"), "192.0.2.1")
            for name in known
        ]

    async def twice() -> tuple[list[Verdict], list[Verdict]]:
        return await ask_all(), await ask_all()

    assert asyncio.run(twice()) == ([Verdict.RIGHT] * 150, [Verdict.RIGHT] * 150)
    assert len(compared) == 150


def test_a_password_is_forgotten_when_its_hash_changes_and_only_then(
    checks: PasswordChecks, compared: list[tuple[int, bytes]]
) -> None:
    old, new = read_hash(ALICE), read_hash(hashed("sesame"))
    configs = [{"a": old, "b": old}, {"a": old, "b": new}, {"a": old, "b": old}, {"a": old}]

    async def ask() -> None:
        for known in configs:
            for name in known:
                asked = Credentials(name.encode(), b"sesame")
                assert await checks.check(known, asked, "192.0.2.1") is Verdict.RIGHT

    asyncio.run(ask())
    assert len(compared) == 2 + 1 + 1  # both at first, and b whenever it changed
    assert checks._right.keys() == {"a"}  # noqa: SLF001 what is kept of b


def test_a_wrong_password_costs_the_same_for_every_user(
    checks: PasswordChecks, compared: list[tuple[int, bytes]]
) -> None:
    cheap, dear = read_hash(ALICE), read_hash(ALICE.replace("$04$", "$11$"))
    known = {"cheap": cheap, "dear": dear}
    spent: dict[str, int] = {}

    async def ask() -> None:
        for name in ("cheap", "dear", "unknown"):
            compared.clear()
            asked = Credentials(name.encode(), b"x")
            assert await checks.check(known, asked, "192.0.2.1") is Verdict.WRONG
            spent[name] = sum(1 << cost for cost, _ in compared)

    asyncio.run(ask())
    assert spent == dict.fromkeys(spent, 1 << 11)
    assert set(spent) == {"cheap", "dear", "unknown"}


def test_a_flood_of_guesses_does_not_keep_a_scraper_waiting(tmp_path: Path) -> None:
    dear = bcrypt.hashpw(b"sesame", bcrypt.gensalt(9)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users:\n  alice: {dear}\n")
    with serving(web_config=tmp_path / "web.yml") as server:
        assert server.ask(authorized("alice", "sesame")).status == 200
        stop = threading.Event()
        guessers = [threading.Thread(target=guess, args=(server, stop)) for _ in range(8)]
        for guesser in guessers:
            guesser.start()
        statuses = [server.ask(authorized("alice", "sesame")).status for _ in range(20)]
        stop.set()
        for guesser in guessers:
            guesser.join()
    assert statuses == [200] * 20


def guess(server: Running, stop: threading.Event) -> None:
    """Guess passwords."""
    while not stop.is_set():
        assert server.ask(authorized("alice", os.urandom(4).hex())).status in (401, 429)
