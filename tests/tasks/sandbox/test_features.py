from pathlib import Path

import pytest

from tasks.sandbox import features as module
from tasks.sandbox.features import features


def machine(root: Path, files: dict[str, str]) -> dict[str, Path]:
    """A made-up /proc and /sys that hold ``files``."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return {"proc": root / "proc", "sys": root / "sys"}


def test_this_machine_is_described() -> None:
    found = {feature.name: feature for feature in features()}
    assert list(found) == [
        "processor", "landlock", "seccomp", "bubblewrap", "user namespaces", "cgroup",
    ]  # fmt: skip
    assert all(feature.found for feature in found.values())
    assert all(bool(feature.remedy) is not feature.enough for feature in found.values())


FORBIDDING = {
    "no namespaces": ("user/max_user_namespaces", "0\n", "max_user_namespaces="),
    "Debian's switch": ("kernel/unprivileged_userns_clone", "0\n", "userns_clone=1"),
    "Ubuntu's AppArmor": ("kernel/apparmor_restrict_unprivileged_userns", "1\n", "AppArmor"),
}


@pytest.mark.parametrize("name", FORBIDDING)
def test_what_forbids_user_namespaces_is_named_with_its_remedy(name: str, tmp_path: Path) -> None:
    place, value, remedy = FORBIDDING[name]
    found = features(**machine(tmp_path, {f"proc/sys/{place}": value}))
    (feature,) = [each for each in found if each.name == "user namespaces"]
    assert not feature.enough
    assert place.replace("/", ".") in feature.found
    assert remedy in feature.remedy


def test_parts_that_are_missing_come_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise FileNotFoundError

    monkeypatch.setattr(module, "bubblewrap", missing)
    monkeypatch.setattr("tasks.sandbox.landlock.abi", lambda: 0)
    found = {each.name: each for each in features(**machine(tmp_path, {}))}
    assert "lsm=" in found["landlock"].remedy
    assert "CONFIG_SECCOMP_FILTER" in found["seccomp"].remedy
    assert "apt-get install bubblewrap" in found["bubblewrap"].remedy
    assert module._processor("riscv64").remedy == "run on aarch64 or x86_64"


CGROUPS: dict[str, tuple[dict[str, str], str]] = {
    "v2, limit above": (
        {
            "proc/self/cgroup": "0::/service/worker\n",
            "sys/fs/cgroup/service/worker/memory.max": "max\n",
            "sys/fs/cgroup/service/memory.max": "4294967296\n",
        },
        "memory limit 4.0 GiB",
    ),
    "v2, the smallest counts": (
        {
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/b/memory.max": "8589934592\n",
            "sys/fs/cgroup/a/memory.max": "2147483648\n",
        },
        "memory limit 2.0 GiB",
    ),
    "v1": (
        {
            "proc/self/cgroup": "4:cpu:/x\n3:memory:/pod\n",
            "sys/fs/cgroup/memory/pod/memory.limit_in_bytes": "1073741824\n",
        },
        "memory limit 1.0 GiB",
    ),
    "v1 without limit": (
        {
            "proc/self/cgroup": "3:memory:/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
        "no memory limit",
    ),
    "v2 without limit": (
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cgroup.controllers": "memory pids\n"},
        "v2, no memory limit",
    ),
    "nonsense": ({"proc/self/cgroup": "x\n\n::\n"}, "no memory limit"),
}


@pytest.mark.parametrize("name", CGROUPS)
def test_the_bound_over_all_children_is_found(name: str, tmp_path: Path) -> None:
    files, text = CGROUPS[name]
    (feature,) = [each for each in features(**machine(tmp_path, files)) if each.name == "cgroup"]
    assert text in feature.found
    assert feature.enough is text.startswith("memory limit")
