"""deploy/prometheus: promtool accepts it, alerts fire when they must, and say what to read."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
import yaml
from promtool import promtool
from test_deploy_contract import DEPLOY, GROUP_LABELS, ROOT, exposed, parsed, rules, unknown

PROMETHEUS = DEPLOY / "prometheus"
TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
ALERTS = rules("alerts.rules.yml")
ALL = [*rules("recording.rules.yml"), *ALERTS]
# A counter with these labels jumps when a group is retired.
GROUPED = {name for name, labels in exposed().items() if labels >= GROUP_LABELS}


def run(*arguments: str) -> None:
    """Run promtool, and fail with what it says."""
    done = subprocess.run(
        [promtool(), *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def slugs(markdown: str) -> set[str]:
    """Return the anchors of all headings, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


def expectations() -> dict[str, list[bool]]:
    """Return, for every alert, at which of its tests it is to fire."""
    found: dict[str, list[bool]] = {rule["alert"]: [] for rule in ALERTS}
    for file in TESTS:
        for test in yaml.safe_load(file.read_text())["tests"]:
            for one in test.get("alert_rule_test", []):
                found[one["alertname"]].append(bool(one["exp_alerts"]))
    return found


def test_promtool_accepts_the_configuration_and_the_rules_it_names() -> None:
    run("check", "config", "prometheus.yml")
    run("check", "rules", "recording.rules.yml", "alerts.rules.yml")


@pytest.mark.parametrize("file", TESTS, ids=lambda file: str(file.stem))
def test_alerts_fire_when_they_must_and_are_silent_when_they_must_not(file: Any) -> None:  # noqa: ANN401 - a Path, which parametrize hides from ids
    run("test", "rules", str(file))


def test_every_alert_is_shown_to_fire_and_to_be_silent() -> None:
    assert {name for name, fires in expectations().items() if set(fires) != {True, False}} == set()


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: str(rule.get("alert", rule.get("record"))))
def test_rules_use_only_what_is_exposed_or_recorded(rule: dict[str, Any]) -> None:
    assert unknown(rule["expr"]) == set()


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: str(rule.get("alert", rule.get("record"))))
def test_no_rate_takes_in_what_retired_whatever_the_grouping(rule: dict[str, Any]) -> None:
    query = parsed(rule["expr"])
    assert query.metrics & GROUPED == {name for name, _ in query.matched} & GROUPED
    for name, labels in query.matched:
        assert name not in GROUPED or labels >= GROUP_LABELS
    assert rule["expr"].count('!="retired"') == sum(
        len(GROUP_LABELS) if name in GROUPED else "src_ip" in labels
        for name, labels in query.matched
    )


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_what_is_wrong_how_bad_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert {"summary", "description", "runbook_url"} == rule["annotations"].keys()
    file, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert anchor in slugs((ROOT / file).read_text())


def test_the_two_jobs_share_one_target_and_no_series() -> None:
    configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    assert configuration["global"]["scrape_interval"] == "15s"
    first, second = configuration["scrape_configs"]
    assert (first["job_name"], second["job_name"]) == ("TCPRetrans", "tcpvitals")
    assert first["static_configs"] == second["static_configs"] == [{"targets": ["127.0.0.1:2112"]}]
    (keep,), (drop,) = first["metric_relabel_configs"], second["metric_relabel_configs"]
    assert keep == {**drop, "action": "keep"}
    assert drop["regex"] == "tcp_retransmissions_total"
