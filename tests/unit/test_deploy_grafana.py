"""deploy/grafana: the dashboard asks for what there is, in PromQL, on a grid without overlaps."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from promtool import promtool
from test_deploy_contract import DEPLOY, GROUP_LABELS, exposed, parsed, rules, unknown

if TYPE_CHECKING:
    from pathlib import Path

DASHBOARD = json.loads((DEPLOY / "grafana/tcpvitals.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
VARIABLES = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
GROUPED = {name for name, labels in exposed().items() if labels >= GROUP_LABELS}
COLUMNS = 24
P99 = "service:tcpvitals_network_rtt_seconds"
ALL = rules("recording.rules.yml")
# The row below which panels are of tcpvitals itself.
(TRUST,) = [one["gridPos"]["y"] for one in PANELS if one["title"].startswith("Can these figures")]


def filled_in(text: str) -> str:
    """Put something in place of the variables, as Grafana does."""
    text = text.replace("$__rate_interval", "5m")
    text = text.replace("${counted:raw}", VARIABLES["counted"]["query"])
    return re.sub(r"\$\{?\w+\}?", "x", text)


def expressions() -> list[str]:
    """Return all queries: of panels, of variables, of annotations."""
    found = [target["expr"] for panel in PANELS for target in panel.get("targets", [])]
    found += [one["expr"] for one in DASHBOARD["annotations"]["list"]]
    values = [one["definition"] for one in VARIABLES.values() if one["type"] == "query"]
    return found + [re.sub(r"label_values\((.+), \w+\)$", r"\1", value) for value in values]


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    """Return the cells of the grid that a panel covers."""
    at = panel["gridPos"]
    return {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}


def test_there_is_a_query_for_everything_the_exporter_is_about() -> None:
    asked = frozenset().union(*(parsed(filled_in(one)).metrics for one in expressions()))
    assert len(expressions()) > 25
    assert asked >= {
        "tcpvitals_rtt_seconds_bucket",
        "tcpvitals_network_rtt_seconds_bucket",
        "tcpvitals_retransmitted_segments_total",
        "flow:tcp_retransmissions:rate2m",
        "tcpvitals_connections",
        "tcpvitals_kernel_unexplained_differences",
        "tcpvitals_lost_total",
        "process_cpu_seconds_total",
    }


@pytest.mark.parametrize("expression", expressions())
def test_a_query_uses_only_what_is_exposed_or_recorded(expression: str) -> None:
    assert unknown(filled_in(expression)) == set()


def test_every_query_is_promql(tmp_path: Path) -> None:
    rules = [
        {"record": f"test:query:{number}", "expr": filled_in(one)}
        for number, one in enumerate(expressions())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    check = [promtool(), "check", "rules", "--lint=none", str(file)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def test_no_panel_takes_in_what_retired() -> None:
    for panel in PANELS:
        for target in panel.get("targets", []):
            grouped = [name for name, _ in parsed(filled_in(target["expr"])).matched]
            times = sum(name in GROUPED for name in grouped)
            assert target["expr"].count("${counted:raw}") == times
    labels = set(re.findall(r'(\w+)!="retired"', VARIABLES["counted"]["query"]))
    assert labels == GROUP_LABELS


def panel(title: str) -> dict[str, Any]:
    """Return the panel whose title begins like this."""
    (found,) = [one for one in PANELS if one["title"].startswith(title)]
    return found


@pytest.mark.parametrize(
    ("variable", "label"), [("service_port", "service_port"), ("remote", "remote")]
)
def test_a_list_to_choose_from_has_no_sums_of_groups(variable: str, label: str) -> None:
    for text in (VARIABLES[variable]["definition"], VARIABLES[variable]["query"]["query"]):
        assert f'{label}!~"other|retired"}}, {label})' in text


@pytest.mark.parametrize("one", [one for one in PANELS if one["gridPos"]["y"] < TRUST])
def test_every_panel_of_the_network_obeys_the_filters(one: dict[str, Any]) -> None:
    for target in one.get("targets", []):
        text = target["expr"].replace("${counted:raw}", "")
        for metric, matchers in re.findall(r"([\w:]+)\{([^}]*)\}", text):
            if metric == "tcpvitals_kernel_unexplained_differences":
                continue
            assert 'instance=~"$instance"' in matchers
            assert re.search(r'(service|src|dst)_port=~"\$service_port"', matchers)
            assert 'remote=~"$remote"' in matchers or metric.startswith(P99)
            # Of recorded series only flows still have loopback.
            assert 'scope!~"$without"' in matchers or metric.startswith(("service:", "dest"))


def test_loopback_is_left_out_until_it_is_asked_for_and_the_headlines_say_so() -> None:
    chosen = VARIABLES["without"]["current"]
    assert (chosen["text"], chosen["value"]) == ("left out", "loopback")
    headlines = [one for one in PANELS if one["type"] == "stat"][:3]
    assert all(one["title"].endswith("loopback ${without:text}") for one in headlines)
    recorded = [one for one in PANELS if one["id"] in (6, 14, 27)]
    assert all(one["description"].startswith("Without loopback") for one in recorded)


def test_namespaces_are_shown_by_name() -> None:
    legends = [t.get("legendFormat", "") for one in PANELS for t in one.get("targets", [])]
    assert not any("{{netns}}" in one for one in legends)
    (target,) = panel("Ours less the kernel's")["targets"]
    assert "{{name}}" in target["legendFormat"]
    assert "group_left (name)" in target["expr"]


def test_a_panel_shows_what_is_usual_beside_what_is() -> None:
    asked = {
        name
        for target in panel("p99 network round trip by service")["targets"]
        for name in parsed(filled_in(target["expr"])).metrics
    }
    levels = {rule["record"] for rule in ALL} & asked
    assert levels == asked == {f"{P99}:p99_5m", f"{P99}:p99_baseline"}


def test_every_variable_that_is_used_is_there() -> None:
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD))) - {"__rate_interval", "__all"}
    assert used == set(VARIABLES)


def test_panels_have_numbers_of_their_own_and_overlap_nowhere() -> None:
    numbers = [panel["id"] for panel in PANELS]
    assert sorted(numbers) == sorted(set(numbers))
    for one, other in itertools.combinations(PANELS, 2):
        assert cells(one).isdisjoint(cells(other)), (one["title"], other["title"])
    assert max(x for panel in PANELS for x, _ in cells(panel)) < COLUMNS


def test_round_trips_are_a_heat_map_of_exact_buckets() -> None:
    (panel,) = [panel for panel in PANELS if panel["type"] == "heatmap"]
    (target,) = panel["targets"]
    assert target["format"] == "heatmap"
    assert panel["options"]["calculate"] is False
    assert "sum by (le) (increase(tcpvitals_network_rtt_seconds_bucket" in target["expr"]


def test_the_ratio_by_destination_has_a_line_at_two_percent() -> None:
    (panel,) = [panel for panel in PANELS if "ratio by destination" in panel["title"]]
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [step["value"] for step in steps] == [None, 0.02]


def test_every_panel_that_asks_does_so_of_the_chosen_data_source() -> None:
    asking = [panel for panel in PANELS if panel["type"] != "row"]
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert all(panel["datasource"] == chosen for panel in asking)
    assert all(target["datasource"] == chosen for one in asking for target in one["targets"])
