"""Two real bundles, one Prefect server and a fast battery, shared by the whole session."""

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
  - {check: evasion.linf_robust_accuracy, parameters: {points: 40}}
"""
FIRST = """id: test.first
version: 1
title: First look for tests
purpose: Only the gatekeepers, for bundles that get no further.
checks:
  - {check: artifact.scan}
  - {check: artifact.behaviour}
"""


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

    def start(self, *words: str | Path) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self.arguments(*words),
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    from tasks.demo.bundles import build_compromised, build_honest  # noqa: PLC0415 - torch

    folder = tmp_path_factory.mktemp("bundles")
    honest, compromised = folder / "acme-vision", folder / "northwind-models"
    key = build_honest(honest, folder / "keys")
    build_compromised(compromised)
    return Bundles(honest, compromised, key)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with local_server(tmp_path_factory.mktemp("server"), ui=False) as url:
        yield url


@pytest.fixture(scope="session")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalogs") / "catalogs"
    shutil.copytree(catalog_root(), folder)
    (folder / "batteries" / "test").mkdir()
    for name, text in {"fast": FAST, "first": FIRST}.items():
        (folder / "batteries" / "test" / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def proofhouse(server: str, catalogs: Path, bundles: Bundles, tmp_path: Path) -> Proofhouse:
    return installed(tmp_path / "home", server, catalogs, bundles)


def installed(home: Path, server: str, catalogs: Path, bundles: Bundles) -> Proofhouse:
    (home / "vendors").mkdir(parents=True)
    shutil.copyfile(bundles.key, home / "vendors" / "acme-vision.pub")
    return Proofhouse(home, {"PREFECT_API_URL": server, "PROOFHOUSE_CATALOGS": str(catalogs)})
