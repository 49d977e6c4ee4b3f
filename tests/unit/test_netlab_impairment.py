"""What tc and nft are told, and what the relay does to packets, without any network."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from tcpvitals.netlab.impairment import (
    CLEAN,
    Impairment,
    choose_engine,
    netem_arguments,
    nft_ruleset,
)
from tcpvitals.netlab.relay import Direction

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_netem_is_told_everything_in_its_own_units() -> None:
    bad = Impairment(delay_ms=20, jitter_ms=0.5, loss=0.2, reorder=0.01, limit=50, rate_mbit=1.5)

    expected = (
        "netem limit 50 delay 20000us 500us loss random 20.000000% "
        "reorder 1.000000% rate 1500000bit"
    )
    assert expected == " ".join(netem_arguments(bad))


def test_a_netem_rate_is_taken_back_by_naming_none() -> None:
    """Netem keeps the rate it has if a change does not mention one."""
    assert netem_arguments(CLEAN)[-2:] == ["rate", "0bit"]


def test_nft_drops_one_packet_in_five() -> None:
    script = nft_ruleset(Impairment(loss=0.2), "veth0")

    assert 'iifname "veth0" numgen random mod 1000000 lt 200000 counter drop\n' in script


def test_nft_drops_everything_without_a_condition() -> None:
    assert 'iifname "veth0" counter drop\n' in nft_ruleset(Impairment(loss=1), "veth0")


def test_nft_drops_nothing_when_the_wire_is_clean_again() -> None:
    script = nft_ruleset(CLEAN, "veth0")

    assert script.endswith("delete table inet netlab\n")
    assert "drop" not in script


def test_nft_cannot_delay() -> None:
    with pytest.raises(ValueError, match="only drops"):
        nft_ruleset(Impairment(delay_ms=1), "veth0")


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": 1.1},
        {"loss": -0.1},
        {"reorder": 2, "delay_ms": 1},
        {"reorder": 0.1},
        {"delay_ms": 1, "jitter_ms": 2},
        {"delay_ms": -1},
        {"rate_mbit": -1},
        {"limit": 0},
    ],
)
def test_what_no_wire_can_do_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"loss|jitter_ms|delay"):
        Impairment(**wrong)  # type: ignore[arg-type]  # limit is whole, the table's others are not


def test_the_least_artificial_engine_is_chosen() -> None:
    loss, delay = Impairment(loss=0.1), Impairment(delay_ms=1)

    assert choose_engine([delay], netem=True) == "netem"
    assert choose_engine([loss, CLEAN], netem=False) == "nft"
    assert choose_engine([loss, delay], netem=False) == "relay"


class Wire:
    """One direction of the relay between sockets that keep packets apart, as TUN devices do."""

    def __init__(self) -> None:
        """Open both ends."""
        self._sender, source = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        sink, self._receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._open = [self._sender, source, sink, self._receiver]
        for end in self._open:
            end.settimeout(0)
        self.direction = Direction(source.fileno(), sink.fileno(), seed=7)

    def send(self, packet: bytes, now: float) -> None:
        """Let the relay take one packet at a time of its clock."""
        self._sender.send(packet)
        self.direction.accept(now)

    def arrived(self, now: float) -> list[bytes]:
        """Return what the relay has handed over by then."""
        self.direction.deliver(now)
        packets = []
        while True:
            try:
                packets.append(os.read(self._receiver.fileno(), 65536))
            except BlockingIOError:
                return packets

    def close(self) -> None:
        """Close the ends."""
        for end in self._open:
            end.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    """Return a wire that is closed afterwards."""
    wire = Wire()
    yield wire
    wire.close()


def test_the_relay_delivers_no_packet_early(wire: Wire) -> None:
    wire.direction.impairment = Impairment(delay_ms=20)
    wire.send(b"one", now=100.0)

    assert wire.arrived(now=100.0199) == []
    assert wire.arrived(now=100.0201) == [b"one"]


def test_the_relay_keeps_the_order_of_equal_delays(wire: Wire) -> None:
    wire.direction.impairment = Impairment(delay_ms=20)
    for packet in (b"c", b"a", b"b"):
        wire.send(packet, now=100.0)

    assert wire.arrived(now=101.0) == [b"c", b"a", b"b"]


def test_the_relay_loses_the_share_it_is_told_to(wire: Wire) -> None:
    wire.direction.impairment = Impairment(loss=0.2)
    arrived = 0
    for number in range(5000):
        wire.send(number.to_bytes(2, "big"), now=100.0)
        arrived += len(wire.arrived(now=100.0))

    deviation = (5000 * 0.2 * 0.8) ** 0.5
    assert abs(arrived - 4000) < 4 * deviation


def test_jitter_draws_each_delay_from_both_sides(wire: Wire) -> None:
    wire.direction.impairment = Impairment(delay_ms=20, jitter_ms=10)
    dues = []
    for _ in range(1000):
        wire.send(b"x", now=0.0)
        dues.append(wire.direction.next_due)
        wire.arrived(now=1.0)

    assert 0.010 <= min(dues) < 0.011
    assert 0.029 < max(dues) <= 0.030


def test_the_share_to_reorder_skips_the_delay(wire: Wire) -> None:
    wire.direction.impairment = Impairment(delay_ms=20, reorder=0.25)
    early = 0
    for second in range(1000):
        wire.send(b"x", now=float(second))
        early += len(wire.arrived(now=float(second)))
        wire.arrived(now=second + 0.5)

    deviation = (1000 * 0.25 * 0.75) ** 0.5
    assert abs(early - 250) < 4 * deviation


def test_a_full_wire_drops_the_newest(wire: Wire) -> None:
    wire.direction.impairment = Impairment(delay_ms=20, limit=2)
    for packet in (b"a", b"b", b"c"):
        wire.send(packet, now=0.0)

    assert wire.arrived(now=1.0) == [b"a", b"b"]


def test_a_rate_spaces_packets_by_the_time_their_bits_take(wire: Wire) -> None:
    wire.direction.impairment = Impairment(rate_mbit=1)
    wire.send(b"x" * 1250, now=0.0)
    wire.send(b"y" * 1250, now=0.0)

    assert wire.arrived(now=0.0099) == []
    assert len(wire.arrived(now=0.0101)) == 1
    assert wire.arrived(now=0.0199) == []
    assert len(wire.arrived(now=0.0201)) == 1
