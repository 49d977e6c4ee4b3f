"""Records of the ring, made events.  Pure: bytes in, events out."""

from __future__ import annotations

import struct
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tcpvitals.kernel.decoding import decoding
from tcpvitals.kernel.totals_counters import CauseNumbers
from tcpvitals.model.event import Cause, Ends, Owner, Retransmission, StateChange

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tcpvitals.kernel.btf import Layouts
    from tcpvitals.model.event import Event

_V4: Final = 4


class EventRecords:
    """Reads what the programs of one object wrote."""

    def __init__(self, layouts: Layouts) -> None:
        """Take the layouts from the object.

        Raises:
            DecodeError: the object has no such layouts.
        """
        with decoding("the layout of events"):
            kinds = layouts.enum("event_kind")
            self._records = {
                kinds["EVENT_RETRANSMISSION"]: layouts.struct("retransmission"),
                kinds["EVENT_STATE"]: layouts.struct("state_change"),
            }
            self._retransmission = kinds["EVENT_RETRANSMISSION"]
            event = self._records[self._retransmission]["event"]
            self._kind_at = event.fields["kind"][1] if event.fields else 0
            self._causes = CauseNumbers(layouts).cause

    def decode(self, records: Sequence[bytes]) -> list[Event]:
        """The events in the order of their records: those of one kind are read all at once.

        Raises:
            DecodeError: a record is of an unknown kind, or shorter than its kind.
        """
        with decoding("a record of an event"):
            kinds = [struct.unpack_from("<I", record, self._kind_at)[0] for record in records]
            decoded = {kind: self._decode_kind(kind, kinds, records) for kind in set(kinds)}
            return [next(decoded[kind]) for kind in kinds]

    def _decode_kind(
        self, kind: int, kinds: Sequence[int], records: Sequence[bytes]
    ) -> Iterator[Event]:
        record = self._records.get(kind)
        if record is None:
            message = f"unknown kind {kind}"
            raise LookupError(message)
        size = record.itemsize
        # The ring rounds a record up to 8 bytes, and they are no longer than that.
        pieces = [
            each[:size] for each, its_kind in zip(records, kinds, strict=True) if its_kind == kind
        ]
        if min(map(len, pieces)) < size:
            message = f"{min(map(len, pieces))} bytes of kind {kind}, which has {size}"
            raise ValueError(message)
        array = np.frombuffer(b"".join(pieces), record)
        if kind == self._retransmission:
            return self._retransmissions(array)
        return _state_changes(array)

    def _retransmissions(self, array: np.ndarray[Any, np.dtype[np.void]]) -> Iterator[Event]:
        names = "segments", "bytes", "seq", "attempt", "srtt_us", "cwnd", "error", "cause", "state"
        columns = zip(*(array[name].tolist() for name in names), strict=True)
        for head, row in zip(_heads(array["event"]), columns, strict=True):
            segments, payload, seq, attempt, srtt_us, cwnd, error, number, state = row
            cause = self._causes.get(number, Cause.OTHER)
            yield Retransmission(
                *head,
                state=state,
                cause=cause,
                segments=segments,
                bytes=payload,
                seq=None if cause is Cause.SYNACK else seq,
                attempt=attempt,
                srtt_us=srtt_us,
                cwnd=cwnd,
                errno=error,
            )


def _state_changes(array: np.ndarray[Any, np.dtype[np.void]]) -> Iterator[Event]:
    names = "socket", "old_state", "new_state", "took_ns"
    columns = zip(*(array[name].tolist() for name in names), strict=True)
    for head, (socket, old_state, new_state, took_ns) in zip(
        _heads(array["event"]), columns, strict=True
    ):
        yield StateChange(*head, socket, old_state, new_state, took_ns or None)


def _heads(heads: np.ndarray[Any, np.dtype[np.void]]) -> Iterator[tuple[int, Ends, Owner]]:
    """Time, ends and owner of each event."""
    ends, owners = heads["ends"], heads["owner"]
    columns = zip(
        heads["since_boot_ns"].tolist(),
        heads["cgroup_id"].tolist(),
        _addresses(ends["laddr"]["words_be"]),
        ends["lport"].tolist(),
        _addresses(ends["raddr"]["words_be"]),
        ends["rport"].tolist(),
        ends["netns_inode"].tolist(),
        ends["family"].tolist(),
        owners["tgid"].tolist(),
        _texts(owners["comm"]),
        strict=True,
    )
    for time_ns, cgroup, laddr, lport, raddr, rport, netns, family, pid, comm in columns:
        yield (
            time_ns,
            Ends(_address(laddr, family), lport, _address(raddr, family), rport, netns),
            _owner(pid, comm, cgroup),
        )


def _addresses(words: np.ndarray[Any, np.dtype[np.uint32]]) -> list[bytes]:
    whole = np.ascontiguousarray(words).tobytes()
    return [whole[at : at + 16] for at in range(0, len(whole), 16)]


def _texts(comms: np.ndarray[Any, np.dtype[np.uint8]]) -> list[bytes]:
    width = comms.shape[-1]
    whole = np.ascontiguousarray(comms).tobytes()
    return [whole[at : at + width] for at in range(0, len(whole), width)]


# Events come in crowds, of the same ends and owners: making one takes longer than finding it again.
@lru_cache(maxsize=4096)
def _address(raw: bytes, family: int) -> IPv4Address | IPv6Address:
    return IPv4Address(raw[:4]) if family == _V4 else IPv6Address(raw)


@lru_cache(maxsize=4096)
def _owner(pid: int, comm: bytes, cgroup: int) -> Owner:
    return Owner(pid, comm.partition(b"\0")[0], cgroup)
