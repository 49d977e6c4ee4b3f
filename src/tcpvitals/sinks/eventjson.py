"""`--json` of events: one object a line, for each retransmission or state change."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TextIO

from tcpvitals.model.cgroup import container_of, pod_of
from tcpvitals.model.event import Retransmission, state_name
from tcpvitals.model.printable import printable
from tcpvitals.sinks.cells import address_text, error_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from ipaddress import IPv4Address, IPv6Address

    from tcpvitals.model.event import Event, StateChange
    from tcpvitals.model.names import Names

_MICROSECONDS_OF_MS: Final = 3

# json.dumps would make an encoder for each line.
_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class EventJsonSink:
    """Writes a line for each event.  `wall` turns boot time (ns) into local time."""

    stream: TextIO
    wall: Callable[[int], datetime]

    def show(self, events: Sequence[Event], names: Names, losses: Mapping[str, int]) -> None:
        """Write the events; each line has `losses`, what was lost so far, as `dropped`."""
        batch = _Batch(self.wall, names, losses)
        self.stream.write("".join([batch.line(event) for event in events]))
        self.stream.flush()

    def lost(self, counts: Mapping[str, int], now_ns: int) -> None:
        """Write one line: events were lost, of each kind so many; `now_ns` is boot time."""
        time = rfc3339_us(self.wall(now_ns))
        self.stream.write(f"{_encode({'type': 'lost', 'time': time, 'dropped': dict(counts)})}\n")
        self.stream.flush()


@dataclass(frozen=True, slots=True)
class _Batch:
    """Events that are written in one go: how a line ends is worked out once for each place."""

    wall: Callable[[int], datetime]
    names: Names
    losses: Mapping[str, int]
    ends_of_lines: dict[tuple[type[Event], int, int], str] = field(default_factory=dict)

    def line(self, event: Event) -> str:
        time = rfc3339_us(self.wall(event.time_ns))
        if isinstance(event, Retransmission):
            fields = _retransmission(event, time)
        else:
            fields = _state_change(event, time)
        place = type(event), event.ends.netns, event.owner.cgroup_id
        rest = self.ends_of_lines.get(place)
        if rest is None:
            rest = self.ends_of_lines[place] = self._rest(*place)
        return f"{_encode(fields)[:-1]},{rest}\n"

    def _rest(self, kind: type[Event], netns: int, cgroup_id: int) -> str:
        path = self.names.cgroup(cgroup_id) if cgroup_id else None
        fields = {
            "netns": printable(self.names.namespace(netns)),
            "cgroup": None if path is None else printable(path),
            **(_workload(path) if path and kind is Retransmission else {}),
            "dropped": dict(self.losses),
        }
        return _encode(fields)[1:]


def rfc3339_us(moment: datetime) -> str:
    """Write a time with its zone as RFC 3339 has it, to the microsecond."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _retransmission(event: Retransmission, time: str) -> dict[str, object]:
    ends, owner = event.ends, event.owner
    return {
        "type": "retransmission",
        "timestamp": time,
        "pid": owner.pid or None,
        "comm": printable(owner.comm) or None,
        "state": event.state,
        "ipversion": ends.family,
        "source": _end(ends.laddr, ends.lport),
        "destination": _end(ends.raddr, ends.rport),
        "cause": event.cause,
        "segments": event.segments,
        "bytes": event.bytes,
        "seq": event.seq,
        "attempt": event.attempt,
        "srtt_us": event.srtt_us,
        "cwnd": event.cwnd,
        "errno": error_name(event.errno) if event.errno else None,
        "failed": event.errno != 0,
    }


def _state_change(event: StateChange, time: str) -> dict[str, object]:
    ends, owner, took = event.ends, event.owner, event.took_ns
    return {
        "type": "state",
        "timestamp": time,
        "pid": owner.pid or None,
        "comm": printable(owner.comm) or None,
        "ipversion": ends.family,
        "source": _end(ends.laddr, ends.lport),
        "destination": _end(ends.raddr, ends.rport),
        "socket": f"{event.socket:x}",
        "oldstate": state_name(event.old_state),
        "newstate": state_name(event.new_state),
        "ms": None if took is None else round(took / 1e6, _MICROSECONDS_OF_MS),
    }


def _end(address: IPv4Address | IPv6Address, port: int) -> dict[str, object]:
    return {"ip": address_text(address), "port": port}


def _workload(path: str) -> dict[str, str]:
    found = {"container": container_of(path), "pod": pod_of(path)}
    return {name: value for name, value in found.items() if value}
