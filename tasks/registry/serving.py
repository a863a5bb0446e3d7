"""The one door through which models are loaded: accepted, signed, and still what was signed.

Whatever serves a model asks :func:`accepted_model` first. It believes nothing but signatures: not
the inventory, not MLflow, not a file's name.
"""

from typing import NamedTuple

from tasks.domain.bundle import ModelSpec, Subject
from tasks.domain.digest import Digest
from tasks.domain.errors import InvalidInputError, InventoryError, ProofhouseError
from tasks.domain.finding import Verdict
from tasks.domain.promotion import ALIASES, Alias, model_of
from tasks.domain.run import RunRecord
from tasks.domain.spec import ASSESSMENT
from tasks.inventory.database import Inventory
from tasks.inventory.rows import Run
from tasks.ledger.promotions import Link
from tasks.ledger.seal import Sealed, sealed_run
from tasks.ledger.verify import verify_run
from tasks.registry.place import RegistryPlace
from tasks.registry.signing import UnsignedModelError, model_files, verify_files
from tasks.registry.state import ModelState, model_state

__all__ = [
    "AcceptedModel",
    "Signed",
    "UnsignedModelError",
    "accepted_model",
    "verify_signed",
    "verify_still_accepted",
]
LETTING_IN = {Verdict.ACCEPTED, Verdict.ACCEPTED_WITH_CONDITIONS}


class Signed(NamedTuple):
    """What vouches for a model: the run's statement, the move that registered it, the signature.

    ``signature`` and ``model_key`` are empty for a model behind an address: it has no files.
    """

    statement: Digest
    ledger_index: int
    promotion: Digest
    keyid: str
    signature: Digest | None
    model_key: str


class AcceptedModel(NamedTuple):
    """A model that may be loaded. ``alias`` is the place it holds in the registry, if any."""

    asset: str
    model: str
    alias: Alias | None
    run: str
    verdict: Verdict
    subject: Digest
    spec: ModelSpec
    artifact: Digest | None
    architecture: Digest | None
    signed: Signed


def accepted_model(reference: str, registry: RegistryPlace | None = None) -> AcceptedModel:
    """Verifies a registered model from its evidence and returns what may be loaded.

    Args:
        reference: ``vendor/name@version``, or ``vendor/name@alias`` with alias candidate, canary or
            champion.
        registry: Where to look; the one that the settings name when None.

    Raises:
        UnsignedModelError: It is not registered, its evidence or signature does not verify, or its
            verdict does not (or no longer) let it in.
        InvalidInputError: The reference is none.
        StoreError: The store failed.
    """
    registry = registry or RegistryPlace.here()
    model = model_of(reference)
    if not model:
        raise InvalidInputError(
            f"{reference[:200]!r} names no model: vendor/name@version or vendor/name@champion."
        )
    try:
        state = model_state(model, registry)
    except ProofhouseError as error:
        raise _refused(reference, f"its promotion log does not verify: {error.message}") from error
    asset = _asset_of(reference, state.held)
    link = _registered(state, asset)
    record, sealed = _sealed(link, registry)
    _verify_latest(record, registry)
    files, key = _signed_files(link, record, registry)
    spec = Subject.parse(registry.store.get(record.subject)).spec.model
    return AcceptedModel(
        asset=asset,
        model=model,
        alias=state.alias_of(asset),
        run=record.run,
        verdict=record.decision.verdict,
        subject=record.subject,
        spec=spec,
        artifact=files.get(spec.artifact or ""),
        architecture=files.get(spec.architecture or ""),
        signed=Signed(
            statement=sealed.statement,
            ledger_index=sealed.ledger_index,
            promotion=link.statement,
            keyid=link.keyid,
            signature=link.move.signature,
            model_key=key,
        ),
    )


def verify_still_accepted(reference: str, registry: RegistryPlace) -> None:
    """Raises if a model that is being served must not be loaded any more.

    Evidence that cannot be read verifies no more than evidence that is false. Here the difference
    counts: a refusal is believed only of a store that answers before it is asked again.

    Raises:
        UnsignedModelError: As :func:`accepted_model`.
        StoreNotAnsweringError: The store is silent, which says nothing about the model.
    """
    try:
        accepted_model(reference, registry)
    except UnsignedModelError:
        registry.store.claimed("is-anybody-there")
        accepted_model(reference, registry)


