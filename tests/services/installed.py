"""Two real bundles, one Prefect server and a fast battery, shared by the whole session."""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tasks.catalog.reading import catalog_root
from tasks.serving import local_server

FAST = """id: test.fast
version: 1
title: Fast battery for tests
purpose: A scan, a look at the papers and one query battery; seconds instead of a minute.
checks:
  - {check: artifact.scan}
  - {check: artifact.behaviour}
  - {check: provenance.manifest}
  - check: evasion.linf_robust_accuracy
    parameters: {points: 40, steps: 20, square_queries: 100}
"""
FIRST = """id: test.first
version: 1
title: First look for tests
purpose: Only the gatekeepers, for bundles that get no further.
checks:
  - {check: artifact.scan}
  - {check: artifact.behaviour}
"""
SINS = """id: test.sins
version: 1
title: What the compromised bundle is guilty of
purpose: Only the checks that it must not pass; the demo asks it everything.
checks:
  - {check: artifact.scan}
  - {check: artifact.behaviour}
  - {check: provenance.signature}
  - {check: provenance.bom}
  - {check: provenance.dependencies}
  - {check: provenance.documents}
  - {check: poisoning.spectral_signature}
  - {check: backdoor.trigger_inversion}
"""
SOUND = """id: test.sound
version: 1
title: What the policy of the middle tier requires
purpose: Enough for a verdict; the demo asks the rest, which takes as long again.
checks:
  - {check: artifact.scan}
  - {check: artifact.behaviour}
  - {check: artifact.weights}
  - {check: provenance.manifest}
  - {check: provenance.signature}
  - {check: provenance.bom}
  - {check: provenance.dependencies}
  - {check: provenance.advisories}
  - {check: provenance.lineage}
  - {check: provenance.documents}
  - {check: provenance.claims}
  - {check: governance.vendor}
  - {check: data.validation}
  - {check: data.leakage}
  - {check: poisoning.spectral_signature}
  - {check: backdoor.trigger_inversion}
  - {check: evasion.linf_robust_accuracy}
"""
BATTERIES = {"fast": FAST, "first": FIRST, "sins": SINS, "sound": SOUND}
SMALL = {"PROOFHOUSE_COMPUTE__WORKERS": "1"}
"""A second worker costs more to start than these few checks take."""


class Bundles(NamedTuple):
    """Where the two vendors' bundles lie, and the key that the honest one is known by."""

    honest: Path
    compromised: Path
    key: Path


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What it printed, which must be one JSON document and nothing else."""
        return json.loads(self.out)


class Proofhouse:
    """The installed command, on a home of its own."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.home = home
        self.environment = {**os.environ, "PROOFHOUSE_HOME": str(home), **environment}

    def arguments(self, *words: str | Path) -> list[str]:
        return [sys.executable, "-m", "tasks.cli", *map(str, words)]

    def __call__(self, *words: str | Path, timeout: float = 800) -> Ran:
        done = subprocess.run(
            self.arguments(*words),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str | Path, log: Path | None = None) -> "subprocess.Popen[bytes]":
        """Begins a command and does not wait; what it prints goes to ``log``, or nowhere."""
        with Path(os.devnull if log is None else log).open("wb") as stream:
            return subprocess.Popen(
                self.arguments(*words),
                env=self.environment,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    from tasks.demo.bundles import build_compromised, build_honest  # noqa: PLC0415 - torch

    folder = _of_all_workers(tmp_path_factory) / "bundles"
    honest, compromised = folder / "acme-vision", folder / "northwind-models"
    with _alone(folder):
        if not compromised.exists():
            build_honest(honest, folder / "keys")
            built = folder / "building"
            build_compromised(built)
            built.rename(compromised)
    return Bundles(honest, compromised, folder / "keys" / "acme-vision.pub")


def _of_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the workers of one test run share; nobody changes what lies there."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def server_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="session")
def server(server_home: Path) -> Iterator[str]:
    with local_server(server_home, ui=False) as url:
        yield url


@pytest.fixture(scope="session")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalogs") / "catalogs"
    shutil.copytree(catalog_root(), folder)
    (folder / "batteries" / "test").mkdir()
    for name, text in BATTERIES.items():
        (folder / "batteries" / "test" / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def proofhouse(server: str, catalogs: Path, bundles: Bundles, tmp_path: Path) -> Proofhouse:
    return installed(tmp_path / "home", server, catalogs, bundles)


@pytest.fixture
def fresh_house(server: str, catalogs: Path, tmp_path: Path) -> Proofhouse:
    """An installation that knows no vendor: nothing has to be trained for it."""
    (tmp_path / "home").mkdir()
    told = {"PREFECT_API_URL": server, "PROOFHOUSE_CATALOGS": str(catalogs)}
    return Proofhouse(tmp_path / "home", told | SMALL)


def installed(home: Path, server: str, catalogs: Path, bundles: Bundles) -> Proofhouse:
    (home / "vendors").mkdir(parents=True)
    shutil.copyfile(bundles.key, home / "vendors" / "acme-vision.pub")
    told = {"PREFECT_API_URL": server, "PROOFHOUSE_CATALOGS": str(catalogs)}
    return Proofhouse(home, told | SMALL)
