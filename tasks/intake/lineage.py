"""Where model and data came from: attestations held against keys, builders and bytes."""

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tasks.domain.bundle import BundleSpec, FileEntry
from tasks.domain.digest import hexadecimal
from tasks.domain.errors import InvalidInputError
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.intake.attestation import (
    Lineage,
    Resource,
    Signed,
    Statement,
    parse_attestation,
    read_signed,
)
from tasks.intake.certificates import UntrustedChainError, certificate_signer, is_one_of
from tasks.intake.keyless import verify_keyless
from tasks.intake.names import shown
from tasks.intake.trust import TrustedKeys, is_made_by

_PREPROCESSING = re.compile(r"pre.?process|transform|augment|normali[sz]|tokeni[sz]|resiz|split")
_TRAINER = re.compile(
    r"train|epoch|optimi[sz]er|learning.?rate|batch|loss|config|workflow|framework|torch|tensorflow"
)
_CODE = re.compile(r"git\+|\.git$|^pkg:|requirements|\.lock$|docker|oci:")
_MOST_KEYS = 2_000


class Trusted(NamedTuple):
    """How far a statement may be believed: by whom it was signed, or why it is not believed."""

    signer: str = ""
    rule: str = ""
    severity: Severity = Severity.INFO
    problem: str = ""


def judge_lineage(
    data: bytes,
    spec: BundleSpec,
    files: Sequence[FileEntry],
    trusted: TrustedKeys,
    *,
    path: str,
) -> tuple[Observation, ...]:
    """Reads every attestation of a document and says what it proves, and what it leaves open.

    Args:
        data: The document's bytes.
        spec: The bundle's manifest.
        files: What lies in quarantine.
        trusted: Whose signatures count.
        path: Where the document lies.
    """
    found: list[Observation] = []
    believed: list[Statement] = []
    try:
        signed = read_signed(data, place=path)
        parts = [(each, parse_attestation(each.payload, place=path)) for each in signed]
    except InvalidInputError as error:
        return (_observed("unreadable", Severity.MEDIUM, error.message, path),)
    for each, statement in parts:
        trust = trust_in(each, spec.vendor.name, trusted)
        if trust.rule:
            found.append(_observed(trust.rule, trust.severity, trust.problem, path))
        found += _contradictions(statement, files, path)
        found += _own_problems(statement, spec, trusted, path)
        if trust.signer:
            believed.append(statement)
            found.append(_observed("verified", Severity.INFO, _told(statement, trust), path))
    found += _gaps(believed, spec, files, path)
    return tuple(found)


def trust_in(signed: Signed, vendor: str, trusted: TrustedKeys) -> Trusted:
    """Says who signed a statement for a vendor, or why it is not believed."""
    if not signed.envelopes:
        return Trusted(
            rule="unsigned", severity=Severity.MEDIUM,
            problem="the statement is not signed: anybody could have written it",
        )  # fmt: skip
    wrong = ""
    for envelope in signed.envelopes:
        for key_path, key in trusted.keys:
            if is_made_by(key, *envelope.signed()):
                if trusted.key_speaks_for(key_path, vendor):
                    return Trusted(signer=f"key {key_path.stem}")
                wrong = f"key {key_path.stem}"
    if signed.bundle is not None and not wrong:
        by_certificate = _by_certificate(signed, vendor, trusted)
        if by_certificate is not None:
            return by_certificate
    if wrong:
        return Trusted(
            rule="wrong_identity", severity=Severity.HIGH,
            problem=f"signed with {wrong}, which does not speak for {shown(vendor, 80)}",
        )  # fmt: skip
    return Trusted(
        rule="unknown_key", severity=Severity.MEDIUM,
        problem=f"no trusted signer made it ({len(trusted.keys)} keys are known)",
    )  # fmt: skip


def _by_certificate(signed: Signed, vendor: str, trusted: TrustedKeys) -> Trusted | None:
    """Verifies a Sigstore bundle by the operator's root, else by the operator's authorities."""
    envelope, wanted = signed.envelopes[0], trusted.identities_of(vendor)
    if trusted.sigstore_root is not None and signed.bundle is not None:
        try:
            found = verify_keyless(signed.bundle, trusted.sigstore_root, wanted)
        except InvalidInputError:
            found = None
        if found is not None and found.payload == signed.payload:
            if found.expected:
                return Trusted(signer=f"Sigstore identity {found.signer}")
            problem = f"signed by {found.signer}, who does not speak for {shown(vendor, 80)}"
            return Trusted(rule="wrong_identity", severity=Severity.HIGH, problem=problem)
    if not trusted.certificates or not envelope.certificates:
        return None
    try:
        signer = certificate_signer(envelope.certificates, trusted)
    except (UntrustedChainError, InvalidInputError):
        return None
    if not is_made_by(signer.key, *envelope.signed()) or not is_one_of(signer.names, wanted):
        return None
    return Trusted(signer=f"a certificate of {', '.join(shown(n, 80) for n in signer.names)}")


def _contradictions(
    statement: Statement, files: Sequence[FileEntry], path: str
) -> Iterator[Observation]:
    """Finds things that are named like a file here and have other bytes.

    Subjects may be named by the file's last part; dependencies only by the whole path, as raw
    data elsewhere may well be called the same.
    """
    dependencies = statement.lineage.dependencies if statement.lineage else ()
    paths = _by_path(files)
    for items, known, what in (
        (statement.subjects, _by_name(files) | paths, "subject"),
        (dependencies, paths, "dependency"),
    ):
        for item in items:
            file = _named(item, known)
            said = item.sha256()
            if file is not None and said and hexadecimal(file.digest) not in said:
                detail = (
                    f"the lineage's {what} {shown(file.path)} has SHA-256 {min(said)}, "
                    f"the bytes have {hexadecimal(file.digest)}"
                )
                yield _observed(f"{what}_mismatch", Severity.HIGH, detail, path)


