"""What makes a group (the `--by` option), and the name of one group.

Importing this needs no numpy, because the options are parsed with it.  Addresses arrive here as
the kernel half masked them; an IPv4-mapped IPv6 address has become its IPv4 address there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, TypeAlias

from tcpvitals.errors import UsageError
from tcpvitals.model.numbers import whole_number
from tcpvitals.model.printable import printable

if TYPE_CHECKING:
    from tcpvitals.model.names import Names
    from tcpvitals.model.scope import Scope

Address: TypeAlias = IPv4Address | IPv6Address | IPv4Network | IPv6Network

WHOLE_HOST = "whole host"
UNKNOWN = "unknown"

_V4_BITS = 32
_V6_BITS = 128
# A lone length past the network's half of an IPv6 address is more likely one for IPv4, mistyped.
_V6_NETWORK_BITS = 64


class Field(StrEnum):
    """One thing that connections can be grouped by."""

    LADDR = "laddr"
    RADDR = "raddr"
    LPORT = "lport"
    RPORT = "rport"
    SERVICE = "service"
    ROLE = "role"
    NETNS = "netns"
    PROCESS = "process"
    CGROUP = "cgroup"
    SCOPE = "scope"


ADDRESS_FIELDS = (Field.LADDR, Field.RADDR)


class FlowPorts(StrEnum):
    """Which ports tell the flows apart whose retransmissions are counted one by one.

    Bounded: a client's own port and a server's peers' are not told.
    """

    OFF = "off"
    BOUNDED = "bounded"
    FULL = "full"


class Role(StrEnum):
    """Which end of a connection this host is."""

    CLIENT = "client"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Process:
    """The process that owns a socket; `comm` is what it calls itself, as the kernel has it."""

    pid: int
    comm: bytes

    def __str__(self) -> str:
        """Return "1234/nginx", not yet made printable."""
        return f"{self.pid}/{self.comm.decode('utf-8', 'backslashreplace')}"


@dataclass(frozen=True, slots=True)
class Prefix:
    """How many leading bits of an address are kept, for each family."""

    v4: int = _V4_BITS
    v6: int = _V6_BITS


WHOLE_ADDRESS = Prefix()

# What the other family gets when `--by raddr/N` names only one length: the usual size of a subnet
# and of a site.
_USUAL = Prefix(v4=24, v6=48)


@dataclass(frozen=True, slots=True)
class Grouping:
    """What makes a group: the fields, in the order they are shown; no field is the whole host."""

    fields: tuple[Field, ...] = ()
    laddr_prefix: Prefix = WHOLE_ADDRESS
    raddr_prefix: Prefix = WHOLE_ADDRESS

    @classmethod
    def parse(cls, text: str) -> Grouping:
        """Read the `--by` option: fields and commas, `raddr/24`, `raddr/48`, `raddr/24/56`.

        A lone length up to 32 is IPv4's, and IPv6 then has 48; one from 33 to 64 is IPv6's, and
        IPv4 then has 24.  Empty text is the whole host.

        Raises:
            UsageError: an unknown or repeated field, or a bad prefix.
        """
        fields: dict[Field, Prefix] = {}
        for word in text.split(",") if text.strip() else ():
            field, prefix = _parse_word(word.strip())
            if field in fields:
                msg = f"'{field}' is there twice"
                raise UsageError(msg)
            fields[field] = prefix
        return cls(
            tuple(fields),
            fields.get(Field.LADDR, WHOLE_ADDRESS),
            fields.get(Field.RADDR, WHOLE_ADDRESS),
        )

    def prefix(self, field: Field) -> Prefix:
        """Return the prefix lengths that `laddr` or `raddr` is cut to."""
        return self.laddr_prefix if field is Field.LADDR else self.raddr_prefix


def _parse_word(word: str) -> tuple[Field, Prefix]:
    name, slash, lengths = word.partition("/")
    try:
        field = Field(name)
    except ValueError:
        msg = f"'{printable(name)}' is not one of {', '.join(Field)}"
        raise UsageError(msg) from None
    if not slash:
        return field, WHOLE_ADDRESS
    if field not in ADDRESS_FIELDS:
        msg = f"'{printable(word)}': only {' and '.join(ADDRESS_FIELDS)} take a prefix"
        raise UsageError(msg)
    return field, _parse_prefix(word, lengths.split("/"))


def _parse_prefix(word: str, lengths: list[str]) -> Prefix:
    match [whole_number(length, 0, _V6_BITS) for length in lengths]:
        case [int(v4)] if v4 <= _V4_BITS:
            return Prefix(v4, _USUAL.v6)
        case [int(v6)] if v6 <= _V6_NETWORK_BITS:
            return Prefix(_USUAL.v4, v6)
        case [int(v4), int(v6)] if v4 <= _V4_BITS:
            return Prefix(v4, v6)
    msg = (
        f"'{printable(word)}' has no good prefix length: /0 to /{_V4_BITS} for IPv4, "
        f"/{_V4_BITS + 1} to /{_V6_NETWORK_BITS} for IPv6, or both, as in /24/56 or /32/{_V6_BITS}"
    )
    raise UsageError(msg)


@dataclass(frozen=True, slots=True)
class GroupKey:
    """What the connections of one group have in common.

    A field that is not grouped by is None; one that is and still None is unknown.  An address may
    be a plain one, already masked, or a network; `netns` is the namespace's inode number, `cgroup`
    the cgroup's id.
    """

    laddr: Address | None = None
    raddr: Address | None = None
    lport: int | None = None
    rport: int | None = None
    service: int | None = None
    role: Role | None = None
    netns: int | None = None
    process: Process | None = None
    cgroup: int | None = None
    scope: Scope | None = None

    def labels(self, grouping: Grouping, names: Names) -> dict[str, str]:
        """Return the grouping's fields with their values, in its order: {"raddr": "10.0.0.0/24"}.

        Names from outside come out as they came in, and are not made printable.
        """
        return {field.value: self._text(field, grouping, names) for field in grouping.fields}

    def title(self, grouping: Grouping, names: Names) -> str:
        """Return a name safe for a terminal: "10.0.0.1", or "raddr=10.0.0.1 rport=443"."""
        labels = self.labels(grouping, names)
        if not labels:
            return WHOLE_HOST
        if len(labels) == 1:
            return printable(next(iter(labels.values())))
        return printable(" ".join(f"{name}={value}" for name, value in labels.items()))

    def _text(self, field: Field, grouping: Grouping, names: Names) -> str:
        match field:
            case Field.LADDR:
                return _address_text(self.laddr, grouping.laddr_prefix)
            case Field.RADDR:
                return _address_text(self.raddr, grouping.raddr_prefix)
            case Field.NETNS if self.netns is not None:
                return names.namespace(self.netns)
            case Field.CGROUP if self.cgroup is not None:
                return names.cgroup(self.cgroup)
            case _:
                value: int | Role | Process | Scope | None = getattr(self, field.value)
                return UNKNOWN if value is None else str(value)


def _address_text(address: Address | None, prefix: Prefix) -> str:
    if address is None:
        return UNKNOWN
    if isinstance(address, IPv4Network | IPv6Network):
        length, first = address.prefixlen, address.network_address
    else:
        length, first = prefix.v4 if address.version == 4 else prefix.v6, address  # noqa: PLR2004
    return str(first) if length == first.max_prefixlen else f"{first}/{length}"
