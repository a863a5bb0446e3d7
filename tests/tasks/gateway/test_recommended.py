"""The quota comes from the sealed finding on extraction, and never from the vendor."""

from pathlib import Path
from typing import Any

import pytest

from tasks.domain.digest import hexadecimal
from tasks.domain.errors import InvalidInputError
from tasks.domain.run import Reference
from tasks.gateway.policy import GatewayPolicy, read_policy
from tasks.gateway.recommended import recommended_quota
from tasks.gateway.servable import fetched
from tasks.ledger.seal import seal_run
from tests.simulators.gateway import accepted
from tests.simulators.store import MemoryStore
from tests.tasks.ledger.evidence import Case, local_store, make_case, new_signer

QUOTA = b"""{"schema": "proofhouse.quota/1", "queries_per_client": %d, "alert_at_queries": 100,
"basis": "measured"}"""


def seal(store: Any, case: Case, **changed: Any) -> str:
    record = case.record.model_copy(update=changed)
    seal_run(record, store=store, signer=new_signer(), files=case.files)
    return record.run


def test_the_quota_comes_from_the_finding_and_never_from_the_vendor(tmp_path: Path) -> None:
    store = local_store(tmp_path)
    case = make_case(store)
    measured, forged = store.put(QUOTA % 500), store.put(QUOTA % 10)
    objects = (
        *case.record.objects,
        Reference(role="artifact:extraction.fidelity:quota.json", **measured.model_dump()),
        Reference(role="file:quota.json", **forged.model_dump()),
    )
    quota = recommended_quota(store, seal(store, case, objects=objects))
    assert quota is not None
    assert (quota.queries, quota.alert_at) == (500, 100)
    policy = GatewayPolicy().with_quota(quota.queries, quota.alert_at)
    assert {name: role.quota for name, role in policy.roles.items()} == {
        "internal": None, "partner": 500, "low_trust": 500
    }  # fmt: skip


def test_no_finding_recommends_nothing(tmp_path: Path) -> None:
    store = local_store(tmp_path)
    assert recommended_quota(store, seal(store, make_case(store))) is None
    assert recommended_quota(store, "run-unknown") is None


def test_a_model_is_fetched_by_digest_whoever_was_there_before(tmp_path: Path) -> None:
    store = MemoryStore()
    model = accepted(store)
    assert model.artifact is not None
    planted = tmp_path / (hexadecimal(model.artifact) + ".safetensors")
    planted.write_bytes(b"not the model")
    artifact, architecture = fetched(model, store, tmp_path)
    assert artifact.read_bytes() == store.get(model.artifact)
    assert architecture is not None
    assert architecture.suffix == ".yaml"


@pytest.mark.parametrize(
    "text",
    ["rolls = 1", "[roles.admin]", "[roles.a]\nburst = 0", "x", "[roles.A]",
     '[roles.a]\nfilters = [{name = "top_k", k = "x"}]'],
)  # fmt: skip
def test_a_policy_that_does_not_fit_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=r"policy\.toml"):
        read_policy(path)
