"""Containers and pods by the paths that engines make."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpvitals.model.cgroup import container_of, pod_of

ID = "0123456789abcdef" * 4
INNER = "fedcba9876543210" * 4
UID = "12345678-90ab-cdef-1234-567890abcdef"
SLICE_UID = UID.replace("-", "_")
STATIC = "d2ab1a5c0b4b1f7f2d7a2cd0f5f2a6c1"

BURSTABLE = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SLICE_UID}.slice"
IN_KIND = "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice"


@pytest.mark.parametrize(
    "path",
    [
        f"/system.slice/docker-{ID}.scope",
        f"/docker/{ID}",
        f"/docker/{ID}/init.scope",
        f"{BURSTABLE}/cri-containerd-{ID}.scope",
        f"{BURSTABLE}/docker-{ID}.scope",
        f"{BURSTABLE}/crio-{ID}.scope",
        f"{BURSTABLE}/crio-{ID}.scope/container",
        f"/kubepods/burstable/pod{UID}/{ID}",
        f"/kubepods/pod{UID}/{ID}/nested",
        f"/kubepods/pod{UID}/crio-{ID}",
        f"/system.slice/containerd.service/kubepods-pod{SLICE_UID}.slice:cri-containerd:{ID}",
        f"/system.slice/nerdctl-{ID}.scope",
        f"/machine.slice/libpod-{ID}.scope/container",
        f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope",
        f"/libpod_parent/libpod-{ID}",
        f"/system.slice/web.service/libpod-payload-{ID}",
        f"/docker/{INNER}/kubelet/kubepods/besteffort/pod{UID}/{ID}",
        f"/system.slice/docker-{INNER}.scope{IN_KIND}/cri-containerd-{ID}.scope",
    ],
)
def test_a_container_is_found_however_its_engine_names_the_cgroup(path: str) -> None:
    """Inside another one, the inner one is found."""
    expected = ID

    assert expected == container_of(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "12345",
        "/system.slice/docker.service",
        "/user.slice/user-1000.slice/session-3.scope",
        f"/build/{ID}",
        f"/docker/{ID}0",
        f"/docker/{ID[1:]}",
        f"/docker/{ID.upper()}",
        f"/docker/{ID}\n",
        f"/system.slice/docker-{ID}.service",
        f"/machine.slice/libpod-conmon-{ID}.scope",
        f"{BURSTABLE}/crio-conmon-{ID}.scope",
        f"{BURSTABLE}",
    ],
)
def test_no_container_is_made_up(path: str) -> None:
    """Neither of a process that only watches one, nor of names that look like an id."""
    assert container_of(path) is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{BURSTABLE}/cri-containerd-{ID}.scope", UID),
        (BURSTABLE, UID),
        (f"/kubepods.slice/kubepods-pod{SLICE_UID}.slice/crio-{ID}.scope", UID),
        (
            f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{STATIC}.slice",
            STATIC,
        ),
        (f"/kubepods/burstable/pod{UID}/{ID}", UID),
        (f"/kubepods/pod{UID}", UID),
        (
            f"/system.slice/containerd.service/kubepods-pod{SLICE_UID}.slice:cri-containerd:{ID}",
            UID,
        ),
        (f"{IN_KIND}/kubelet-kubepods-besteffort-pod{SLICE_UID}.slice", UID),
    ],
)
def test_a_pods_uid_is_written_as_kubernetes_does(path: str, expected: str) -> None:
    """With dashes, which a slice's name cannot have."""
    assert expected == pod_of(path)


@pytest.mark.parametrize(
    "path",
    ["", f"/docker/{ID}", f"/machine.slice/libpod-{ID}.scope", f"/pod{UID}/{ID}", "/kubepods/pods"],
)
def test_no_pod_is_made_up(path: str) -> None:
    """Not even of a folder of that name outside Kubernetes."""
    assert pod_of(path) is None


@settings(deadline=None)
@given(st.text(), st.sampled_from(["/docker/", f"{BURSTABLE}/", "/kubepods/pod", "docker-"]))
def test_nothing_but_digits_and_dashes_is_ever_taken_from_a_path(text: str, before: str) -> None:
    """Whoever may make cgroups may call them anything."""
    found = (container_of(before + text) or "") + (pod_of(before + text) or "")

    assert set(found) <= set("0123456789abcdef-")