def verify_signed(asset: str, registry: RegistryPlace) -> None:
    """Raises unless a registered version is still what was signed, whatever verdicts say now.

    Raises:
        UnsignedModelError: Its run, registration or signature does not verify.
        EvidenceError: Its model's chain does not.
        StoreError: The store failed.
    """
    link = _registered(model_state(model_of(asset), registry), asset)
    record, _ = _sealed(link, registry)
    _signed_files(link, record, registry)


def _asset_of(reference: str, held: dict[Alias, str]) -> str:
    wanted = reference.rpartition("@")[2]
    alias = next((alias for alias in ALIASES if alias == wanted), None)
    if alias is None:
        return reference
    if alias not in held:
        raise _refused(reference, f"no version of it is {alias}")
    return held[alias]


def _registered(state: ModelState, asset: str) -> Link:
    version = state.version(asset)
    if version is None:
        raise _refused(asset, "it is not registered: `proofhouse registry add` enters it")
    if version.withdrawn:
        raise _refused(asset, f"it was withdrawn: {version.withdrawn}")
    return version.link


def _sealed(link: Link, registry: RegistryPlace) -> tuple[RunRecord, Sealed]:
    move = link.move
    checked = verify_run(move.run, registry.store, registry.trust, registry.witness)
    found = sealed_run(registry.store, move.run) if checked.ok else None
    if found is None:
        raise _refused(move.asset, f"{move.run} does not verify: {'; '.join(checked.problems)}")
    record, sealed = found
    told = (record.asset, record.subject, sealed.statement)
    if told != (move.asset, move.subject, move.statement):
        raise _refused(move.asset, f"it was registered for other evidence than that of {move.run}")
    if record.decision.verdict not in LETTING_IN:
        raise _refused(move.asset, f"the verdict of {move.run} is {record.decision.verdict}")
    return record, sealed


def _verify_latest(record: RunRecord, registry: RegistryPlace) -> None:
    """Refuses a model that a later whole run, sealed as well, refused.

    One that a later run wants to have reviewed stays in service: that is for a person to decide.
    """
    for row in _later_runs(record, registry):
        found = sealed_run(registry.store, row.run)
        if found is not None and found[0].decision.verdict is Verdict.REFUSED:
            raise _refused(record.asset, f"its latest verdict is refused, see {row.run}")
        return


def _later_runs(record: RunRecord, registry: RegistryPlace) -> tuple[Run, ...]:
    """Returns the whole runs of the same bytes, the latest first, down to ``record``'s own."""
    try:
        rows = Inventory(registry.database).runs(record.asset)
    except InventoryError:
        return ()  # a view only: without it the registered run speaks
    ours = Subject.parse(registry.store.get(record.subject))

    def is_about(row: Run) -> bool:
        # Papers are read again at night: what is known of the same bytes may be another.
        if row.bundle == record.subject:
            return True
        return ours.is_same_bundle(Subject.parse(registry.store.get(Digest(row.bundle))))

    whole = [row for row in rows if row.occasion != ASSESSMENT and is_about(row)]
    own = next((i for i, row in enumerate(whole) if row.run == record.run), 0)
    return tuple(whole[:own])


def _signed_files(
    link: Link, record: RunRecord, registry: RegistryPlace
) -> tuple[dict[str, Digest], str]:
    """Returns the model's files after checking that they are the signed ones, and whose key."""
    move = link.move
    files = model_files(Subject.parse(registry.store.get(record.subject)))
    if files != move.files:
        raise _refused(move.asset, "its files are not those that were registered")
    if not files:
        return files, ""
    assert move.signature is not None, "a move with files has their signature"
    place = f"the model signature of {move.asset}"
    data = registry.store.get(move.signature)
    return files, verify_files(data, files, home=registry.home, place=place)


def _refused(reference: str, why: str) -> UnsignedModelError:
    return UnsignedModelError(f"{reference[:200]} must not be loaded: {why}.")
