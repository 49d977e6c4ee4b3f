"""What the user chose, written the way the BPF programs read it.

Pure: `encode` fills a record whose layout and enumerators come from the object's own BTF.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Final

import numpy as np

from tcpvitals.model.key import Field, FlowPorts
from tcpvitals.model.measurement import CLEAN, NEWEST, Unit
from tcpvitals.model.selection import first_port, last_port

if TYPE_CHECKING:
    from typing import TypeAlias

    from tcpvitals.kernel.btf import Layouts
    from tcpvitals.kernel.plan import Plan
    from tcpvitals.model.key import Grouping, Prefix
    from tcpvitals.model.measurement import Measurement, Sample
    from tcpvitals.model.selection import Network, Selection

    Record: TypeAlias = np.ndarray[tuple[()], np.dtype[np.void]]

ROLE_FIELDS: Final = frozenset({Field.SERVICE, Field.ROLE})


class Telling(StrEnum):
    """What is told event by event."""

    RETRANSMISSIONS = "retransmissions"
    STATES = "states"


@dataclass(frozen=True, slots=True)
class Request:
    """What to measure, of which connections, grouped how, and in how many groups at most.

    Without anything to group by there is one group, whatever `max_groups` says.
    `measurement` asks for a histogram of RTT, `totals` for what each group sent and sent again,
    `namespaces` for the same of each network namespace, filters or not, of `namespaces_limit` at
    most at a time, and `telling` for events, with a ring of `ring_bytes` (a power of two) to hold
    them until they are read.  `vitals` asks, beside totals, for a histogram of each of these
    samples, in microseconds, and for how many connections are open; `flows` for the retransmissions
    of at most `flows_limit` flows.
    """

    grouping: Grouping
    selection: Selection
    max_groups: int = 1
    measurement: Measurement | None = None
    totals: bool = False
    namespaces: bool = False
    namespaces_limit: int = 4096
    telling: frozenset[Telling] = frozenset()
    ring_bytes: int = 1 << 24
    vitals: tuple[Sample, ...] = ()
    flows: FlowPorts = FlowPorts.OFF
    flows_limit: int = 0

    @property
    def groups(self) -> int:
        """How many groups there may be."""
        return self.max_groups if self.grouping.fields else 1

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The samples that have a histogram, in the order of these."""
        return self.vitals or ((self.measurement.sample,) if self.measurement else ())

    @property
    def counts_context(self) -> bool:
        """Whether what stands beside clean samples is counted; see `model.context`."""
        return not self.vitals and not CLEAN.isdisjoint(self.samples)

    @property
    def needs_role(self) -> bool:
        """Whether it matters which end of a connection we are."""
        by_role = not ROLE_FIELDS.isdisjoint(self.grouping.fields)
        return by_role or self.flows is FlowPorts.BOUNDED

    @property
    def needs_owner(self) -> bool:
        """Whether sockets are followed from their first state to their last, and their owners."""
        by_owner = Field.PROCESS in self.grouping.fields or self.selection.pid is not None
        return self.totals or self.namespaces or bool(self.telling) or by_owner

    @property
    def counts_retransmissions(self) -> bool:
        """Whether the hooks of retransmissions are needed."""
        return self.totals or self.namespaces or Telling.RETRANSMISSIONS in self.telling

    @property
    def needs_socket(self) -> bool:
        """Whether something must be remembered of each socket."""
        filtered = self.selection != type(self.selection)()
        stateful = not NEWEST.isdisjoint(self.samples)
        return bool(self.grouping.fields) or filtered or stateful or self.needs_owner


def encode(layouts: Layouts, request: Request, plan: Plan) -> bytes:
    """The bytes of `struct settings` for a request and a plan."""
    settings = np.zeros((), layouts.struct("settings"))
    _encode_selection(settings, layouts, request.selection)
    _encode_grouping(settings, layouts, request.grouping)
    _encode_samples(settings, request)
    settings["need_role"] = request.needs_role
    settings["need_owner"] = request.needs_owner
    settings["per_socket"] = request.needs_socket
    settings["count_totals"] = request.totals
    settings["count_namespaces"] = request.namespaces
    settings["emit_retransmissions"] = Telling.RETRANSMISSIONS in request.telling
    settings["emit_states"] = Telling.STATES in request.telling
    settings["count_live"] = bool(request.vitals)
    settings["flow_ports"] = layouts.enum("flow_ports")[f"FLOWS_{request.flows.upper()}"]
    settings["histogram_records"] = plan.histogram_records(layouts.struct("rtt_counters").itemsize)
    settings["shard_mask"] = plan.shards - 1
    settings["sharded_slots"] = plan.sharded_slots
    settings["exclusive_shards"] = plan.exclusive_shards
    settings["socket_storage"] = plan.socket_storage
    return settings.tobytes()


def _encode_samples(settings: Record, request: Request) -> None:
    for number, sample in enumerate(request.samples, 1):
        settings["histograms"][sample.value] = number
    unit = request.measurement.unit if request.measurement else Unit.US
    settings["unit_us"] = unit.divisor
    settings["count_context"] = request.counts_context


def _words(network: Network) -> tuple[bytes, bytes]:
    """A network's address and mask as the 16 bytes of a `struct address` each."""
    return (
        network.network_address.packed.ljust(16, b"\0"),
        network.netmask.packed.ljust(16, b"\0"),
    )


def _encode_selection(settings: Record, layouts: Layouts, chosen: Selection) -> None:
    for name, network in (("want_laddr", chosen.laddr), ("want_raddr", chosen.raddr)):
        if network is not None:
            address, mask = _words(network)
            settings[name]["family"] = network.version
            settings[name]["address"]["words_be"] = np.frombuffer(address, "<u4")
            settings[name]["mask"]["words_be"] = np.frombuffer(mask, "<u4")
    for name, ports in (("want_lport", chosen.lports), ("want_rport", chosen.rports)):
        settings[name]["count"] = len(ports)
        settings[name]["ranges"]["first"][: len(ports)] = [first_port(one) for one in ports]
        settings[name]["ranges"]["last"][: len(ports)] = [last_port(one) for one in ports]
    settings["want_family"] = chosen.family or 0
    settings["want_netns_inode"] = chosen.netns_inode or 0
    settings["want_tgid"] = chosen.pid or 0
    bits = layouts.enum("scope")
    settings["want_scopes"] = sum(bits[f"SCOPE_{one.name}"] for one in chosen.scopes)


def _encode_grouping(settings: Record, layouts: Layouts, grouping: Grouping) -> None:
    parts = layouts.enum("key_part")
    settings["key_parts"] = sum(parts[f"KEY_{field.upper()}"] for field in grouping.fields)
    _encode_masks(settings, "laddr", grouping.laddr_prefix)
    _encode_masks(settings, "raddr", grouping.raddr_prefix)


def _encode_masks(settings: Record, side: str, prefix: Prefix) -> None:
    v4, v6 = IPv4Network((0, prefix.v4)), IPv6Network((0, prefix.v6))
    settings[f"{side}_mask_v4"]["words_be"] = np.frombuffer(_words(v4)[1], "<u4")
    settings[f"{side}_mask_v6"]["words_be"] = np.frombuffer(_words(v6)[1], "<u4")
