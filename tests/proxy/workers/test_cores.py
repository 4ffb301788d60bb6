"""How many cores a container may use, from its control groups."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from proxy.workers.cores import quota, usable_cores, within

V2 = "/sys/fs/cgroup"
V1 = "/sys/fs/cgroup/cpu,cpuacct"
MOUNT_V2 = f"31 23 0:27 / {V2} rw,nosuid - cgroup2 cgroup2 rw\n"
MOUNT_V1 = f"36 24 0:30 %s {V1} rw - cgroup cgroup rw,cpu,cpuacct\n"
CGROUP_V1 = "5:memory:/docker/a\n4:cpu,cpuacct:/docker/a\n1:name=systemd:/docker/a\n0::/\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, None, id="no control groups"),
        pytest.param({f"{V2}/cpu.max": "max 100000"}, None, id="no quota"),
        pytest.param({f"{V2}/cpu.max": "50000 100000"}, 0.5, id="half a core"),
        pytest.param({f"{V2}/cpu.max": "150000 100000"}, 1.5, id="one and a half"),
        pytest.param({f"{V2}/cpu.max": "20000 10000"}, 2.0, id="another period"),
        pytest.param({f"{V2}/cpu.max": "200000"}, 2.0, id="no period"),
        pytest.param({f"{V2}/cpu.max": "words"}, None, id="not numbers"),
        pytest.param({f"{V2}/cpu.max": ""}, None, id="empty"),
        pytest.param({f"{V2}/cpu.max": "100000 0"}, None, id="no period at all"),
        pytest.param(
            {
                "/proc/self/cgroup": "0::/a/b/c\n",
                f"{V2}/a/b/c/cpu.max": "400000 100000",
                f"{V2}/a/b/cpu.max": "max 100000",
                f"{V2}/a/cpu.max": "300000 100000",
            },
            3.0,
            id="a group above allows less",
        ),
        pytest.param(
            {"/proc/self/cgroup": "0::/../../x\n", f"{V2}/cpu.max": "100000 100000"},
            1.0,
            id="a group that is not seen from here",
        ),
        pytest.param(
            {
                "/proc/self/mountinfo": MOUNT_V1 % "/",
                "/proc/self/cgroup": CGROUP_V1,
                f"{V1}/docker/a/cpu.cfs_quota_us": "250000\n",
                f"{V1}/docker/a/cpu.cfs_period_us": "100000\n",
                f"{V1}/cpu.cfs_quota_us": "-1\n",
                f"{V1}/cpu.cfs_period_us": "100000\n",
            },
            2.5,
            id="version 1",
        ),
        pytest.param(
            {
                "/proc/self/mountinfo": MOUNT_V1 % "/docker/a",
                "/proc/self/cgroup": CGROUP_V1,
                f"{V1}/cpu.cfs_quota_us": "100000\n",
                f"{V1}/cpu.cfs_period_us": "50000\n",
            },
            2.0,
            id="version 1, only the own group is mounted",
        ),
        pytest.param(
            {
                "/proc/self/mountinfo": MOUNT_V1 % "/docker/a" + MOUNT_V2,
                "/proc/self/cgroup": CGROUP_V1,
                f"{V1}/cpu.cfs_quota_us": "-1\n",
                f"{V1}/cpu.cfs_period_us": "100000\n",
            },
            None,
            id="version 1 beside 2, no quota",
        ),
    ],
)
def test_quota(tmp_path: Path, files: Mapping[str, str], expected: float | None) -> None:
    """It is read from both versions of control groups; what is not there sets no limit."""
    usual = {"/proc/self/mountinfo": MOUNT_V2, "/proc/self/cgroup": "0::/\n"} if files else {}
    for name, text in (usual | dict(files)).items():
        path = tmp_path / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert quota(tmp_path) == expected


@pytest.mark.parametrize(
    ("cores", "allowed", "expected"),
    [(8, None, 8), (8, 0.1, 1), (8, 1.0, 1), (8, 1.5, 2), (8, 2.0, 2), (2, 16.0, 2), (1, 0.5, 1)],
)
def test_within(cores: int, allowed: float | None, expected: int) -> None:
    """A part of a core counts as one; there is always one, and never more than there are."""
    assert within(cores, allowed) == expected


def test_this_machine() -> None:
    """Here, too, there is one at least."""
    assert usable_cores() >= 1
