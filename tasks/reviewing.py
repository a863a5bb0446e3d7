"""Reviewing data without a model: what is taken in, and how it is planned.

A bundle with a model is reviewed for its data alone, as an asset of its own, so that a good verdict
on the data never speaks for the model.
"""

import tempfile
from pathlib import Path

from tasks.domain.bundle import ModelSpec, Subject
from tasks.domain.digest import Digest
from tasks.domain.errors import InvalidInputError
from tasks.intake.bare_data import Named, is_bundle, wrap
from tasks.intake.filling import filled_in
from tasks.intake.manifest import MANIFEST
from tasks.intake.quarantine import QUOTAS
from tasks.intake.stage import take_in_here
from tasks.intake.strict_yaml import parse_yaml
from tasks.intake.subject import Outside, read_again
from tasks.runtime import services
from tasks.store.protocol import ObjectStore

_MODEL_ONLY = ("provenance.card.", "provenance.model_card.", "provenance.signature.artifact_")


def take_in_data(path: Path, named: Named) -> Digest:
    """Takes in the data of a bundle, or bare data; returns the digest of the dataset's subject.

    Raises:
        InvalidInputError: There is no data in it, or nobody knows what is what.
    """
    here = services()
    if is_bundle(path):
        if named != Named():
            raise InvalidInputError(
                f"{path} is a bundle and says itself what its data is. Leave out --vendor, --name, "
                "--inputs, --labels and --reference, or name the data file."
            )
        return data_of(take_in_here(path))
    scratch = here.settings.home.resolve() / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="data-") as folder:
        wrapped = wrap(path, Path(folder), named=named, sandbox=here.sandbox, quotas=QUOTAS)
        return take_in_here(wrapped)


def data_of(digest: Digest) -> Digest:
    """Returns the subject that holds only the data of a bundle, and the papers about it."""
    store = services().store
    subject = Subject.parse(store.get(digest))
    if subject.spec.model.kind == "dataset":
        return digest
    if not subject.datasets:
        raise InvalidInputError(
            "The bundle has no data: bundle.yaml names neither data.training nor data.evaluation."
        )
    return store.put(_apart(subject, digest).canonical()).digest


def read_data_again(
    subject: Subject, outside: Outside, store: ObjectStore, workspace: Path
) -> Subject:
    """Returns the subject of a dataset as its papers read today.

    Papers that came with a model are about both, so they are read with the whole bundle; where a
    review of old does not tell which that was, nothing is read.

    Raises:
        StoreError: The store failed.
        SigningError: A trusted key is not a key.
        SettingsError: There are no advisories where they should be.
    """
    if subject.whole is None:
        alone = _came_alone(subject, store)
        return read_again(subject, outside, store, workspace) if alone else subject
    whole = Subject.parse(store.get(subject.whole))
    today = _apart(read_again(whole, outside, store, workspace), subject.whole)
    today = today.model_copy(update={"baseline": subject.baseline})
    return filled_in(today, subject.filled, subject.filled_by) if subject.filled else today


def _came_alone(subject: Subject, store: ObjectStore) -> bool:
    """Answers whether the manifest, which nobody can change any more, is about data alone."""
    file = subject.file(MANIFEST)
    return file is not None and "dataset" in parse_yaml(store.get(file.digest), place=MANIFEST)


def _apart(subject: Subject, whole: Digest) -> Subject:
    spec = subject.spec
    about = ModelSpec(
        kind="dataset",
        name=f"{spec.model.name} (data)"[:200],
        version=spec.model.version,
        task=spec.model.task,
        input=spec.model.input,
        output=spec.model.output,
        intended_use=spec.model.intended_use,
    )
    papers = {path for path in spec.documents.model_dump().values() if path}
    kept = papers | {data.path for data in subject.datasets} | {MANIFEST}
    return subject.model_copy(
        update={
            "spec": spec.model_copy(update={"model": about}),
            "whole": whole,
            "files": tuple(file for file in subject.files if file.path in kept),
            "observations": tuple(
                item for item in subject.observations if not item.rule.startswith(_MODEL_ONLY)
            ),
        }
    )
