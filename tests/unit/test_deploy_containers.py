"""deploy/ for containers, clusters and virtual machines: everything parses, and agrees."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from test_deploy_contract import DEPLOY, ROOT

from tcpvitals.commands.serve_options import parse

if TYPE_CHECKING:
    from pathlib import Path

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
IMAGE = f"tcpvitals:{VERSION}"
PORT = parse(argparse.ArgumentParser(), []).listen.port
CAPABILITIES = ["BPF", "PERFMON"]
YAML = sorted(path for end in ("yml", "yaml") for path in DEPLOY.rglob(f"*.{end}"))
SCRIPTS = [ROOT / "scripts/fetch-prometheus"]


def service(name: str) -> dict[str, Any]:
    """Return a service of the compose file."""
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yml").read_text())["services"][name]
    return found


def pod() -> dict[str, Any]:
    """Return the specification of the DaemonSet's pods."""
    documents = yaml.safe_load_all((DEPLOY / "kubernetes/daemonset.yaml").read_text())
    (daemonset,) = [one for one in documents if one["kind"] == "DaemonSet"]
    found: dict[str, Any] = daemonset["spec"]["template"]["spec"]
    return found


def container() -> dict[str, Any]:
    """Return the DaemonSet's only container."""
    (found,) = pod()["containers"]
    assert isinstance(found, dict)
    return found


def arguments(*given: str) -> Any:  # noqa: ANN401 - options of any kind
    """Read what a container is started with."""
    assert given[0] == "serve"
    return parse(argparse.ArgumentParser(), given[1:])


@pytest.mark.parametrize("file", YAML, ids=lambda file: str(file.relative_to(DEPLOY)))
def test_yaml_parses(file: Path) -> None:
    assert [*yaml.safe_load_all(file.read_text())]


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: str(file.name))
def test_a_script_is_one(file: Path) -> None:
    subprocess.run(["sh", "-n", file], check=True)
    assert os.access(file, os.X_OK)


def test_the_pods_have_exactly_two_capabilities_and_no_way_to_more() -> None:
    security = container()["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"], "add": CAPABILITIES}
    assert security["privileged"] is False
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert "securityContext" not in pod()


def test_the_pods_see_the_node() -> None:
    assert pod()["hostNetwork"] is True
    assert pod()["hostPID"] is True


def test_the_pods_listen_on_the_node_and_want_a_password() -> None:
    words = [word.replace("$(NODE_IP)", "192.0.2.1") for word in container()["args"]]
    asked = arguments(*words)
    assert str(asked.listen) == f"192.0.2.1:{PORT}"
    assert asked.insecure_listen is False
    (mount,) = [one for one in container()["volumeMounts"] if one["name"] == "web"]
    assert asked.web_config_file == f"{mount['mountPath']}/web.yml"
    (volume,) = [one for one in pod()["volumes"] if one["name"] == "web"]
    assert volume["secret"]["secretName"] == "tcpvitals-web"


def test_the_container_has_exactly_two_capabilities_and_sees_the_host() -> None:
    exporter = service("tcpvitals")
    assert exporter["cap_drop"] == ["ALL"]
    assert exporter["cap_add"] == CAPABILITIES
    assert exporter["security_opt"] == ["no-new-privileges:true"]
    assert exporter["read_only"] is True
    assert (exporter["pid"], exporter["network_mode"], exporter["cgroup"]) == ("host",) * 3


def test_images_are_pinned_and_agree() -> None:
    assert service("tcpvitals")["image"] == container()["image"] == IMAGE
    for name in ("prometheus", "grafana"):
        assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", service(name)["image"])
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert f'image.version="{VERSION}"' in dockerfile
    assert f"-t {IMAGE} ." in dockerfile


def test_ports_are_those_of_the_exporter() -> None:
    (port,) = container()["ports"]
    assert port["containerPort"] == port["hostPort"] == PORT
    assert f"EXPOSE {PORT}\n" in (DEPLOY / "Dockerfile").read_text()
    (health,) = [one for one in container()["env"] if one["name"] == "TCPVITALS_HEALTHZ"]
    assert health["value"] == f"http://$(NODE_IP):{PORT}/healthz"
    forwards = yaml.safe_load((DEPLOY / "lima/tcpvitals.yaml").read_text())["portForwards"]
    assert [one["guestPort"] for one in forwards] == [PORT, 9090, 3000]
    assert all(one["guestPort"] == one["hostPort"] for one in forwards)


def test_prometheus_and_grafana_find_what_they_are_given() -> None:
    for name in ("prometheus", "grafana"):
        for volume in service(name)["volumes"]:
            source = volume.split(":")[0]
            assert not source.startswith(".") or (DEPLOY / source).exists()
    provider = yaml.safe_load(
        (DEPLOY / "grafana/provisioning/dashboards/tcpvitals.yml").read_text()
    )
    folder = provider["providers"][0]["options"]["path"]
    assert any(f":{folder}/tcpvitals.json:ro" in one for one in service("grafana")["volumes"])
    sources = yaml.safe_load(
        (DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text()
    )
    address = sources["datasources"][0]["url"].removeprefix("http://")
    assert f"--web.listen-address={address}" in service("prometheus")["command"]


def test_everything_that_compose_starts_listens_on_loopback_only() -> None:
    assert service("grafana")["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    assert "command" not in service("tcpvitals")
    assert not any("ports" in service(name) for name in ("tcpvitals", "prometheus", "grafana"))


def test_the_image_is_built_of_what_its_context_has() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    copied = re.findall(
        r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE
    )
    assert {word for words in copied for word in words.split()} == allowed
    assert all((ROOT / path).exists() for path in allowed)


def test_the_script_that_fetches_prometheus_leaves_what_is_there(tmp_path: Path) -> None:
    for name in ("prometheus", "promtool"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        [SCRIPTS[0], tmp_path], capture_output=True, text=True, check=True, timeout=10
    )
    assert done.stdout == f"{tmp_path}\n"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["prometheus", "promtool"]


def test_the_script_that_fetches_prometheus_says_what_to_do_where_there_is_no_apt(
    tmp_path: Path,
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "mkdir", "cat"):
        (tools / name).symlink_to(f"/bin/{name}")
    done = subprocess.run(
        [SCRIPTS[0], tmp_path / "cache"],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"no apt here; put prometheus and promtool into {tmp_path / 'cache'}" in done.stderr
