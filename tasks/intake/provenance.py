"""All papers of a bundle held against its bytes: the provenance part of a subject."""

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tasks.domain.bundle import BundleSpec, FileEntry
from tasks.domain.errors import InvalidInputError
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.intake.advisories import advisory_observations, read_advisories
from tasks.intake.artifact import ArtifactFacts
from tasks.intake.bom import judge_bom, read_bom
from tasks.intake.bom_component import MODEL, Bom
from tasks.intake.contradictions import contradictions
from tasks.intake.croissant import croissant_observations, parse_croissant
from tasks.intake.datasheet import datasheet_observations
from tasks.intake.dependencies import judge_dependencies
from tasks.intake.dependency import Dependency
from tasks.intake.lineage import judge_lineage
from tasks.intake.model_card import card_observations, read_card
from tasks.intake.names import shown
from tasks.intake.questionnaire import Answer, fit_answers, parse_answers, read_questionnaire
from tasks.intake.requirements import is_dependency_file
from tasks.intake.scratch import scratch
from tasks.intake.signature import SignatureReading
from tasks.intake.stated_facts import Stated, Topic, facts_of_card, facts_of_pairs
from tasks.intake.trust import TrustedKeys
from tasks.store.protocol import ObjectStore

MOST_DOCUMENT_BYTES = 16 << 20
_MOST_DEPENDENCY_FILES = 50
# What a buyer misses most without it; the signature speaks for itself. The check weighs by tier.
_ABSENT = {
    "model_card": ("model_card", Severity.MEDIUM),
    "bom": ("bom", Severity.LOW),
    "questionnaire": ("questionnaire", Severity.LOW),
    "datasheet": ("datasheet", Severity.LOW),
    "provenance": ("lineage", Severity.LOW),
    "croissant": ("croissant", Severity.INFO),
}
_ABSENT_OF_DATA = _ABSENT | {"datasheet": ("datasheet", Severity.MEDIUM)}
del _ABSENT_OF_DATA["model_card"]
_ABOUT_DATA = {"datasheet", "croissant"}
_ABOUT_MODELS = {"provenance.bom.no_model", "provenance.bom.artifact_not_covered"}
# How hashlib calls what bills of materials name; BLAKE2b is cut to its length.
_HASHES = {"sha3256": "sha3_256", "sha3384": "sha3_384", "sha3512": "sha3_512"}


class Provenance(NamedTuple):
    """What the papers say and where they are wrong."""

    observations: tuple[Observation, ...]
    answers: dict[str, Answer]


