"""Only what was accepted, and still verifies, is served."""

from pathlib import Path
from typing import Any

import pytest

from tasks.domain.digest import hexadecimal
from tasks.domain.errors import InvalidInputError
from tasks.domain.finding import Decision, Verdict
from tasks.domain.run import Reference
from tasks.gateway.accepting import UnsignedModelError, accepted_model
from tasks.gateway.policy import GatewayPolicy
from tasks.gateway.recommended import recommended_quota
from tasks.gateway.servable import fetched
from tasks.inventory.database import Inventory
from tasks.ledger.seal import seal_run
from tests.tasks.ledger.evidence import Case, local_store, make_case, new_signer, trusting

QUOTA = b"""{"schema": "proofhouse.quota/1", "queries_per_client": %d, "alert_at_queries": 100,
"basis": "measured"}"""


class Place:
    """A store, an inventory and a key."""

    def __init__(self, folder: Path) -> None:
        self.store = local_store(folder / "store")
        self.inventory = Inventory(f"sqlite:///{folder}/inventory.sqlite")
        self.signer = new_signer()

    def seal(self, case: Case, **changed: Any) -> str:
        record = case.record.model_copy(update=changed)
        sealed = seal_run(record, store=self.store, signer=self.signer, files=case.files)
        self.inventory.record_run(
            record, statement=sealed.statement, ledger_index=sealed.ledger_index
        )
        return record.asset

    def accepted(self, reference: str, **more: Any) -> Any:
        evidence = {
            "store": self.store, "inventory": self.inventory, "trust": trusting(self.signer)
        }  # fmt: skip
        return accepted_model(reference, **{**evidence, **more})


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_an_accepted_model_is_fetched_by_digest(place: Place, tmp_path: Path) -> None:
    case = make_case(place.store)
    model = place.accepted(place.seal(case))
    assert model.run == case.record.run
    (tmp_path / "models").mkdir()
    planted = tmp_path / "models" / (hexadecimal(model.artifact) + ".onnx")
    planted.write_bytes(b"not the model")
    artifact, architecture = fetched(model, place.store, tmp_path / "models")
    assert artifact.read_bytes() == b"weights 0"
    assert architecture is None


@pytest.mark.parametrize("verdict", [Verdict.REFUSED, Verdict.NEEDS_REVIEW])
def test_what_was_not_accepted_is_not_served(place: Place, verdict: Verdict) -> None:
    asset = place.seal(make_case(place.store), decision=Decision(verdict=verdict, reasons=("x",)))
    with pytest.raises(UnsignedModelError, match="not accepted"):
        place.accepted(asset)


def test_a_stranger_is_not_served(place: Place) -> None:
    with pytest.raises(UnsignedModelError, match="no verdict"):
        place.accepted("Acme/unknown@1")


def test_evidence_that_was_touched_is_not_believed(place: Place) -> None:
    case = make_case(place.store)
    asset = place.seal(case)
    digest = hexadecimal(case.files[1].digest)
    (stored,) = place.store.root.rglob(f"*{digest[4:]}*")
    stored.chmod(0o644)
    stored.write_bytes(b"other weights")
    with pytest.raises(UnsignedModelError, match="does not verify"):
        place.accepted(asset)


def test_a_key_that_is_not_trusted_vouches_for_nothing(place: Place) -> None:
    asset = place.seal(make_case(place.store))
    with pytest.raises(UnsignedModelError, match="does not verify"):
        place.accepted(asset, trust=trusting(new_signer()))


def test_the_quota_comes_from_the_finding_and_never_from_the_vendor(place: Place) -> None:
    case = make_case(place.store)
    measured, forged = place.store.put(QUOTA % 500), place.store.put(QUOTA % 10**6)
    objects = (
        *case.record.objects,
        Reference(role="artifact:extraction.fidelity:quota.json", **measured.model_dump()),
        Reference(role="file:quota.json", **forged.model_dump()),
    )
    place.seal(case, objects=objects)
    quota = recommended_quota(place.store, case.record.run)
    assert quota is not None
    assert (quota.queries, quota.alert_at) == (500, 100)
    policy = GatewayPolicy().with_quota(quota.queries, quota.alert_at)
    assert {name: role.quota for name, role in policy.roles.items()} == {
        "internal": None, "partner": 500, "low_trust": 500
    }  # fmt: skip


def test_no_finding_recommends_nothing(place: Place) -> None:
    case = make_case(place.store)
    place.seal(case)
    assert recommended_quota(place.store, case.record.run) is None


@pytest.mark.parametrize(
    "text",
    ["rolls = 1", "[roles.admin]", "[roles.a]\nburst = 0", "x", "[roles.A]",
     '[roles.a]\nfilters = [{name = "top_k", k = "x"}]'],
)  # fmt: skip
def test_a_policy_that_does_not_fit_is_told(tmp_path: Path, text: str) -> None:
    from tasks.gateway.policy import read_policy  # noqa: PLC0415

    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=r"policy\.toml"):
        read_policy(path)
