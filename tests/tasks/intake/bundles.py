"""Small bundles for the tests of this folder."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from sklearn.datasets import load_digits

from tasks.domain.bundle import Subject
from tasks.intake.quarantine import QUOTAS, Quotas
from tasks.intake.subject import Outside, build_subject
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore

DIGITS = load_digits()


def manifest() -> dict[str, Any]:
    return {
        "schema": "proofhouse.bundle/1",
        "vendor": {"name": "Acme Vision", "contact": "security@acme.example"},
        "model": {
            "name": "digit-reader",
            "version": "1.2.0",
            "task": "classification",
            "artifact": "model/digits.bin",
            "input": {"shape": [1, 8, 8], "range": [0, 16]},
            "output": {"kind": "logits", "classes": 10},
        },
        "data": {"evaluation": {"path": "data/eval.npz"}},
    }


def write_manifest(folder: Path, value: dict[str, Any]) -> None:
    (folder / "bundle.yaml").write_text(yaml.safe_dump(value), encoding="utf-8")


def make_bundle(folder: Path, value: dict[str, Any] | None = None) -> Path:
    """Writes a small honest bundle without documents and returns its folder."""
    (folder / "model").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "model" / "digits.bin").write_bytes(b"weights" * 100)
    np.savez(folder / "data" / "eval.npz", x=DIGITS.images[:100], y=DIGITS.target[:100])
    write_manifest(folder, manifest() if value is None else value)
    return folder


def take_in(
    bundle: Path,
    workspace: Path,
    *,
    store: MemoryStore | None = None,
    quotas: Quotas = QUOTAS,
    trusted: tuple[Path, ...] = (),
) -> Subject:
    workspace.mkdir(exist_ok=True)
    subject = build_subject(
        bundle,
        store=MemoryStore() if store is None else store,
        sandbox=DirectSandbox(),
        workspace=workspace,
        quotas=quotas,
        outside=Outside(trusted_keys=trusted),
    )
    assert list(workspace.iterdir()) == [], "intake left something behind"
    return subject


def rules(subject: Subject) -> dict[str, str]:
    """Returns rule to severity."""
    return {item.rule: item.severity.value for item in subject.observations}
