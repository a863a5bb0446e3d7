"""``proofhouse profile``: what a trusted version of a table lets expect."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from tasks.cli import Answer
from tasks.commands.wording import visible
from tasks.domain.errors import InvalidInputError
from tasks.domain.reference import ReferenceProfile, Tolerances
from tasks.intake.profiles import profile_of, written


def profile_answer(data: Path, *, out: Path, name: str, said: Mapping[str, float]) -> Answer:
    """Profiles trusted data, writes the profile as YAML and says what it will ask.

    Args:
        data: A data file, or a folder of them that make up one table.
        out: Where the profile goes.
        name: What the data is called; the path's name when empty.
        said: Tolerances, as :class:`Tolerances` has them.

    Raises:
        InvalidInputError: The data cannot be read, or a tolerance is out of range.
    """
    from tasks.runtime import services  # noqa: PLC0415 - opens store and sandbox

    try:
        tolerances = Tolerances(**said)
    except ValidationError as error:
        told = "; ".join(f"--{one['loc'][0]}: {one['msg']}" for one in error.errors())
        raise InvalidInputError(f"The tolerances do not fit: {told}.") from error
    if not out.parent.is_dir():
        raise InvalidInputError(f"{out.parent} is no folder. Make it, or choose another --out.")
    here = services()
    profile = profile_of(data, here.sandbox, name=name, tolerances=tolerances, limits=here.limits)
    here.store.put(profile.canonical())
    out.write_text(written(profile), encoding="utf-8")
    document = {
        "profile": str(out),
        "digest": profile.digest,
        "rows": profile.rows,
        "columns": len(profile.columns),
        "orders": len(profile.orders),
        "dependencies": len(profile.dependencies),
        "expectations": _asks(profile),
    }
    return Answer(document, [*_lines(profile), "", f"{out} ({profile.digest})"])


def _asks(profile: ReferenceProfile) -> int:
    from tasks.detectors.data.suites import expected_of  # noqa: PLC0415 - imports SciPy

    return len(expected_of(profile))


def _lines(profile: ReferenceProfile) -> list[str]:
    head = f"{visible(profile.name)}: {profile.rows} rows, {len(profile.columns)} columns, "
    told = [f"{head}{_asks(profile)} expectations"]
    told += [
        f"  {visible(one.lower)} is never above {visible(one.upper)}" for one in profile.orders
    ]
    told += [
        f"  {visible(one.column)} fixes {visible(one.determines)}" for one in profile.dependencies
    ]
    return [*told, *(f"  note: {visible(note)}" for note in profile.notes)]