class Papers:
    """Reads each document once, as text, from quarantine.

    Args:
        spec: The manifest.
        files: What lies in quarantine.
        store: Where it lies.
        facts: What the artifact's bytes say.
        workspace: For copies of files that must be hashed anew.
    """

    def __init__(
        self,
        spec: BundleSpec,
        files: Sequence[FileEntry],
        store: ObjectStore,
        facts: ArtifactFacts,
        workspace: Path,
    ) -> None:
        self._spec = spec
        self._files = {file.path: file for file in files}
        self._all = tuple(files)
        self._store = store
        self._facts = facts
        self._workspace = workspace
        self._hashes: dict[tuple[str, str], str] = {}

    def read(
        self,
        trusted: TrustedKeys,
        *,
        advisories: Path | None = None,
        now: dt.datetime | None = None,
    ) -> Provenance:
        """Returns every observation about the papers, and the usable answers."""
        now = now or dt.datetime.now(dt.UTC)
        signature = SignatureReading(
            self._spec, self._all, self._store, trusted=trusted, workspace=self._workspace, now=now
        )
        bom, of_bom = self._bom()
        declared, of_dependencies = self._dependencies(bom)
        answers, answered = self._questionnaire()
        return Provenance(
            (
                *signature.observations(),
                *self._absent(),
                *of_bom,
                *of_dependencies,
                *self._advisories(declared, advisories, now),
                *self._lineage(trusted),
                *self._croissant(),
                *self._card(),
                *self._datasheet(),
                *self._contradictions(bom),
                *answered,
            ),
            answers,
        )

    def _absent(self) -> Iterator[Observation]:
        documents = self._spec.documents.model_dump()
        absent = _ABSENT_OF_DATA if self._data_only() else _ABSENT
        for name, (family, severity) in absent.items():
            if documents[name] is None and not (name in _ABOUT_DATA and not self._has_data()):
                yield Observation(
                    rule=f"provenance.{family}.absent",
                    severity=severity,
                    detail=f"the bundle has no {family.replace('_', ' ')}",
                )

    def _data_only(self) -> bool:
        return self._spec.model.kind == "dataset"

    def _has_data(self) -> bool:
        return bool(self._spec.data.evaluation or self._spec.data.training)

    def _bom(self) -> tuple[Bom | None, tuple[Observation, ...]]:
        path = self._spec.documents.bom
        if path is None:
            return None, ()
        if (data := self._document(path)) is None:
            return None, (_too_large("bom", path),)
        try:
            bom = read_bom(data, place=path)
        except InvalidInputError as error:
            return None, (_unreadable("bom", error, path),)
        found = judge_bom(bom, self._spec, self._all, path=path, hasher=self._hashed)
        return bom, tuple(
            item for item in found if not (self._data_only() and item.rule in _ABOUT_MODELS)
        )

    def _dependencies(self, bom: Bom | None) -> tuple[tuple[Dependency, ...], list[Observation]]:
        named = self._spec.documents.requirements
        paths = [path for path in self._files if path == named or is_dependency_file(path)]
        documents: list[tuple[str, bytes]] = []
        found: list[Observation] = []
        for path in paths[:_MOST_DEPENDENCY_FILES]:
            if (data := self._document(path)) is None:
                found.append(_too_large("dependencies", path))
            else:
                documents.append((path, data))
        if len(paths) > _MOST_DEPENDENCY_FILES:
            detail = f"{len(paths) - _MOST_DEPENDENCY_FILES} more dependency files were not read"
            found.append(_observed("dependencies.unreadable", Severity.MEDIUM, detail, ""))
        if not paths and not bom:
            detail = "the bundle declares no packages that it needs"
            found.append(_observed("dependencies.absent", Severity.INFO, detail, ""))
        judged = judge_dependencies(documents, bom, bom_path=self._spec.documents.bom or "")
        return judged.declared, [*found, *judged.observations]

    def _advisories(
        self, declared: Sequence[Dependency], path: Path | None, now: dt.datetime
    ) -> Iterator[Observation]:
        if path is None:
            detail = "no source of advisories is set up"
            yield _observed("advisories.no_source", Severity.INFO, detail, "")
        elif declared:
            source = read_advisories(path, {item.name for item in declared})
            yield from advisory_observations(source, declared, now=now)

    def _lineage(self, trusted: TrustedKeys) -> Iterator[Observation]:
        path = self._spec.documents.provenance
        if path is not None and (data := self._document(path)) is not None:
            yield from judge_lineage(data, self._spec, self._all, trusted, path=path)
        elif path is not None:
            yield _too_large("lineage", path)

    def _croissant(self) -> Iterator[Observation]:
        path = self._spec.documents.croissant
        if path is not None and (data := self._document(path)) is not None:
            yield from croissant_observations(data, self._spec, self._all, path=path)
        elif path is not None:
            yield _too_large("croissant", path)

    def _card(self) -> Iterator[Observation]:
        path = self._spec.documents.model_card
        if path is not None and (data := self._document(path)) is not None:
            yield from card_observations(data, self._all, path=path)
        elif path is not None:
            yield _too_large("card", path)

    def _datasheet(self) -> Iterator[Observation]:
        path = self._spec.documents.datasheet
        if path is not None and (data := self._document(path)) is not None:
            yield from datasheet_observations(data, path=path)
        elif path is not None:
            yield _too_large("datasheet", path)

    def _contradictions(self, bom: Bom | None) -> Iterator[Observation]:
        facts = [*self._facts_of_documents(), *self._facts_of_bom(bom)]
        for found in contradictions(facts, self._spec, self._facts):
            detail = (
                f"{found.topic}: {found.said.who} {shown(found.said.text, 80)}, "
                f"{found.against.who} {shown(found.against.text, 120)}"
            )
            yield _observed("documents.contradiction", found.severity, detail, found.place)

    def _facts_of_documents(self) -> Iterator[Stated]:
        documents = self._spec.documents
        for paper, path in (("card", documents.model_card), ("datasheet", documents.datasheet)):
            data = self._document(path) if path else None
            if path is None or data is None:
                continue
            try:
                card = read_card(data, place=path)
            except InvalidInputError:
                continue  # said by whoever judges this paper
            facts = facts_of_card(card, paper=paper, place=path)
            # A datasheet's licence, version and numbers are those of the data.
            yield from (f for f in facts if paper == "card" or f.topic is Topic.CLASSES)
        if documents.croissant and (data := self._document(documents.croissant)) is not None:
            try:
                name = parse_croissant(data, place=documents.croissant).name
            except InvalidInputError:
                return
            yield Stated(Topic.TRAINING_DATA, name, "dataset card", documents.croissant)

    def _facts_of_bom(self, bom: Bom | None) -> Iterator[Stated]:
        path = self._spec.documents.bom or ""
        for component in bom.components if bom else ():
            if component.kind == MODEL and component.name == self._spec.model.name:
                yield from facts_of_pairs(component.facts, paper="BOM", place=path)

    def _questionnaire(self) -> tuple[dict[str, Answer], tuple[Observation, ...]]:
        path = self._spec.documents.questionnaire
        if path is None:
            return {}, ()
        data = self._document(path)
        if data is None:
            return {}, (_too_large("questionnaire", path),)
        try:
            given = parse_answers(data, place=path)
        except InvalidInputError as error:
            return {}, (_unreadable("questionnaire", error, path),)
        return fit_answers(read_questionnaire(), given, path=path)

    def _document(self, path: str) -> bytes | None:
        """Returns a document's bytes, or None when it is too large to be one."""
        file = self._files[path]
        return self._store.get(file.digest) if file.size_bytes <= MOST_DOCUMENT_BYTES else None

    def _hashed(self, file: FileEntry, algorithm: str) -> str:
        """Returns the hex of a file by another algorithm than the store's own; computed once."""
        known = self._hashes.get((file.path, algorithm))
        if known is None:
            known = self._hashes[file.path, algorithm] = self._hash_anew(file, algorithm)
        return known

    def _hash_anew(self, file: FileEntry, algorithm: str) -> str:
        with scratch(self._workspace, "hashing") as folder:
            place = folder / "bytes"
            self._store.fetch(file.digest, place)
            with place.open("rb") as stream:
                if algorithm.startswith("blake2b"):
                    size = int(algorithm.removeprefix("blake2b")) // 8
                    return hashlib.file_digest(
                        stream, lambda: hashlib.blake2b(digest_size=size)
                    ).hexdigest()
                return hashlib.file_digest(stream, _HASHES.get(algorithm, algorithm)).hexdigest()


def _too_large(kind: str, path: str) -> Observation:
    detail = f"more than {MOST_DOCUMENT_BYTES} bytes are no document"
    return _observed(f"{kind}.unreadable", Severity.MEDIUM, detail, path)


def _unreadable(kind: str, error: InvalidInputError, path: str) -> Observation:
    return _observed(f"{kind}.unreadable", Severity.MEDIUM, error.message, path)


def _observed(rule: str, severity: Severity, detail: str, location: str) -> Observation:
    return Observation(
        rule=f"provenance.{rule}", severity=severity, detail=detail[:2000], location=location
    )
