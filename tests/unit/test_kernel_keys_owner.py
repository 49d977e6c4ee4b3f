"""The process and the cgroup of a group's key, as the programs write them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_kernel_madeup import OBJECTS, layouts

from tcpvitals.kernel.keys import decode_key
from tcpvitals.model.key import Field, Grouping, GroupKey, Process

BY_PROCESS, BY_CGROUP = Grouping((Field.PROCESS,)), Grouping((Field.CGROUP,))
BY_BOTH = Grouping((Field.PROCESS, Field.CGROUP))
COMMS = st.binary(max_size=16).map(lambda raw: raw.partition(b"\0")[0])


def record(tgid: int = 0, comm: bytes = b"", cgroup_id: int = 0, name: str = OBJECTS[0]) -> np.void:
    """Return a `struct group_key` of that owner."""
    key = np.zeros(1, layouts(name).struct("group_key"))
    key["tgid"], key["cgroup_id"] = tgid, cgroup_id
    key["comm"] = np.frombuffer(comm.ljust(16, b"\0"), np.uint8)
    return key[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", OBJECTS)
def test_a_process_is_its_id_and_what_it_calls_itself(name: str) -> None:
    key = record(1234, b"nginx", 9, name)
    assert decode_key(key, BY_PROCESS) == GroupKey(process=Process(1234, b"nginx"))


@pytest.mark.parametrize("name", OBJECTS)
def test_a_cgroup_is_its_whole_64_bits(name: str) -> None:
    key = record(1234, b"nginx", 2**64 - 1, name)
    assert decode_key(key, BY_CGROUP) == GroupKey(cgroup=2**64 - 1)


@pytest.mark.parametrize(
    ("comm", "name"),
    [(b"nginx\0worker", b"nginx"), (b"sixteen bytes...", b"sixteen bytes..."), (b"\0junk", b"")],
)
def test_a_command_ends_at_its_first_zero_byte(comm: bytes, name: bytes) -> None:
    assert decode_key(record(7, comm), BY_PROCESS).process == Process(7, name)


def test_a_process_or_a_cgroup_that_nobody_knows_is_none() -> None:
    assert decode_key(record(0, b"junk", 0), BY_BOTH) == GroupKey(process=None, cgroup=None)


@settings(deadline=None)
@given(
    st.integers(1, 2**32 - 1),
    COMMS,
    st.integers(1, 2**64 - 1),
    st.sets(st.sampled_from([Field.PROCESS, Field.CGROUP])),
)
def test_only_what_is_grouped_by_is_there(
    tgid: int, comm: bytes, cgroup_id: int, fields: set[Field]
) -> None:
    expected = GroupKey(
        process=Process(tgid, comm) if Field.PROCESS in fields else None,
        cgroup=cgroup_id if Field.CGROUP in fields else None,
    )
    assert decode_key(record(tgid, comm, cgroup_id), Grouping(tuple(fields))) == expected