def _named(item: Resource, known: Mapping[str, FileEntry]) -> FileEntry | None:
    for text in (item.name, item.uri.removeprefix("file:")):
        if (file := known.get(text.removeprefix("./"))) is not None:
            return file
    return None


def _by_path(files: Sequence[FileEntry]) -> dict[str, FileEntry]:
    return {file.path: file for file in files}


def _by_name(files: Sequence[FileEntry]) -> dict[str, FileEntry]:
    """Files by the last part of their path, where only one is called so."""
    counts = Counter(file.path.rpartition("/")[2] for file in files)
    named = ((file.path.rpartition("/")[2], file) for file in files)
    return {name: file for name, file in named if counts[name] == 1}


def _own_problems(
    statement: Statement, spec: BundleSpec, trusted: TrustedKeys, path: str
) -> Iterator[Observation]:
    lineage = statement.lineage
    if lineage is None:
        detail = (
            f"the predicate {statement.predicate_type or 'without type'} says nothing of origin"
        )
        yield _observed("other_predicate", Severity.INFO, detail, path)
        return
    builders = trusted.builders_of(spec.vendor.name)
    if builders and lineage.builder not in builders:
        detail = (
            f"the lineage names builder {lineage.builder or 'none'}, expected is "
            f"{', '.join(shown(each, 120) for each in builders[:3])}"
        )
        yield _observed("unknown_builder", Severity.HIGH, detail, path)
    started, finished = _time(lineage.started), _time(lineage.finished)
    if started and finished and started > finished:
        detail = f"the build ended ({lineage.finished}) before it began ({lineage.started})"
        yield _observed("odd_times", Severity.LOW, detail, path)


def _gaps(
    believed: Sequence[Statement], spec: BundleSpec, files: Sequence[FileEntry], path: str
) -> Iterator[Observation]:
    """Says what no believed statement covers. Only signed ones count: others anybody can write."""
    about = [each for each in believed if each.lineage is not None]
    digests = {file.path: hexadecimal(file.digest) for file in files}
    artifact = digests.get(spec.model.artifact or "")
    of_model = [each for each in about if artifact in _digests(each.subjects)]
    if artifact and not of_model:
        detail = f"no signed lineage is about the bytes of {shown(spec.model.artifact or '')}"
        yield _observed("artifact_not_covered", Severity.MEDIUM, detail, path)
    training = spec.data.training
    if training is not None:
        known = {d for each in about for d in _digests((*each.subjects, *_used(each)))}
        if digests[training.path] not in known:
            detail = f"no signed lineage names the bytes of {shown(training.path)}"
            yield _observed("training_data_not_covered", Severity.LOW, detail, path)
    for statement in of_model or about[:1]:
        assert statement.lineage is not None, "only those about origin are looked at"
        yield from _silent(statement.lineage, path)


def _silent(lineage: Lineage, path: str) -> Iterator[Observation]:
    keys = " ".join(_keys(lineage.parameters)).lower()
    # "train.npz" is data that was trained on; it says nothing of what trained.
    code = [item for item in lineage.dependencies if not _is_data(item)]
    used = " ".join(f"{item.name} {item.uri}" for item in code).lower()
    stated = {
        "builder": bool(lineage.builder),
        "commit": any(item.commit for item in lineage.dependencies),
        "preprocessing": _PREPROCESSING.search(keys) is not None,
        "trainer": _TRAINER.search(f"{keys} {used} {lineage.build_type.lower()}") is not None,
        "training_data": len(code) < len(lineage.dependencies),
    }
    for field, there in stated.items():
        if not there:
            detail = f"the lineage of the model does not say its {field.replace('_', ' ')}"
            yield _observed(f"no_{field}", Severity.LOW, detail, path)


def _keys(value: Any) -> list[str]:
    """Returns the names and short texts of nested parameters, in bounded number."""
    found: list[str] = []
    waiting = [value]
    while waiting and len(found) < _MOST_KEYS:
        item = waiting.pop()
        if isinstance(item, Mapping):
            found += [str(key)[:80] for key in item]
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, str):
            found.append(item[:80])
    return found


def _told(statement: Statement, trust: Trusted) -> str:
    lineage = statement.lineage
    if lineage is None:
        return f"{statement.predicate_type}, signed with {trust.signer}"
    commit = next((item.commit for item in lineage.dependencies if item.commit), "no commit")
    names = ", ".join(shown(item.name or item.uri, 60) for item in statement.subjects[:3])
    return (
        f"lineage of {names}: builder {lineage.builder or 'not named'}, commit {commit[:12]}, "
        f"{len(lineage.dependencies)} dependencies; signed with {trust.signer}"
    )


def _is_data(item: Resource) -> bool:
    """Answers whether a dependency looks like data: not source code, and not a package."""
    return not (item.commit or _CODE.search(item.uri) or _CODE.search(item.name))


def _used(statement: Statement) -> tuple[Resource, ...]:
    return statement.lineage.dependencies if statement.lineage else ()


def _digests(items: Sequence[Resource]) -> set[str]:
    return {value for item in items for value in item.sha256()}


def _time(text: str) -> dt.datetime | None:
    try:
        when = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=dt.UTC)


def _observed(rule: str, severity: Severity, detail: str, location: str) -> Observation:
    return Observation(
        rule=f"provenance.lineage.{rule}", severity=severity, detail=detail[:2000],
        location=location,
    )  # fmt: skip
