"""docs/metrics.md lists what is exposed: every metric, its type, its labels, and nothing else."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_madeup import CLASSIC, OPENMETRICS, families, full, options, series, shown
from promtool import promtool

from tcpvitals.model.key import Field, Grouping, GroupKey
from tcpvitals.model.measurement import HISTOGRAMS
from tcpvitals.sinks.prometheus import Exposition
from tcpvitals.sinks.prometheus.edges import edges_for
from tcpvitals.sinks.prometheus.group_families import histogram
from tcpvitals.sinks.prometheus.kernel import SHOWN
from tcpvitals.sinks.prometheus.labels import LABELS

if TYPE_CHECKING:
    from prometheus_client.core import Metric

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "metrics.md").read_text()
DEPLOYING = (DOCS / "deploying.md").read_text()
ENDINGS = {"counter": "_total", "info": "_info"}
GROUP = {LABELS[Field(name)] for name in ("scope", "role", "service", "raddr", "netns")}


def exposed(by: str) -> str:
    """Return an exposition in which there is something of everything."""
    snapshot = full()
    if "cgroup" in by:
        snapshot = replace(snapshot, keys=tuple(GroupKey(cgroup=77) for _ in snapshot.keys))
    exposition = Exposition(options(Grouping.parse(by)))
    exposition.show(snapshot)
    exposition.render(CLASSIC, gzip=False)
    exposition.show(replace(snapshot, took_s=1.0))
    return shown(exposition, OPENMETRICS)


def described(metric: Metric) -> tuple[str, str, frozenset[str]]:
    """Return a family's name, type, and labels, with "group" for those of groups."""
    labels = {name for sample in metric.samples for name in sample.labels} - {"le"}
    if labels >= GROUP:
        labels = (labels - GROUP) | {"group"}
    return metric.name + ENDINGS.get(metric.type, ""), metric.type, frozenset(labels)


def documented() -> set[tuple[str, str, frozenset[str]]]:
    """Return what the tables say."""
    text = TEXT.replace("| |", "|  |")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| .+ \|$", text, re.MULTILINE)
    return {
        (name, kind, frozenset(re.findall(r"[`*](\w+)[`*]", labels))) for name, kind, labels in rows
    }


def test_every_metric_is_documented_as_it_is_and_no_other() -> None:
    usual = {
        described(metric) for metric in families(exposed("scope,role,service,raddr/24/48,netns"))
    }
    by_cgroup = {described(metric) for metric in families(exposed("cgroup"))}

    names = {one for one in by_cgroup if one[0] == "tcpvitals_cgroup_info"}
    assert len(names) == 1
    asked = {
        (histogram(one, edges_for((1,))).name, "histogram", frozenset({"group"}))
        for one in HISTOGRAMS
    }
    assert documented() == usual | names | asked


def test_every_label_of_groups_is_documented() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| .+ \|$", TEXT, re.MULTILINE)

    assert dict(rows) == {field.value: label for field, label in LABELS.items()}


def test_every_counter_of_the_kernel_and_every_cause_is_documented() -> None:
    causes = {dict(pairs).get("cause") for _, pairs in series(exposed("netns"))} - {None}

    assert len(causes) == 9
    assert all(f"`{name}`" in TEXT for name in (*SHOWN, *causes))


def test_a_group_has_as_many_series_as_is_documented() -> None:
    key = full().keys[0]
    pairs = [dict(pairs) for _, pairs in series(exposed("scope,role,service,raddr/24/48,netns"))]

    of_one = sum(labels.get("remote") == str(key.raddr) for labels in pairs)

    assert of_one == 19 + 20 + 33
    assert "202 x 72 = 14,544" in TEXT
    assert 202 * of_one == 14_544
    assert "A group has 72 series" in DEPLOYING


def test_every_query_is_one(tmp_path: Path) -> None:
    queries = re.findall(r"```promql\n(.*?)```", TEXT, re.DOTALL)
    rules = tmp_path / "rules.yml"
    lines = ["groups:", "- name: docs", "  rules:"]
    for number, query in enumerate(queries):
        lines += [
            f"  - record: q{number}",
            "    expr: |",
            *(f"      {one}" for one in query.splitlines()),
        ]
    rules.write_text("\n".join(lines) + "\n")

    done = subprocess.run(
        [promtool(), "check", "rules", rules], capture_output=True, text=True, check=False
    )

    assert len(queries) >= 10
    assert done.returncode == 0, done.stderr


def test_every_query_asks_for_what_there_is() -> None:
    text = "".join(re.findall(r"```promql\n(.*?)```", TEXT, re.DOTALL))
    asked = set(re.findall(r"\b(?:tcpvitals|tcp_retr)\w+", text))

    names = {name for name, _ in series(exposed("scope,role,service,raddr/24/48,netns"))}
    assert asked
    assert asked <= names | {"tcpvitals"}
