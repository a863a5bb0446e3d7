"""The one door: what must not be loaded is refused, each trick with its own reason."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.domain.digest import Digest, digest_of
from tasks.domain.errors import InvalidInputError, StoreNotAnsweringError
from tasks.domain.finding import Verdict
from tasks.domain.measurement import Observation
from tasks.domain.promotion import Move
from tasks.domain.severity import Severity
from tasks.intake.writing import make_vendor_key
from tasks.ledger.entry import PROMOTIONS
from tasks.ledger.seal import sealed_run
from tasks.registry.registering import Why, promote, register, withdraw
from tasks.registry.serving import UnsignedModelError, accepted_model, verify_still_accepted
from tasks.registry.signing import model_files, sign_files, trusted_folder
from tasks.store.protocol import ObjectStore
from tests.tasks.registry.homes import MODEL, Home

WHY = Why("a test", by="tester")
ASSET = f"{MODEL}@1"


def registered(home: Home) -> None:
    register(home.seal().run, home.registry, WHY)


def test_what_was_accepted_and_registered_may_be_loaded(home: Home) -> None:
    record = home.seal()
    register(record.run, home.registry, WHY)
    model = accepted_model(ASSET, home.registry)
    assert (model.asset, model.model, model.alias) == (ASSET, MODEL, "candidate")
    assert (model.run, model.verdict) == (record.run, Verdict.ACCEPTED)
    assert model == accepted_model(f"{MODEL}@candidate", home.registry)
    files = model_files(home.subject())
    assert (model.artifact, model.architecture) == (
        files["model.safetensors"],
        files["layers.yaml"],
    )
    assert model.spec.version == "1"
    sealed = sealed_run(home.store, record.run)
    assert sealed is not None
    assert model.signed.statement == sealed[1].statement
    assert model.signed.signature is not None
    assert home.store.has(model.signed.signature)


def test_an_alias_that_nobody_holds_is_refused(home: Home) -> None:
    registered(home)
    with pytest.raises(UnsignedModelError, match="no version of it is champion"):
        accepted_model(f"{MODEL}@champion", home.registry)


@pytest.mark.parametrize("reference", ["", "reader", "@1", "a" * 5000])
def test_what_names_no_model_is_bad_input(home: Home, reference: str) -> None:
    with pytest.raises(InvalidInputError, match="names no model"):
        accepted_model(reference, home.registry)


def never_registered(home: Home) -> None:
    home.seal()


def refused(home: Home) -> None:
    """A refused run that somebody with the signing key registers all the same."""
    record = home.seal(verdict=Verdict.REFUSED)
    forge(home, record.run, dict(model_files(home.subject())))


def other_weights(home: Home) -> None:
    """A registration whose files are not those of the run that vouches for it."""
    record = home.seal()
    files = dict(model_files(home.subject()))
    files["model.safetensors"] = home.store.put(b"other weights").digest
    forge(home, record.run, files)


def signed_by_a_stranger(home: Home) -> None:
    record = home.seal()
    key = home.path / "stranger.pem"
    make_vendor_key(key)
    files = dict(model_files(home.subject()))
    signature = sign_files(
        files, home.store, home=home.path, key=key, scratch=home.path / "scratch"
    )
    forge(home, record.run, files, signature=signature)


def signed_for_other_files(home: Home) -> None:
    record = home.seal()
    other = {"model.safetensors": home.store.put(b"other").digest}
    signature = sign_files(
        other, home.store, home=home.path, key=None, scratch=home.path / "scratch"
    )
    forge(home, record.run, dict(model_files(home.subject())), signature=signature)


def no_signature_at_all(home: Home) -> None:
    record = home.seal()
    rubbish = home.store.put(b'{"mediaType": "text/plain"}').digest
    forge(home, record.run, dict(model_files(home.subject())), signature=rubbish)


def key_no_longer_trusted(home: Home) -> None:
    registered(home)
    for path in trusted_folder(home.path).iterdir():
        path.unlink()


def bytes_changed_in_the_store(home: Home) -> None:
    registered(home)
    digest = model_files(home.subject())["model.safetensors"]
    place = object_file(home, digest)
    place.chmod(0o644)
    place.write_bytes(b"poisoned")


def chain_cut(home: Home) -> None:
    """The first link is gone, the second stays."""
    registered(home)
    promote(ASSET, "canary", home.registry, WHY)
    claim_file(home, next(iter(home.store.claims(PROMOTIONS)))).unlink()


def withdrawn(home: Home) -> None:
    registered(home)
    withdraw(ASSET, home.registry, Why("it was recalled", by="tester"))


def refused_later(home: Home) -> None:
    registered(home)
    home.seal(verdict=Verdict.REFUSED, occasion="nightly")


def refused_after_its_papers_were_read_again(home: Home) -> None:
    registered(home)
    learnt = Observation(rule="provenance.x.y", severity=Severity.CRITICAL, detail="known today")
    today = home.subject().model_copy(update={"observations": (learnt,)})
    home.seal(verdict=Verdict.REFUSED, occasion="nightly", subject=today)


def statement_of_another_run(home: Home) -> None:
    record, other = home.seal(), home.seal("2")
    forge(home, record.run, dict(model_files(home.subject())), statement_of=other.run)


TRICKS: dict[str, tuple[Callable[[Home], None], str]] = {
    "never registered": (never_registered, "it is not registered"),
    "refused": (refused, "is refused"),
    "other weights": (other_weights, "not those that were registered"),
    "signed by a stranger": (signed_by_a_stranger, "none of the"),
    "signed for other files": (signed_for_other_files, "over other files"),
    "no signature": (no_signature_at_all, "not an OpenSSF one"),
    "key no longer trusted": (key_no_longer_trusted, "none of the 0 keys"),
    "bytes changed": (bytes_changed_in_the_store, "does not verify"),
    "chain cut": (chain_cut, "does not continue the chain"),
    "withdrawn": (withdrawn, "it was recalled"),
    "refused later": (refused_later, "its latest verdict is refused"),
    "refused by what was learnt": (
        refused_after_its_papers_were_read_again,
        "its latest verdict is refused",
    ),
    "another statement": (statement_of_another_run, "for other evidence"),
}


@pytest.mark.parametrize("name", TRICKS)
def test_a_model_that_must_not_be_loaded_is_refused_with_its_reason(home: Home, name: str) -> None:
    trick, words = TRICKS[name]
    trick(home)
    with pytest.raises(UnsignedModelError, match=words):
        accepted_model(ASSET, home.registry)


def test_a_model_that_a_night_wants_reviewed_stays_in_service(home: Home) -> None:
    registered(home)
    home.seal(verdict=Verdict.NEEDS_REVIEW, occasion="nightly")
    assert accepted_model(ASSET, home.registry).verdict is Verdict.ACCEPTED


def test_without_the_inventory_the_sealed_run_speaks(home: Home) -> None:
    registered(home)
    lost = home.registry._replace(database="sqlite:////proc/none/inventory.sqlite")
    assert accepted_model(ASSET, lost).verdict is Verdict.ACCEPTED


def test_a_model_behind_an_address_has_no_files_to_sign(home: Home) -> None:
    document = home.subject().model_dump(mode="json")
    document["spec"]["model"] |= {
        "artifact": None,
        "architecture": None,
        "endpoint": {"url": "https://models.example/infer"},
    }
    subject = type(home.subject()).model_validate(json.loads(json.dumps(document)))
    register(home.seal(subject=subject).run, home.registry, WHY)
    model = accepted_model(ASSET, home.registry)
    assert (model.artifact, model.signed.signature, model.signed.model_key) == (None, None, "")
    assert model.spec.endpoint is not None


def forge(
    home: Home,
    run: str,
    files: dict[str, Digest],
    *,
    signature: Digest | None = None,
    statement_of: str | None = None,
) -> None:
    """Appends a registration by hand, as somebody with the signing key could."""
    found = sealed_run(home.store, run)
    other = sealed_run(home.store, statement_of or run)
    assert found is not None
    assert other is not None
    record = found[0]
    scratch = home.path / "scratch"
    move = Move.model_validate(
        {
            "action": "register",
            "alias": "candidate",
            "asset": record.asset,
            "run": run,
            "statement": other[1].statement,
            "subject": record.subject,
            "files": files,
            "signature": signature
            or sign_files(files, home.store, home=home.path, key=None, scratch=scratch),
            "reason": "forged",
            "by": "mallory",
            "issued": "2026-01-03T00:00:00Z",
        }
    )
    assert home.registry.writing().append(MODEL, move, after=0) is not None


def object_file(home: Home, digest: Digest) -> Path:
    found = [path for path in home.path.rglob("*") if path.name == digest.removeprefix("sha256:")]
    found = found or [
        path
        for path in (home.path / "store").rglob("*")
        if path.is_file() and digest_of(path.read_bytes()) == digest
    ]
    return found[0]


def claim_file(home: Home, name: str) -> Path:
    folder = home.path / "store" / "claims" / Path(name).parent
    return next(path for path in folder.iterdir() if path.name.startswith(Path(name).name))


def test_a_model_in_service_is_refused_once_it_is_withdrawn(home: Home) -> None:
    registered(home)
    verify_still_accepted(ASSET, home.registry)
    withdraw(ASSET, home.registry, WHY)
    with pytest.raises(UnsignedModelError, match="it was withdrawn"):
        verify_still_accepted(ASSET, home.registry)


def test_a_store_that_falls_silent_says_nothing_against_a_model_in_service(home: Home) -> None:
    registered(home)
    silent = home.registry._replace(store=Silent(home.store))
    with pytest.raises(UnsignedModelError):
        accepted_model(ASSET, silent)
    with pytest.raises(StoreNotAnsweringError):
        verify_still_accepted(ASSET, silent)


class Silent:
    """A store that answers nothing."""

    def __init__(self, store: ObjectStore) -> None:
        self.location = getattr(store, "location", "")

    def __getattr__(self, name: str) -> Any:
        def unanswered(*_: Any, **__: Any) -> Any:
            raise StoreNotAnsweringError("the store did not answer")

        return unanswered
