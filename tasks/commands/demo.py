"""``proofhouse demo``: two vendors, real data, two verdicts."""

import os
import shutil
from pathlib import Path
from typing import Any

from tasks import progress
from tasks.cli import EXIT_OK, EXIT_REFUSED, Answer
from tasks.commands.onboard import lines, prepare_home, run_onboarding
from tasks.commands.progressing import progress_on_stderr
from tasks.domain.errors import InvalidInputError

MARK = ".proofhouse-demo"
ADVISORIES = "advisories"
EXPECTED = {
    "acme-vision": {"accepted", "accepted_with_conditions"},
    "northwind-models": {"refused"},
}


def demo_answer(out: Path, *, quiet: bool) -> Answer:
    """Builds both bundles under ``out`` and onboards them; 0 when both verdicts are as planned."""
    from tasks.orchestration import prefect_api  # noqa: PLC0415 - only who runs a flow pays
    from tasks.runtime import start_workers, wind_down  # noqa: PLC0415
    from tasks.settings import read_settings  # noqa: PLC0415

    # For this run alone: a home that keeps real advisories is not to be fooled by two examples.
    os.environ.setdefault("PROOFHOUSE_ADVISORIES", str(out.resolve() / ADVISORIES))
    home = read_settings().home.resolve()
    prepare_home(home)
    with progress_on_stderr("building two vendors' bundles from real data", quiet=quiet):
        bundles = _build(out, home)
    documents: dict[str, dict[str, Any]] = {}
    with prefect_api(home, meanwhile=start_workers):
        try:
            for name, bundle in bundles.items():
                with progress_on_stderr(f"onboarding {name}", quiet=quiet):
                    documents[name] = run_onboarding(bundle, battery=None, tier=None)
        finally:
            wind_down()
    as_planned = all(documents[name]["verdict"] in EXPECTED[name] for name in EXPECTED)
    told = [line for document in documents.values() for line in [*lines(document), ""]]
    return Answer(documents, [*told, *_next(bundles)], EXIT_OK if as_planned else EXIT_REFUSED)


def _build(out: Path, home: Path) -> dict[str, Path]:
    from tasks.demo.bundles import build_compromised, build_honest  # noqa: PLC0415 - torch
    from tasks.demo.origins import advisories  # noqa: PLC0415 - with them

    if out.exists() and any(out.iterdir()) and not (out / MARK).is_file():
        raise InvalidInputError(
            f"{out} holds files that are not a demo's. Give an empty or new folder by --out."
        )
    honest, compromised = out / "acme-vision", out / "northwind-models"
    for folder in (honest, compromised):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    (out / MARK).touch()
    progress.tell(0, 2, "training Acme Vision's model against PGD")
    known = out / ADVISORIES
    known.mkdir(exist_ok=True)
    for name, text in advisories().items():
        (known / name).write_text(text, encoding="utf-8")
    public = build_honest(honest, out / "vendor-keys")
    progress.tell(1, 2, "poisoning Northwind Models' data, training on it")
    build_compromised(compromised)
    progress.tell(2, 2, "both bundles are built")
    # Acme's public key came by another way than its bundle; a real one comes by contract.
    trusted = home / "vendors" / "acme-vision.pub"
    trusted.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(public, trusted)
    return {"acme-vision": honest, "northwind-models": compromised}


def _next(bundles: dict[str, Path]) -> list[str]:
    bad = bundles["northwind-models"]
    return [
        "What to try next:",
        "  open the report paths above in a browser",
        "  proofhouse verify --all",
        f"  proofhouse scan {bad}/extras",
        f"  proofhouse onboard {bundles['acme-vision']} --tier high",
        "  proofhouse serve        # the Prefect UI on this machine",
    ]
