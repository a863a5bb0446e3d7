"""``proofhouse vendors``: the vendor register."""

import getpass
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tasks.cli import Answer
from tasks.domain.errors import InvalidInputError
from tasks.domain.frozen import Frozen
from tasks.domain.moments import rfc3339
from tasks.domain.vendor import VendorState, vendor_key
from tasks.inventory.rows import Vendor
from tasks.inventory.vendors import VendorRegister
from tasks.settings import read_settings


def list_answer() -> Answer:
    """Lists vendors; says which reviews are overdue."""
    register = _register()
    rows = [_row(vendor, register) for vendor in register.vendors()]
    told = [
        f"{row['vendor']:<24} {row['state']:<12} {row['latest_verdict'] or 'no runs':<26} "
        f"{'review overdue' if row['overdue'] else row['review_due'] or 'never reviewed'}"
        for row in rows
    ]
    return Answer({"vendors": rows}, told or ["no vendors yet"])


def show_answer(name: str) -> Answer:
    """Shows everything that is kept about one vendor."""
    register = _register()
    vendor = register.vendor(name)
    document = _row(vendor, register) | {
        "keys": _plain(register.keys(name)),
        "history": _plain(register.events(name)),
        "questionnaires": _plain(register.answers(name)),
        "runs": _plain(register.runs(name)),
    }
    return Answer(document, _told(document))


def add_answer(name: str, *, contact: str, key: Path | None, by: str) -> Answer:
    """Enters a vendor unless it is there, and binds its key when one is given."""
    if not vendor_key(name).strip("-") or vendor_key(name) == "unnamed":
        raise InvalidInputError(f"{name!r} is no name: it needs a letter or a digit.")
    if key is not None:
        _read_key(key)  # before anything is written
    register = _register()
    vendor = register.register(name, contact=contact, who=_who(by), now=_now())
    if key is not None:
        _bind(register, name, key)
    return _stands(vendor, register)


def trust_answer(name: str, key: Path) -> Answer:
    """Binds a public key to a vendor and puts it among the trusted ones."""
    register = _register()
    vendor = register.vendor(name)
    _bind(register, name, key)
    return _stands(vendor, register)


def move_answer(name: str, state: str, *, reason: str, by: str) -> Answer:
    """Moves a vendor to another state; suspending and offboarding need a reason."""
    target = VendorState(state)
    if target is not VendorState.APPROVED and not reason.strip():
        raise InvalidInputError(
            f"Say why with --reason: it is shown whenever a bundle is refused as {state}."
        )
    register = _register()
    moved = register.move(name, target, reason=reason.strip(), who=_who(by), now=_now())
    return _stands(moved, register)


def _bind(register: VendorRegister, name: str, key: Path) -> None:
    if not key.exists() and (beside := _vendors_folder() / key.name).is_file():
        key = beside  # as findings name it
    mark = _read_key(key)
    place = _vendors_folder() / f"{vendor_key(name)}.{mark[:8]}.pub"
    register.bind_key(name, mark, kind="key", source=place.name, now=_now())
    if not place.exists():
        shutil.copyfile(key, place)


def _read_key(path: Path) -> str:
    """Returns the fingerprint of a usable public key."""
    from tasks.intake.signature import read_trusted  # noqa: PLC0415 - only who binds a key pays
    from tasks.intake.vouching import fingerprint  # noqa: PLC0415

    found = read_trusted([path]).keys
    if not found:
        raise InvalidInputError(
            f"{path} is a certificate. Authorities are trusted by copying them into "
            f"{_vendors_folder()}; bind a public key here."
        )
    return fingerprint(found[0][1])


def _row(vendor: Vendor, register: VendorRegister) -> dict[str, Any]:
    runs = register.runs(vendor.name)
    return vendor.model_dump(mode="json") | {
        "overdue": bool(vendor.review_due) and vendor.review_due < rfc3339(_now()),
        "runs_sealed": len(runs),
        "latest_verdict": runs[0].verdict if runs else "",
    }


def _told(document: dict[str, Any]) -> list[str]:
    told = [
        f"{document['name']} ({document['vendor']}): {document['state']}"
        + (f", {document['reason']}" if document["reason"] else ""),
        f"contact  {document['contact'] or 'unknown'}",
        f"review   {document['review_due'] or 'never reviewed'}",
    ]
    told += [f"key      {key['fingerprint'][:16]}…  {key['source']}" for key in document["keys"]]
    told += [
        f"answers  {row['questionnaire']} score {row['score']:.2f}, {row['answered']} of "
        f"{row['asked']} answered, {row['contradicted']} contradicted ({row['run']})"
        for row in document["questionnaires"]
    ]
    told += [f"run      {run['run']}  {run['verdict']}  {run['asset']}" for run in document["runs"]]
    return told + [
        f"history  {row['dated']}  {row['state']}  by {row['who'] or 'unknown'}  {row['reason']}"
        for row in document["history"]
    ]


def _stands(vendor: Vendor, register: VendorRegister) -> Answer:
    document = _row(vendor, register) | {"keys": _plain(register.keys(vendor.name))}
    return Answer(document, [f"{vendor.name} ({vendor.vendor}) is {vendor.state}"])


def _plain(rows: tuple[Frozen, ...]) -> list[dict[str, Any]]:
    return [row.model_dump(mode="json") for row in rows]


def _register() -> VendorRegister:
    settings = read_settings()
    settings.home.mkdir(parents=True, exist_ok=True)
    return VendorRegister(settings.database_url)


def _vendors_folder() -> Path:
    folder = read_settings().home.resolve() / "vendors"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _who(by: str) -> str:
    return by.strip() or getpass.getuser()


def _now() -> datetime:
    return datetime.now(UTC)
