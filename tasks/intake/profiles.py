"""The trusted side of profiles: asks a child to read a trusted table, believes nothing, keeps YAML.

A profile is what later versions are held against; its digest is told with every finding.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tasks.domain.digest import digest_of_file, hexadecimal
from tasks.domain.errors import ChildError, InvalidInputError
from tasks.domain.reference import ReferenceProfile, Tolerances
from tasks.intake.comparison import partitions
from tasks.intake.names import shown
from tasks.intake.strict_yaml import YamlCaps, parse_yaml
from tasks.sandbox.protocol import Limits, Sandbox

LEAST_ROWS = 100
CAPS = YamlCaps(most_bytes=16 << 20, nodes=1_000_000)


def profile_of(
    data: Path,
    sandbox: Sandbox,
    *,
    name: str = "",
    tolerances: Tolerances = Tolerances(),  # noqa: B008 - frozen, so every call may share it
    limits: Limits = Limits(),
) -> ReferenceProfile:
    """Profiles a table that is trusted.

    Args:
        data: A data file (parquet, csv, tsv, npz, safetensors), or a folder of them: one table.
        sandbox: Opens the files.
        name: What the table is called; the path's name when left out.
        tolerances: How far a new version may differ.
        limits: What the child may use.

    Raises:
        InvalidInputError: The files cannot be read, or hold fewer than 100 rows.
    """
    files = partitions(data)
    return profile_of_files(
        files, sandbox, name=name or data.resolve().stem, tolerances=tolerances, limits=limits
    )


def profile_of_files(
    files: Sequence[Path],
    sandbox: Sandbox,
    *,
    name: str,
    tolerances: Tolerances = Tolerances(),  # noqa: B008 - frozen, so every call may share it
    limits: Limits = Limits(),
) -> ReferenceProfile:
    """Does the same for files that are known to be there, parts of one table in this order."""
    sources = tuple(digest_of_file(file) for file in files)
    found = _asked(files, sandbox, limits)
    try:
        profile = ReferenceProfile(
            name=shown(name),
            version=hexadecimal(sources[0])[:12] if len(sources) == 1 else f"{len(sources)} files",
            sources=sources,
            tolerances=tolerances,
            **found,
        )
    except ValidationError as error:
        raise InvalidInputError(f"{_place(files)}: {_first(error)}, says its reader.") from error
    if profile.rows < LEAST_ROWS:
        raise InvalidInputError(
            f"{_place(files)} has {profile.rows} rows; {LEAST_ROWS} are needed to tell what is "
            "usual."
        )
    return profile


def written(profile: ReferenceProfile) -> str:
    """Returns a profile as YAML for people to read, edit and keep under version control."""
    document = profile.model_dump(mode="json", exclude_defaults=True)
    head = {"schema": profile.schema_, "tolerances": profile.tolerances.model_dump(mode="json")}
    return yaml.safe_dump(head | document, sort_keys=False, allow_unicode=False, width=100)


def read_profile(path: Path) -> ReferenceProfile:
    """Reads what :func:`written` wrote.

    Raises:
        InvalidInputError: It is not there, or is no profile; the message says why.
    """
    place = shown(str(path))
    try:
        document = parse_yaml(path.read_bytes(), place=place, caps=CAPS)
        return ReferenceProfile.model_validate(document)
    except OSError as error:
        raise InvalidInputError(
            f"The profile {place} cannot be read: {error.strerror}. Make one with: proofhouse "
            "profile DATA --out FILE."
        ) from error
    except ValidationError as error:
        raise InvalidInputError(f"{place} is no profile of a table: {_first(error)}.") from error


def _asked(files: Sequence[Path], sandbox: Sandbox, limits: Limits) -> dict[str, Any]:
    places = tuple(file.resolve() for file in files)
    try:
        with sandbox.session(places, limits) as session:
            values = session.call(
                "intake.profiling.profile_table", paths=[str(place) for place in places]
            ).values
    except ChildError as error:
        words = shown(error.message)
        raise InvalidInputError(
            f"{_place(files)} cannot be read ({error.code}): {words}"
        ) from error
    if problem := str(values.get("problem", "")):
        raise InvalidInputError(f"{_place(files)} cannot be read: {shown(problem)}")
    return {
        name: values.get(name) for name in ("rows", "columns", "orders", "dependencies", "notes")
    }


def _place(files: Sequence[Path]) -> str:
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"{shown(str(files[0]))}{more}"


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    return shown(f"{where}: {problem['msg']}")
