"""How bad a wire is, and the words in which netem and nft are told.  Pure: nothing runs here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Engine = Literal["netem", "relay", "nft"]
"""What makes a wire bad: sch_netem, a user-space relay between two TUN devices, or nft drops."""

_MILLION = 1_000_000


@dataclass(frozen=True)
class Impairment:
    """What happens to the packets that travel in one direction of a link.

    Attributes:
        delay_ms: how long each packet is under way, in milliseconds.
        jitter_ms: each delay is drawn evenly from delay_ms plus or minus this; packets overtake.
        loss: the share of packets dropped at random, 0 to 1.
        reorder: the share of packets, 0 to 1, that skip the delay and so overtake the others.
        limit: how many packets the wire holds; one more is dropped.  With netem its sender learns
            of that drop, as of any full queue on its own host.
        rate_mbit: how many megabits pass in a second; 0 for as many as the machine can.
    """

    delay_ms: float = 0
    jitter_ms: float = 0
    loss: float = 0
    reorder: float = 0
    limit: int = 100_000
    rate_mbit: float = 0

    def __post_init__(self) -> None:
        """Refuse what no wire can do.

        Raises:
            ValueError: a share is not within 0 to 1, a figure is negative, the jitter exceeds the
                delay, or packets should skip a delay that there is not.
        """
        if not 0 <= self.loss <= 1 or not 0 <= self.reorder <= 1:
            message = "loss and reorder are shares of the packets, from 0 to 1"
            raise ValueError(message)
        if not 0 <= self.jitter_ms <= self.delay_ms or self.rate_mbit < 0 or self.limit < 1:
            message = "needs 0 <= jitter_ms <= delay_ms, rate_mbit >= 0 and limit >= 1"
            raise ValueError(message)
        if self.reorder and not self.delay_ms:
            message = "reorder lets packets skip the delay: it needs delay_ms"
            raise ValueError(message)

    @property
    def only_loses(self) -> bool:
        """Whether dropping packets is all that it takes, so that nft can do it."""
        return self == Impairment(loss=self.loss)


CLEAN = Impairment()


def choose_engine(impairments: Iterable[Impairment], *, netem: bool) -> Engine:
    """Return the least artificial engine that can do it all on this host."""
    if netem:
        return "netem"
    return "nft" if all(one.only_loses for one in impairments) else "relay"


def netem_arguments(impairment: Impairment) -> list[str]:
    """Return what follows `tc qdisc replace ... root`.

    The rate is always given: netem keeps an earlier one where a change does not name any.
    """
    words = ["netem", "limit", str(impairment.limit)]
    words += ["delay", _microseconds(impairment.delay_ms), _microseconds(impairment.jitter_ms)]
    words += ["loss", "random", _percent(impairment.loss)]
    if impairment.reorder:
        words += ["reorder", _percent(impairment.reorder)]
    return [*words, "rate", f"{round(impairment.rate_mbit * _MILLION)}bit"]


def nft_ruleset(impairment: Impairment, device: str) -> str:
    """Return an nft script that drops on arrival at `device`, instead of what an earlier one did.

    Raises:
        ValueError: more is asked than dropping packets at random.
    """
    if not impairment.only_loses:
        message = "nft only drops packets: delay, reorder, rate and limit need netem or the relay"
        raise ValueError(message)
    script = "add table inet netlab\ndelete table inet netlab\n"
    if impairment.loss:
        # For nft, a number that cannot come up is a mistake: what always matches has no condition.
        lost = round(impairment.loss * _MILLION)
        chosen = f"numgen random mod {_MILLION} lt {lost} " if lost < _MILLION else ""
        script += "add table inet netlab\n"
        script += "add chain inet netlab loss { type filter hook input priority 0; }\n"
        script += f'add rule inet netlab loss iifname "{device}" {chosen}counter drop\n'
    return script


def _microseconds(milliseconds: float) -> str:
    return f"{round(milliseconds * 1000)}us"


def _percent(share: float) -> str:
    return f"{100 * share:.6f}%"
