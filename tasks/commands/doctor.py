"""``proofhouse doctor``: what this machine can and cannot do."""

import platform
import shutil
from typing import Any

from tasks.cli import EXIT_BAD_INPUT, EXIT_OK, Answer
from tasks.domain.errors import ProofhouseError


def doctor_answer() -> Answer:
    """Probes sandbox, store, keys, GPU and database for real, and says how to mend each."""
    parts = {
        "python": _python,
        "sandbox": _sandbox,
        "store": _store,
        "signing_key": _key,
        "inventory": _database,
        "gpu": _gpu,
        "server": _server,
    }
    document = {name: _probed(part) for name, part in parts.items()}
    broken = [name for name, part in document.items() if part["state"] == "broken"]
    told = [line for name, part in document.items() for line in _lines(name, part)]
    return Answer(
        {"ok": not broken, "parts": document}, told, EXIT_BAD_INPUT if broken else EXIT_OK
    )


def _lines(name: str, part: dict[str, Any]) -> list[str]:
    lines = [f"{name:<12} {part['state']:<8} {part['text']}"]
    for feature in part.get("features", ()):
        mark = "ok" if feature["enough"] else "missing"
        mend = f"; {feature['remedy']}" if feature["remedy"] else ""
        lines.append(f"  {feature['name']:<15} {mark:<8} {feature['found']}{mend}")
    return lines + [f"  note: {note}" for note in part.get("notes", ())]


def _probed(part: Any) -> dict[str, Any]:
    try:
        found: dict[str, Any] = part()
    except ProofhouseError as error:
        return {"state": "broken", "text": error.message}
    return found


def _python() -> dict[str, Any]:
    return {"state": "ok", "text": f"{platform.python_version()} on {platform.platform()}"}


def _sandbox() -> dict[str, Any]:
    from tasks.sandbox.features import features  # noqa: PLC0415
    from tasks.sandbox.opening import open_sandbox  # noqa: PLC0415
    from tasks.sandbox.protocol import Level  # noqa: PLC0415
    from tasks.settings import read_settings  # noqa: PLC0415

    wanted = read_settings().sandbox
    required = Level(wanted.required)
    sandbox = open_sandbox(required=Level.L0, gpu=wanted.gpu)
    probes = {probe.name: probe.blocked for probe in sandbox.probes}
    closed = sum(probes.values())
    text = f"level {sandbox.level}, {closed} of {len(probes)} escapes blocked"
    if sandbox.level < required:
        text += f"; {required} is required, so no model is opened here"
    return {
        "state": "ok" if sandbox.level >= required else "broken",
        "text": text,
        "level": sandbox.level.value,
        "required": required.value,
        "probes": probes,
        "notes": list(sandbox.notes),
        "features": [feature._asdict() for feature in features()],
    }


def _store() -> dict[str, Any]:
    from tasks.settings import read_settings  # noqa: PLC0415
    from tasks.store.opening import open_store  # noqa: PLC0415

    settings = read_settings()
    guarantees = open_store(settings.store_url, home=settings.home.resolve()).guarantees()
    text = (
        f"{settings.store_url}: write-once claims {_yes(guarantees.write_once_claims)}, "
        f"versions {_yes(guarantees.versioned)}, WORM {_yes(guarantees.worm)}"
    )
    state = "ok" if guarantees.write_once_claims else "broken"
    return {"state": state, "text": text, "guarantees": guarantees.model_dump(mode="json")}


def _key() -> dict[str, Any]:
    from tasks.ledger.keys import open_signer  # noqa: PLC0415
    from tasks.settings import read_settings  # noqa: PLC0415

    settings = read_settings()
    settings.home.mkdir(parents=True, exist_ok=True)
    signer = open_signer(settings.signer or None, home=settings.home.resolve())
    return {"state": "ok", "text": f"key id {signer.public_key.keyid}"}


def _database() -> dict[str, Any]:
    from tasks.inventory.database import Inventory  # noqa: PLC0415
    from tasks.settings import read_settings  # noqa: PLC0415

    url = read_settings().database_url
    count = len(list(Inventory(url).assets()))
    return {"state": "ok", "text": f"{url.partition('://')[0]}, {count} assets"}


def _gpu() -> dict[str, Any]:
    if shutil.which("nvidia-smi") is None:
        return {"state": "absent", "text": "no NVIDIA driver; checks run on the CPU"}
    import torch  # noqa: PLC0415 - 2 s, only where a driver is

    if not torch.cuda.is_available():
        return {"state": "absent", "text": "a driver, but torch sees no GPU"}
    return {"state": "ok", "text": f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"}


def _server() -> dict[str, Any]:
    from tasks.orchestration import served_address  # noqa: PLC0415
    from tasks.settings import read_settings  # noqa: PLC0415

    url = served_address(read_settings().home)
    return {
        "state": "ok" if url else "absent",
        "text": url or "no server runs; each command starts its own (or run: proofhouse serve)",
    }


def _yes(value: bool) -> str:
    return "yes" if value else "no"
