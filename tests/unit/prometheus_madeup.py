"""Made-up snapshots of everything at once, and what a parser makes of an exposition."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_classic
from test_model_totals import table as totals_table
from test_model_totals import totals
from test_sink_madeup import counters, distribution

from tcpvitals.model.key import Grouping, GroupKey, Role
from tcpvitals.model.measurement import USUAL_HISTOGRAMS, Sample
from tcpvitals.model.names import Names
from tcpvitals.model.namespaces import Netns
from tcpvitals.model.scope import Scope
from tcpvitals.model.verification import Comparison, NamespaceReport
from tcpvitals.model.vitals import (
    FlowsSnapshot,
    FlowsTable,
    ProgramRuns,
    VitalsSnapshot,
    VitalsTable,
    VitalsTotal,
)
from tcpvitals.sinks.prometheus import Edges, Exposition, Options, edges_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from prometheus_client.core import Metric

SECOND: Final = 10**9
HOST: Final = 4026531840
CLASSIC: Final = "text/plain"
OPENMETRICS: Final = "application/openmetrics-text;version=1.0.0"
USUAL: Final = Grouping.parse("scope,role,service,raddr/24/48,netns")
NOTHING: Final[Mapping[str, int]] = {}

Group: TypeAlias = tuple[GroupKey, "Mapping[str, int]", "Sequence[int]"]
Series: TypeAlias = tuple[str, frozenset[tuple[str, str]]]


def wall(boot_ns: int) -> dt.datetime:
    """Return the time of day of a host that booted in 2026."""
    return dt.datetime.fromtimestamp(1_770_000_000 + boot_ns / SECOND, dt.UTC)


def options(grouping: Grouping = USUAL, **others: Any) -> Options:  # noqa: ANN401 - any option
    """Return options that have everything but what is given."""
    usual: dict[str, Any] = {
        "version": "0.1.0",
        "kernel": "6.12.0",
        "attach": "fentry",
        "wall": wall,
    }
    return Options(grouping=grouping, **(usual | others))


def edges(*seconds: float) -> dict[Sample, Edges]:
    """Return the same edges for both of the usual histograms."""
    return dict.fromkeys(USUAL_HISTOGRAMS, edges_for(seconds))


def key(remote: str, netns: int = HOST, service: int = 443, role: Role = Role.CLIENT) -> GroupKey:
    """Return the key of a group of the usual grouping."""
    return GroupKey(
        raddr=ip_network(remote), netns=netns, service=service, role=role, scope=Scope.PRIVATE
    )


def total(counts: Mapping[str, int] = NOTHING, rtts_us: Sequence[int] = ()) -> VitalsTotal:
    """Return a sum of groups, whose samples of all kinds are the same."""
    return VitalsTotal(dict.fromkeys(USUAL_HISTOGRAMS, distribution(rtts_us)), totals(counts), 0)


def table(groups: Mapping[int, Group], live: int = 1) -> VitalsTable:
    """Return the counters of groups by identity; each has so many open connections."""
    samples = counters({one: rtts for one, (_, _, rtts) in groups.items()})
    return VitalsTable(
        samples.ids,
        dict.fromkeys(USUAL_HISTOGRAMS, samples),
        totals_table({one: counts for one, (_, counts, _) in groups.items()}),
        np.full(len(groups), live, np.uint64),
    )


def flows(
    segments: Mapping[int, tuple[GroupKey, int]], other: int = 0, retired: int = 0
) -> FlowsSnapshot:
    """Return flows by identity, with their segments."""
    ids = np.array(list(segments), np.uint64)
    counts = np.array([count for _, count in segments.values()], np.uint64)
    keys = tuple(each for each, _ in segments.values())
    return FlowsSnapshot(keys, FlowsTable(ids, counts), other, retired, limit=1024)


def flow(number: int, port: int = 443) -> GroupKey:
    """Return the two ends of a flow."""
    return GroupKey(
        laddr=ip_address("10.0.0.1"), lport=0, raddr=ip_address(0x0A010000 + number), rport=port
    )


def snapshot(groups: Mapping[int, Group], **others: Any) -> VitalsSnapshot:  # noqa: ANN401
    """Return a snapshot of groups by identity; everything else is empty unless it is given."""
    empty = VitalsSnapshot(
        start_ns=5 * SECOND,
        taken_ns=65 * SECOND,
        keys=tuple(each for each, _, _ in groups.values()),
        table=table(groups),
        other=total(),
        retired=total(),
        groups_limit=500,
        flows=None,
        namespaces=(),
        kernel={},
        losses={"recursion": 0},
        programs=(),
        names=Names(),
        host_netns=HOST,
        shows_errors=True,
        took_s=0.003,
    )
    return replace(empty, **others)


SENT: Final = {
    "segments_sent": 2_000_000,
    "bytes_sent": 3_000_000_000,
    "segments_retransmitted": 100,
    "bytes_retransmitted": 140_000,
    "rto": 30,
    "fast": 50,
    "tlp": 10,
    "syn": 5,
    "segments_failed": 3,
    "segments_unnecessary": 2,
    "segments_control": 5,
    "connections_opened": 20,
    "connections_closed": 12,
    "connections_failed": 1,
}
SMALL: Final[dict[int, Group]] = {
    1 << 32: (key("10.1.2.0/24"), SENT, [50, 900, 900, 30_000]),
    2 << 32: (key("2001:db8::/48", 4026532000, 80, Role.SERVER), {"segments_sent": 7}, []),
}


def full() -> VitalsSnapshot:
    """Return a snapshot in which there is something of everything."""
    counter = "TcpRetransSegs"
    compared = Comparison("RetransSegs", 100, 101, -1, None, "unexplained")
    return snapshot(
        SMALL,
        other=total({"segments_sent": 3}, [70]),
        retired=total({"segments_sent": 4}, [20_000_000]),
        flows=flows({1: (flow(1), 60), 2: (flow(2), 30)}, other=7, retired=3),
        namespaces=(NamespaceReport(HOST, (compared,)), NamespaceReport(4026532000, ())),
        kernel={
            Netns(HOST, 1): {counter: 1101, "TcpInSegs": 9},
            Netns(4026532000, 2): {counter: 0},
        },
        losses={"recursion": 4, "events": 0},
        programs=(ProgramRuns("count_rtt", 1000, 250_000, 4), ProgramRuns("settle", 0, 0, 0)),
        names=Names({HOST: "host", 4026532000: "blue"}, {77: "/system.slice/nginx.service"}),
    )


def shown(exposition: Exposition, accept: str = CLASSIC) -> str:
    """Return what a scraper gets."""
    return exposition.render(accept, gzip=False)[1].decode()


def families(text: str) -> list[Metric]:
    """Return what the official parser makes of it, of either format."""
    parse = parse_openmetrics if text.endswith("# EOF\n") else parse_classic
    return list(parse(text))


def series(text: str) -> dict[Series, float]:
    """Return all series with their values; that none is there twice is checked."""
    found: dict[Series, float] = {}
    for metric in families(text):
        for sample in metric.samples:
            name = (sample.name, frozenset(sample.labels.items()))
            assert name not in found
            found[name] = sample.value
    return found


def summed(text: str, name: str) -> float:
    """Return the sum over all series of a name."""
    return sum(value for (each, _), value in series(text).items() if each == name)


def many(groups: int, grown: int = 0) -> VitalsSnapshot:
    """Return groups that are all busy, each with 24,000 samples of all magnitudes."""
    rng = np.random.default_rng(1)
    one = next(iter(SMALL.values()))
    small = snapshot(dict.fromkeys(range(1), one))
    ids = np.arange(1, groups + 1, dtype=np.uint64) << np.uint64(32)
    buckets = rng.integers(0, 128, (groups, 384), np.uint64) + np.uint64(grown)
    sums = buckets.sum(axis=1, dtype=np.uint64)
    histogram = replace(
        small.table.histograms[USUAL_HISTOGRAMS[0]],
        ids=ids,
        buckets=buckets,
        sum_us=sums,
        min_us=sums,
        max_us=sums,
    )
    values = rng.integers(0, 10**9, (groups, small.table.totals.values.shape[1]), np.uint64)
    keys = tuple(
        key(f"10.{number >> 8}.{number & 255}.0/24", HOST + number % 3) for number in range(groups)
    )
    return replace(
        small,
        keys=keys,
        table=VitalsTable(
            ids,
            dict.fromkeys(USUAL_HISTOGRAMS, histogram),
            replace(small.table.totals, ids=ids, values=values + np.uint64(grown)),
            np.ones(groups, np.uint64),
        ),
    )
