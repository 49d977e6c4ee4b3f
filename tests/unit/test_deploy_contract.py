"""What queries in deploy/ may use: the metrics and labels that are exposed, and recorded series.

The other tests of deploy/ take their helpers from here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tcpvitals.model.measurement import HISTOGRAMS
from tcpvitals.sinks.prometheus import flows, group_families, kernel, names, own
from tcpvitals.sinks.prometheus.edges import usual_edges
from tcpvitals.sinks.prometheus.labels import LABELS
from tcpvitals.sinks.prometheus.table import Family

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
GROUP_LABELS = frozenset(LABELS.values())
# What Prometheus adds to everything it scrapes.
TARGET_LABELS = frozenset({"instance", "job"})
_OF_KERNEL = frozenset({"netns", "counter"})
_OF_FLOWS = frozenset({"ip_version", "src_ip", "src_port", "dst_ip", "dst_port"})
_KEYWORDS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan"})
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")
_CLAUSE = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")


def _families() -> Iterator[Family]:
    yield from _histograms()
    for module in (group_families, own, kernel, names, flows):
        yield from _constants(module)


def _histograms() -> Iterator[Family]:
    edges = usual_edges(HISTOGRAMS)
    yield from (group_families.histogram(sample, edges[sample]) for sample in HISTOGRAMS)


def _constants(module: ModuleType) -> Iterator[Family]:
    for value in vars(module).values():
        several = value if isinstance(value, dict) else [value]
        yield from (one for one in several if isinstance(one, Family))


def _labels(family: Family, module_labels: frozenset[str]) -> frozenset[str]:
    return module_labels | {line.extra for line in family.each() if line.extra}


def exposed() -> dict[str, frozenset[str]]:
    """Return the labels of every metric that the exporter exposes."""
    grouped = {one.name for one in (*_constants(group_families), *_histograms())}
    fixed = {one.name: _OF_KERNEL for one in _constants(kernel)}
    fixed |= {names.NETNS.name: frozenset({"netns", "name"})}
    fixed |= {flows.SEGMENTS.name: _OF_FLOWS, own.LOST.name: frozenset({"stage"})}
    fixed |= {f"tcpvitals_bpf_{what}": frozenset({"program"}) for what in _BPF}
    found: dict[str, frozenset[str]] = {}
    for family in _families():
        of_all = GROUP_LABELS if family.name in grouped else fixed.get(family.name, frozenset())
        labels = _labels(family, of_all)
        found |= {family.name + line.suffix: labels for line in family.each()}
    # Those of prometheus_client's ProcessCollector that are used.
    process = ("process_cpu_seconds_total", "process_resident_memory_bytes")
    return found | dict.fromkeys(process, frozenset())


_BPF = ("runs", "run_seconds", "skipped_runs")


def rules(file: str) -> list[dict[str, Any]]:
    """Return the rules of all groups of a file in deploy/prometheus."""
    groups = yaml.safe_load((DEPLOY / "prometheus" / file).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def recorded() -> set[str]:
    """Return the names of all series that are recorded."""
    return {rule["record"] for rule in rules("recording.rules.yml")}


@dataclass(frozen=True, slots=True)
class Query:
    """What a PromQL expression names: metrics, the labels it matches of each, and of any."""

    metrics: frozenset[str]
    matched: tuple[tuple[str, frozenset[str]], ...]
    labels: frozenset[str]


def parsed(expression: str) -> Query:
    """Take a PromQL expression apart, as far as names go; promtool checks the rest."""
    text = _STRING.sub('""', re.sub(r"(?m)#.*$", "", expression))
    matched = [
        (name, frozenset(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)))
        for name, matchers in _SELECTOR.findall(text)
    ]
    clauses = [label for found in _CLAUSE.findall(text) for label in re.findall(r"\w+", found)]
    rest = re.sub(r"\[[^\]]*\]", "", re.sub(r"\{[^}]*\}", "", _CLAUSE.sub("", text)))
    words = re.findall(r"(?<![\w.:])[a-zA-Z_:][\w:]*(?!\s*\(|[\w:])", rest)
    metrics = frozenset(words) - _KEYWORDS - {"by", "without", "on", "ignoring"}
    return Query(metrics, tuple(matched), frozenset(clauses))


def unknown(expression: str) -> set[str]:
    """Return what an expression names and nothing has: metrics, and labels of metrics."""
    query, metrics = parsed(expression), exposed()
    of_prometheus = {"up", "ALERTS"}
    bad = set(query.metrics) - metrics.keys() - recorded() - of_prometheus
    every_label = frozenset().union(*metrics.values()) | TARGET_LABELS
    bad |= query.labels - every_label
    for metric, labels in query.matched:
        of_metric = metrics.get(metric, every_label | {"alertname", "alertstate"})
        bad |= {f"{metric}: {label}" for label in labels - of_metric - TARGET_LABELS}
    return bad


def test_the_metrics_that_everything_is_about_are_found_in_the_exposition() -> None:
    metrics = exposed()
    assert metrics["tcpvitals_rtt_seconds_bucket"] == {*GROUP_LABELS, "le"}
    assert metrics["tcpvitals_retransmitted_segments_total"] == {*GROUP_LABELS, "cause"}
    assert metrics["tcp_retransmissions_total"] == _OF_FLOWS
    assert metrics["tcpvitals_lost_total"] == {"stage"}
    assert metrics["tcpvitals_groups"] == frozenset()
    assert len(metrics) > 35


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("sum by (le) (rate(tcpvitals_rtt_seconds_bucket[5m]))", set()),
        ('tcpvitals_lost_total{stage="x", instance=~"a.+"} > 0', set()),
        ("time() - tcpvitals_refresh_timestamp_seconds > 60", set()),
        ("rate(tcpvitals_rtt_bucket[5m])", {"tcpvitals_rtt_bucket"}),
        ('tcpvitals_lost_total{cause="x"}', {"tcpvitals_lost_total: cause"}),
        ("sum by (remotes) (tcpvitals_connections)", {"remotes"}),
        ("a:b:c / ignoring (le) tcpvitals_groups", {"a:b:c"}),
    ],
)
def test_a_name_that_nothing_has_is_found_in_a_query(expression: str, expected: set[str]) -> None:
    assert unknown(expression) == expected
