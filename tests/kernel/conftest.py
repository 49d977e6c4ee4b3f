"""What the kernel tests share: this host's facts, the hooks, bad networks and a second opinion."""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tcpvitals.kernel import libbpf
from tcpvitals.kernel.btf import Layouts
from tcpvitals.kernel.facts import Answer
from tcpvitals.kernel.plan import Attach, make_plan
from tcpvitals.kernel.probe import collect_facts
from tcpvitals.kernel.settings import Request, Telling
from tcpvitals.model.key import Grouping
from tcpvitals.model.measurement import Measurement, Sample, Unit
from tcpvitals.model.selection import Selection
from tcpvitals.netlab.link import Link, open_link
from tcpvitals.netlab.support import netem_support
from tcpvitals.netlab.workload import serve
from tcpvitals.sources.live import LiveRtt, LiveSockets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tcpvitals.kernel.facts import HostFacts
    from tcpvitals.netlab.impairment import Engine
    from tcpvitals.netlab.namespace import Namespace

IN_VM = "TCPVITALS_VM" in os.environ
WITNESS = Path(__file__).parent / "bpf" / "witness.bpf.o"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder loads BPF programs or makes namespaces."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture(scope="session")
def facts() -> HostFacts:
    """What `tcpvitals check` knows about this kernel."""
    return collect_facts()


@pytest.fixture(scope="session", params=list(Attach))
def attach(request: pytest.FixtureRequest, facts: HostFacts) -> Attach:
    """Each hook; one that `tcpvitals check` says is missing is skipped, but never in a guest."""
    wanted: Attach = request.param
    fact = facts[wanted.question]
    if fact.answer is Answer.NO:
        assert not IN_VM, f"{wanted.section} must be there: {fact.seen}"
        pytest.skip(f"tcpvitals check: no {wanted.section}: {fact.seen}")
    return wanted


@pytest.fixture(scope="session")
def any_attach(facts: HostFacts) -> Attach:
    """The hook that is used unless another is asked for."""
    attach = make_plan(facts, None, 1).attach
    assert attach
    return attach


@pytest.fixture(scope="module")
def link() -> Iterator[Link]:
    """Two namespaces and a clean wire that can be made slow."""
    engine: Engine = "netem" if netem_support().yes else "relay"
    with open_link(engine=engine, lifetime_s=600) as link:
        yield link


@pytest.fixture(scope="module")
def port(link: Link) -> Iterator[int]:
    """An echo server on the far end, IPv4 and IPv6 through one dual-stack listener."""
    with serve(link.server) as port:
        yield port


@pytest.fixture(scope="session")
def start_rtt(facts: HostFacts, any_attach: Attach) -> Callable[..., LiveRtt]:
    """A function that starts counting, until what it returns is closed."""

    def start(  # noqa: PLR0913 - as many as the command has options
        by: str = "",
        *,
        sample: Sample = Sample.SRTT,
        unit: Unit = Unit.US,
        attach: Attach | None = None,
        selection: Selection | None = None,
        max_groups: int = 1000,
        idle_s: float = 60,
    ) -> LiveRtt:
        request = Request(
            Grouping.parse(by),
            selection or Selection(),
            max_groups,
            Measurement(sample, unit),
        )
        plan = make_plan(facts, attach or any_attach, request.groups)
        return LiveRtt(request, plan, idle_s)

    return start


@pytest.fixture
def open_rtt(start_rtt: Callable[..., LiveRtt]) -> Iterator[Callable[..., LiveRtt]]:
    """A function that starts counting; what it started ends with the test."""
    with ExitStack() as stack:
        yield lambda *by, **how: stack.enter_context(start_rtt(*by, **how))


@pytest.fixture
def open_sockets(facts: HostFacts) -> Iterator[Callable[..., LiveSockets]]:
    """A function that follows sockets; what it started ends with the test."""
    with ExitStack() as stack:

        def start(  # noqa: PLR0913 - as many as a request has
            by: str = "",
            *,
            totals: bool = False,
            namespaces: bool = False,
            namespaces_limit: int = 4096,
            telling: Telling | None = None,
            selection: Selection | None = None,
            max_groups: int = 10_000,
            ring_bytes: int = 1 << 24,
        ) -> LiveSockets:
            request = Request(
                Grouping.parse(by),
                selection or Selection(),
                max_groups,
                totals=totals,
                namespaces=namespaces,
                namespaces_limit=namespaces_limit,
                telling=frozenset({telling} if telling else ()),
                ring_bytes=ring_bytes,
            )
            plan = make_plan(facts, None, request.groups, rtt=False)
            return stack.enter_context(LiveSockets(request, plan, idle_s=600))

        yield start


def netns_inode(namespace: Namespace) -> int:
    """The inode number by which the kernel half knows a namespace."""
    return Path(f"/proc/{namespace.pid}/ns/net").stat().st_ino


@contextmanager
def witness(attach: Attach, inode: int) -> Iterator[Callable[[], tuple[np.ndarray, int]]]:
    """An independent count at the same hook; yields what reads (log2 slots, missed runs)."""
    name = f"witness_{attach}"
    with libbpf.Object(WITNESS.read_bytes(), "witness") as opened:
        for program in opened.programs.values():
            program.choose(wanted=program.name == name)
        at = Layouts(opened.btf()).variable_offset(".rodata", "netns_inode")
        opened.map(".rodata").initial_value()[at : at + 4] = struct.pack("<I", inode)
        opened.load()
        attached = opened.programs[name].attach()

        def read() -> tuple[np.ndarray, int]:
            slots = opened.map("slots")
            counts = [
                np.frombuffer(slots.lookup_per_cpu(struct.pack("<I", slot)), "<u8").sum()
                for slot in range(27)
            ]
            missed = struct.unpack_from("<Q", opened.programs[name].info(232), 208)[0]
            return np.array(counts, dtype=np.uint64), missed

        try:
            yield read
        finally:
            attached.close()


def skips_of(name: str) -> int:
    """How often the kernel skipped another tool's program because it would have interrupted itself.

    Source: struct bpf_prog_info of linux/bpf.h, through the ids of all loaded programs.
    """
    library, at = ctypes.CDLL("libbpf.so.1"), ctypes.c_uint32(0)
    while library.bpf_prog_get_next_id(at, ctypes.byref(at)) == 0:
        descriptor = library.bpf_prog_get_fd_by_id(at)
        info, size = ctypes.create_string_buffer(232), ctypes.c_uint32(232)
        library.bpf_obj_get_info_by_fd(descriptor, info, ctypes.byref(size))
        os.close(descriptor)
        if info.raw[64:80].split(b"\0")[0].decode() == name:
            return int(struct.unpack_from("<Q", info, 208)[0])
    message = f"no program {name} is loaded"
    raise LookupError(message)


def libbpf_tool(name: str) -> str:
    """Return the path of one of libbpf-tools, whose names end in -libbpf since Debian 13."""
    found = (shutil.which(each, path="/usr/sbin:/usr/bin") for each in (name, f"{name}-libbpf"))
    path = next(filter(None, found), None)
    assert path, "libbpf-tools is not installed"
    return path
