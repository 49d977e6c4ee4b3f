"""deploy/systemd: as few powers as it takes, and a configuration that says what is so anyway."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from test_deploy_contract import DEPLOY

from tcpvitals import errors
from tcpvitals.commands.serve_options import ServeOptions, parse

if TYPE_CHECKING:
    from pathlib import Path

UNIT = DEPLOY / "systemd/tcpvitals.service"
CONFIGURATION = DEPLOY / "systemd/config.toml"
MOST_EXPOSURE = 2.0


def setting(name: str) -> list[str]:
    """Return all values of a setting, in order."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


def options(*arguments: str) -> ServeOptions:
    """Read a command line of `tcpvitals serve`."""
    return parse(argparse.ArgumentParser(), arguments)


def test_the_unit_is_exposed_no_more_than_it_must_be() -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze here")
    analyse = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT)]
    done = subprocess.run(analyse, capture_output=True, text=True, check=True)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None
    assert float(found[1]) <= MOST_EXPOSURE


def test_the_unit_has_two_capabilities_and_a_user_of_its_own() -> None:
    assert setting("CapabilityBoundingSet") == ["CAP_BPF CAP_PERFMON"]
    assert setting("AmbientCapabilities") == ["CAP_BPF CAP_PERFMON"]
    assert setting("DynamicUser") == ["yes"]
    assert setting("NoNewPrivileges") == ["yes"]


def test_the_unit_can_see_what_it_has_to_read() -> None:
    for hiding in ("ProtectProc", "ProcSubset", "PrivateNetwork", "PrivateUsers"):
        assert setting(hiding) == []


def test_the_unit_does_not_start_again_after_what_does_not_get_better() -> None:
    (statuses,) = setting("RestartPreventExitStatus")
    codes = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.TcpvitalsError)
    }
    assert {int(status) for status in statuses.split()} < codes


def test_the_unit_starts_what_the_configuration_is_for() -> None:
    (start,) = setting("ExecStart")
    assert start == "/usr/local/bin/tcpvitals serve --config /etc/tcpvitals/config.toml"
    assert setting("ConfigurationDirectory") == ["tcpvitals"]


def test_the_configuration_says_what_is_so_without_it() -> None:
    said = options("--config", str(CONFIGURATION))
    assert said == replace(options(), config=str(CONFIGURATION), quiet=True)


def test_the_examples_in_the_configuration_are_right(tmp_path: Path) -> None:
    examples = re.findall(r"^# ([a-z-]+ = .+)$", CONFIGURATION.read_text(), re.MULTILINE)
    file = tmp_path / "config.toml"
    file.write_text("\n".join(examples))
    said = options("--config", str(file))
    assert str(said.listen) == "0.0.0.0:2112"
    assert said.web_config_file == "/run/credentials/tcpvitals.service/web.yml"
