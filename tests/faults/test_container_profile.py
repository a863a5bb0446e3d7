"""An unprivileged container: namespaces are refused, and level L2 holds, says why, and contains."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.sandbox.identity import is_open_to_others
from tasks.sandbox.protocol import Level
from tests.services import container
from tests.tasks.sandbox.hostile import write_pickle
from tests.tasks.sandbox.machine import skip_without_parts_for

ROOT = Path(__file__).parents[2]
UID = 10001
OPENS_AND_ASKS = """
import json, sys
from pathlib import Path
from tasks.domain.errors import ChildError, SandboxError
from tasks.sandbox.opening import open_sandbox
from tasks.sandbox.protocol import Level, Limits

sandbox = open_sandbox()
said = {"level": sandbox.level, "notes": sandbox.notes}
said["open"] = [probe.name for probe in sandbox.probes if not probe.blocked]
try:
    open_sandbox(required=Level.L3)
except SandboxError as error:
    said["refusal"] = error.message
for path in sys.argv[1:]:
    with sandbox.session((Path(path),), Limits(call_seconds=20)) as session:
        try:
            session.open("targets.unsafe_pickle.unsafe_pickle", path=path)
            said[Path(path).stem] = "opened"
        except ChildError as error:
            said[Path(path).stem] = error.code
print(json.dumps(said))
"""
HOSTILE = {
    "forks": "import os; os.fork()",
    "connects": "import socket; socket.create_connection(('127.0.0.1', 9))",
    "reads": "open('/etc/passwd').read()",
    "executes": "import os; os.execv('/bin/sh', ['sh'])",
    "unshares": "import ctypes, os\nif ctypes.CDLL(None, use_errno=True).unshare(0x10000000): "
    "raise OSError(ctypes.get_errno(), 'refused')",
    "allocates": "x = bytearray(20 << 30)",
}


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    # Not pytest's own folder, which only its owner may enter.
    folder = Path(f"/tmp/proofhouse-container-{os.getpid()}")  # noqa: S108
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def inside(place: Path) -> Any:
    skip_without_parts_for(Level.L2)
    files = [write_pickle(place / f"{name}.pkl", source) for name, source in HOSTILE.items()]
    for file in files:
        file.chmod(0o644)
    return json.loads(in_container("-c", OPENS_AND_ASKS, *map(str, files)).stdout)


def in_container(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs Python there, as another user where this one is root."""
    python, uid = _python()
    return subprocess.run(
        [sys.executable, container.__file__, str(uid), python, *words],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": _search(), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def _python() -> tuple[str, int]:
    if os.geteuid() != 0:
        return sys.executable, 0
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, shutil.which(version, path="/usr/bin")):
        if candidate and is_open_to_others(Path(candidate)):
            return candidate, UID
    pytest.skip(f"no {version} that another user could run")


def _search() -> str:
    packages = [path for path in sys.path if path.endswith("site-packages")]
    return ":".join([str(ROOT), *packages])


def test_without_namespaces_level_2_is_reached_and_the_reason_said(inside: Any) -> None:
    assert inside["level"] == "L2"
    assert inside["open"] == []
    assert inside["notes"][0].startswith("L3: ")
    assert "namespace" in inside["notes"][0]


def test_level_3_is_refused_and_not_pretended(inside: Any) -> None:
    assert "reaches level L2, required is L3" in inside["refusal"]
    assert "user namespaces" in inside["refusal"]


def test_every_hostile_act_is_contained_there_as_well(inside: Any) -> None:
    assert {name: inside[name] for name in HOSTILE} == {
        "forks": "sandbox.child_forbidden",
        "connects": "sandbox.child_forbidden",
        "reads": "sandbox.child_forbidden",
        "executes": "sandbox.child_forbidden",
        "unshares": "sandbox.child_forbidden",
        "allocates": "sandbox.child_memory",
    }


def test_doctor_says_it_there(place: Path) -> None:
    skip_without_parts_for(Level.L2)
    home = place / "home"
    home.mkdir()
    home.chmod(0o777)
    ran = in_container("-m", "tasks.cli", "doctor", "--json", PROOFHOUSE_HOME=str(home / "own"))
    found = json.loads(ran.stdout)["parts"]["sandbox"]
    assert (found["state"], found["level"]) == ("ok", "L2")
    assert "namespace" in found["notes"][0]
