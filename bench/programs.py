"""The programs that are compared: loaded once, then attached and detached as often as need be."""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

import bpf_stats
from errors import CannotRunError
from tcpvitals.commands import serve_options
from tcpvitals.errors import TcpvitalsError
from tcpvitals.kernel.libbpf import Object, attach_tracing
from tcpvitals.kernel.plan import Attach, make_plan
from tcpvitals.kernel.probe import collect_facts
from tcpvitals.kernel.settings import Request, Telling
from tcpvitals.model.key import FlowPorts, Grouping
from tcpvitals.model.measurement import Measurement, Sample, Unit
from tcpvitals.model.selection import Selection
from tcpvitals.sources.live import LiveRtt
from tcpvitals.sources.vitals import LiveVitals

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from contextlib import AbstractContextManager

    from build import Built
    from load import Load
    from tcpvitals.kernel.facts import HostFacts
    from tcpvitals.kernel.plan import Plan

# The seed's table has room for as many.
_GROUPS: Final = 10240
IDLE_S: Final = 600
# What `serve` counts for each series that it may show.
_FLOWS_PER_SERIES: Final = 16
_LITTLE_S: Final = 0.01


EMPTY: Final = "empty"
SEED: Final = "seed, whole host"
SEED_RADDR: Final = "seed, by raddr"
SEED_EXTENDED: Final = "seed, whole host, -show-ext"
OURS: Final = "ours, whole host"
OURS_RADDR: Final = "ours, by raddr"
OURS_RTT: Final = "ours, by raddr, --sample rtt"
OURS_NETWORK: Final = "ours, by raddr, --sample network"
OURS_ALL: Final = "ours, by raddr, everything on"
OURS_SERVE: Final = "ours, serve"


@contextmanager
def loaded(
    built: Built, load: Load, only: Collection[str] | None = None
) -> Iterator[dict[str, int]]:
    """Load everything that is compared, or some; the programs at the hook, as file descriptors.

    A little load tells which of a variant's programs that is.

    Raises:
        CannotRunError: this host cannot run it.
    """
    with ExitStack() as undo:
        programs = {}
        for name, variant in _variants(built).items():
            if only and name not in only:
                continue
            programs[name] = _loaded(variant, load)
            undo.callback(os.close, programs[name])
        yield programs


def _loaded(variant: AbstractContextManager[None], load: Load) -> int:
    """Open a variant as it is meant to be, keep its program and so its maps, and detach it."""
    others = bpf_stats.held_programs()
    with variant, bpf_stats.measuring():
        mine = bpf_stats.held_programs() - others
        return os.dup(bpf_stats.busiest(mine, lambda: load.run(_LITTLE_S)))


@contextmanager
def attached(program: int, copies: int = 1) -> Iterator[None]:
    """Attach a loaded program to its hook, once or several times; it takes about a millisecond."""
    with ExitStack() as undo:
        for _ in range(copies):
            undo.callback(os.close, attach_tracing(program))
        yield


def _variants(built: Built) -> dict[str, AbstractContextManager[None]]:
    facts = _facts()
    return {
        EMPTY: _bare(built.empty, "empty"),
        SEED: _bare(built.seed, "seed_whole_host"),
        SEED_RADDR: _bare(built.seed, "seed_raddr"),
        SEED_EXTENDED: _bare(built.seed, "seed_extended"),
        OURS: _ours(facts, "", Sample.SRTT),
        OURS_RADDR: _ours(facts, "raddr", Sample.SRTT),
        OURS_RTT: _ours(facts, "raddr", Sample.RTT),
        OURS_NETWORK: _ours(facts, "raddr", Sample.NETWORK),
        OURS_ALL: _ours(facts, "raddr", Sample.SRTT, everything=True),
        OURS_SERVE: _serving(facts),
    }


def _facts() -> HostFacts:
    facts = collect_facts()
    try:
        make_plan(facts, Attach.TP_BTF, 1)
    except TcpvitalsError as error:
        raise CannotRunError(str(error)) from error
    return facts


@contextmanager
def _bare(image: bytes, name: str) -> Iterator[None]:
    """Attach one program of an object."""
    with Object(image, "bench") as opened, ExitStack() as undo:
        for program in opened.programs.values():
            program.choose(wanted=program.name == name)
        opened.load()
        undo.callback(opened.programs[name].attach().close)
        yield


@contextmanager
def _ours(facts: HostFacts, by: str, sample: Sample, *, everything: bool = False) -> Iterator[None]:
    """Attach tcpvitals as its commands do; tp_btf, because everything is compared on that hook.

    With everything, totals, those of namespaces, and all events are wanted besides.
    """
    request = Request(
        Grouping.parse(by),
        Selection(),
        _GROUPS,
        Measurement(sample, Unit.US),
        totals=everything,
        namespaces=everything,
        telling=frozenset(Telling) if everything else frozenset(),
    )
    with LiveRtt(request, make_plan(facts, Attach.TP_BTF, request.groups), IDLE_S):
        yield


@contextmanager
def _serving(facts: HostFacts) -> Iterator[None]:
    """Attach what `serve` does by default, but on that hook."""
    request = serve_request()
    plan = make_plan(facts, Attach.TP_BTF, request.groups, following=True)
    with LiveVitals(request, plan, IDLE_S):
        yield


def serve_request() -> Request:
    """What `serve` asks of the kernel half by default: commands/serve.py."""
    options = serve_options.parse(argparse.ArgumentParser(), [])
    return Request(
        options.grouping,
        options.selection,
        options.max_groups,
        totals=True,
        namespaces=True,
        vitals=options.histograms,
        flows=FlowPorts.BOUNDED,
        flows_limit=options.max_flows * _FLOWS_PER_SERIES,
    )


def serve_plan(request: Request) -> Plan:
    """And how, on this host.

    Raises:
        TcpvitalsError: it cannot be done here.
    """
    return make_plan(collect_facts(), None, request.groups, following=True)
