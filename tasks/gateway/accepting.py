"""Whether a model may be served at all: its sealed acceptance is verified again, here and now.

The statement of the accepting run is signed and names every file of the bundle by digest, so a
model that verifies is byte for byte the one that was accepted.
"""

from typing import NamedTuple

from pydantic import ValidationError

from tasks.domain.bundle import ModelSpec, Subject
from tasks.domain.digest import Digest
from tasks.domain.errors import ProofhouseError
from tasks.domain.finding import Verdict
from tasks.domain.spec import ASSESSMENT
from tasks.inventory.database import Inventory
from tasks.ledger.seal import sealed_run
from tasks.ledger.trust import Trust
from tasks.ledger.verify import verify_run
from tasks.ledger.witness import Witness
from tasks.store.protocol import ObjectStore

ACCEPTING = {Verdict.ACCEPTED, Verdict.ACCEPTED_WITH_CONDITIONS}


class UnsignedModelError(ProofhouseError):
    """A model is not what somebody accepted and signed, so it is not served."""

    code = "gateway.unsigned"


class AcceptedModel(NamedTuple):
    """A model that was accepted, and where its bytes are."""

    asset: str
    run: str
    subject: Digest
    spec: ModelSpec
    artifact: Digest | None
    architecture: Digest | None


def accepted_model(
    reference: str,
    *,
    store: ObjectStore,
    inventory: Inventory,
    trust: Trust,
    witness: Witness | None = None,
) -> AcceptedModel:
    """Returns the model of an asset after verifying its latest verdict.

    Args:
        reference: The asset, ``vendor/name@version``.
        store: Holds evidence and bytes.
        inventory: Knows which run was the latest; nothing it says is believed unverified.
        trust: Keys that may sign verdicts.
        witness: What was seen of the log before.

    Raises:
        UnsignedModelError: There is no verdict, it does not accept, or its evidence does not hold.
    """
    runs = [run for run in inventory.runs(reference) if run.occasion != ASSESSMENT]
    if not runs:
        raise UnsignedModelError(
            f"{reference!r} has no verdict here: onboard it first (`proofhouse inventory assets` "
            "lists what there is)"
        )
    latest = runs[0].run
    verified = verify_run(latest, store, trust, witness)
    if not verified.ok:
        raise UnsignedModelError(
            f"the evidence of {latest} does not verify: {'; '.join(verified.problems[:3])}"
        )
    sealed = sealed_run(store, latest)
    if sealed is None or sealed[0].asset != reference:
        raise UnsignedModelError(f"{latest} is not the sealed verdict on {reference}")
    record = sealed[0]
    if record.decision.verdict not in ACCEPTING:
        raise UnsignedModelError(
            f"{reference} is not accepted: the verdict of {latest} is {record.decision.verdict}"
        )
    try:
        subject = Subject.parse(store.get(record.subject))
    except (ProofhouseError, ValidationError) as error:
        raise UnsignedModelError(f"what {latest} is about cannot be read: {error}") from error
    return _of_subject(record.asset, latest, record.subject, subject)


def _of_subject(asset: str, run: str, digest: Digest, subject: Subject) -> AcceptedModel:
    spec = subject.spec.model
    found: dict[str, Digest | None] = {}
    for role, path in (("artifact", spec.artifact), ("architecture", spec.architecture)):
        entry = subject.file(path) if path else None
        if path and entry is None:
            raise UnsignedModelError(f"{run} names no file {path}, so it cannot be served")
        found[role] = entry.digest if entry else None
    return AcceptedModel(asset, run, digest, spec, found["artifact"], found["architecture"])
