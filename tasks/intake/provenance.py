"""All papers of a bundle held against its bytes: the provenance part of a subject."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tasks.domain.bundle import BundleSpec, FileEntry
from tasks.domain.errors import InvalidInputError
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.intake.artifact import ArtifactFacts
from tasks.intake.bom import bom_observations
from tasks.intake.model_card import card_observations, document_observations
from tasks.intake.questionnaire import Answer, fit_answers, parse_answers, read_questionnaire
from tasks.intake.signature import SignatureReading, TrustedKeys
from tasks.store.protocol import ObjectStore

MOST_DOCUMENT_BYTES = 16 << 20
# What a buyer misses most without it; the signature speaks for itself.
_ABSENT = {
    "model_card": Severity.MEDIUM,
    "bom": Severity.LOW,
    "questionnaire": Severity.LOW,
    "datasheet": Severity.LOW,
}
_ABSENT_OF_DATA = {
    "datasheet": Severity.MEDIUM,
    "bom": Severity.LOW,
    "questionnaire": Severity.LOW,
}
_ABOUT_MODELS = {"provenance.bom.no_model", "provenance.bom.artifact_not_covered"}


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
    """

    def __init__(
        self,
        spec: BundleSpec,
        files: Sequence[FileEntry],
        store: ObjectStore,
        facts: ArtifactFacts,
    ) -> None:
        self._spec = spec
        self._files = {file.path: file for file in files}
        self._store = store
        self._facts = facts

    def read(self, trusted: TrustedKeys, workspace: Path) -> Provenance:
        """Returns every observation about the papers, and the usable answers."""
        files = tuple(self._files.values())
        signature = SignatureReading(
            self._spec, files, self._store, trusted=trusted, workspace=workspace
        )
        answers, answered = self._questionnaire()
        return Provenance(
            (
                *signature.observations(),
                *self._absent(),
                *self._bom(),
                *self._card(),
                *self._datasheet(),
                *answered,
            ),
            answers,
        )

    def _absent(self) -> Iterator[Observation]:
        documents = self._spec.documents.model_dump()
        data_only = self._spec.model.kind == "dataset"
        absent = _ABSENT_OF_DATA if data_only else _ABSENT
        for name, severity in absent.items():
            if documents[name] is None and not (name == "datasheet" and not self._has_data()):
                yield Observation(
                    rule=f"provenance.{name}.absent",
                    severity=severity,
                    detail=f"the bundle has no {name.replace('_', ' ')}",
                )

    def _has_data(self) -> bool:
        return bool(self._spec.data.evaluation or self._spec.data.training)

    def _bom(self) -> Iterator[Observation]:
        path = self._spec.documents.bom
        if path is not None and (data := self._document(path)) is not None:
            files = tuple(self._files.values())
            found = bom_observations(data, self._spec, files, path=path)
            data_only = self._spec.model.kind == "dataset"
            yield from (item for item in found if not data_only or item.rule not in _ABOUT_MODELS)
        elif path is not None:
            yield _too_large("bom", path)

    def _card(self) -> Iterator[Observation]:
        path = self._spec.documents.model_card
        if path is not None and (data := self._document(path)) is not None:
            files = tuple(self._files.values())
            yield from card_observations(data, self._spec, files, self._facts, path=path)
        elif path is not None:
            yield _too_large("card", path)

    def _datasheet(self) -> Iterator[Observation]:
        path = self._spec.documents.datasheet
        if path is not None and (data := self._document(path)) is not None:
            yield from document_observations(data, path=path)
        elif path is not None:
            yield _too_large("datasheet", path)

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
            unreadable = Observation(
                rule="provenance.questionnaire.unreadable",
                severity=Severity.MEDIUM,
                detail=error.message,
                location=path,
            )
            return {}, (unreadable,)
        return fit_answers(read_questionnaire(), given, path=path)

    def _document(self, path: str) -> bytes | None:
        """Returns a document's bytes, or None when it is too large to be one."""
        file = self._files[path]
        return self._store.get(file.digest) if file.size_bytes <= MOST_DOCUMENT_BYTES else None


def _too_large(kind: str, path: str) -> Observation:
    return Observation(
        rule=f"provenance.{kind}.unreadable",
        severity=Severity.MEDIUM,
        detail=f"more than {MOST_DOCUMENT_BYTES} bytes are no document",
        location=path,
    )
