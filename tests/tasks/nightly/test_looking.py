"""What asks for nothing, what is due and why; and that one asset never stops another."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.catalog.schema import CheckEntry
from tasks.domain.approval import Approval
from tasks.domain.bundle import Subject
from tasks.domain.errors import StoreNotAnsweringError
from tasks.domain.finding import Outcome
from tasks.domain.measurement import Measurement, Status
from tasks.domain.night import AssetNight
from tasks.domain.run import RunRecord
from tasks.domain.spec import RunPlan
from tasks.domain.vendor import VendorState
from tasks.inventory.vendors import VendorRegister
from tasks.ledger.approvals import seal_approval
from tasks.ledger.keys import open_signer
from tasks.nightly import looking
from tasks.nightly.choosing import live_assets
from tasks.nightly.looking import Look, Watch, compared
from tasks.onboarding import DECLINED
from tasks.statistics.wealth import spend
from tests.tasks.intake.test_dependencies import osv
from tests.tasks.nightly.nights import House, measured, passing

BEGAN = datetime.now(UTC) - timedelta(hours=1)
CHECK = "evasion.linf_robust_accuracy"


def watch(house: House, **changed: Any) -> Watch:
    return Watch.open(house.here, after=0, alpha=0.05)._replace(**changed)


def look(house: House, asset: str = "Acme/reader@1", **changed: Any) -> Look:
    found = house.inventory.asset(asset)
    assert found is not None
    return watch(house, **changed).look(found)


def next_night(house: House, found: Look, good: bool = True) -> RunRecord:
    assert found.plan is not None
    return house.seal(found.plan, lambda entry: measured(entry, good=good))


def test_an_asset_that_did_not_change_asks_for_nothing(house: House) -> None:
    record = house.onboard()
    found = look(house)
    assert found.plan is None
    assert (found.row.happened, found.row.run) == ("unchanged", record.run)
    assert found.row.verdict == record.decision.verdict
    assert not found.row.alarming


def other_code(house: House, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("tasks.planning.code_digest", lambda: "sha256:" + "1" * 64)


def other_seed(house: House, patch: pytest.MonkeyPatch) -> None:
    settings = house.here.settings.model_copy(update={"seed": 7})
    patch.setattr("tasks.onboarding.services", lambda: house.here._replace(settings=settings))


@pytest.mark.parametrize(
    ("change", "why"),
    [(other_code, "the code that measures is another"), (other_seed, "the seed is another")],
)
def test_what_changed_is_due_and_says_why(
    house: House, monkeypatch: pytest.MonkeyPatch, change: Any, why: str
) -> None:
    house.onboard()
    change(house, monkeypatch)
    found = look(house)
    assert found.plan is not None
    assert found.plan.occasion == "nightly"
    assert [why in reason for reason in found.row.reasons] == [True]


def test_what_broke_is_tried_again(house: House) -> None:
    def broken(entry: CheckEntry) -> Measurement:
        if entry.id != CHECK:
            return passing(entry)
        return Measurement(
            check=entry.id, version=entry.version, status=Status.ERROR, detail="worker lost"
        )

    house.onboard(measure=broken)
    found = look(house)
    assert found.plan is not None
    assert found.row.reasons[0] == "checks broke the last time"
    assert found.plan.alphas == {}, "what broke was no test"


def test_a_battery_chosen_by_hand_stays_and_a_policys_follows_the_policy(house: House) -> None:
    house.onboard(battery="onboarding.thorough")
    house.onboard("2", battery="assessment.evasion")
    assert look(house).row.happened == "unchanged" or look(house).plan is not None
    found = look(house, "Acme/reader@2")
    assert found.plan is None, "nothing changed, although no policy names this battery"


def test_a_run_of_this_night_is_told_with_what_it_changed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = house.onboard()
    other_code(house, monkeypatch)
    second = next_night(house, look(house))
    again = look(house)
    assert again.plan is None
    assert (again.row.happened, again.row.before, again.row.run) == (
        "reassessed", first.run, second.run,
    )  # fmt: skip
    later = look(house, after=2)
    assert later.row.happened == "unchanged"


def test_a_model_behind_an_address_is_asked_once_a_day(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = house.subject("1", url="https://models.example/infer")
    house.onboard(subject=subject)
    found = look(house)
    assert found.plan is not None, "onboarding was no night"
    next_night(house, found)
    assert look(house).plan is None


def test_repetitions_are_rationed_and_the_first_test_is_not(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.onboard()
    for number in (1, 2, 3):
        digest = f"sha256:{number}" + "0" * 63
        monkeypatch.setattr("tasks.planning.code_digest", lambda digest=digest: digest)
        found = look(house)
        assert found.plan is not None
        assert found.plan.alphas[CHECK] == spend(number, 0.05)
        assert {spent.number for spent in found.row.spent} == {number}
        next_night(house, found)
        assert look(house).plan is None, "what was sealed is judged at what it was sealed at"


def test_a_failure_at_night_is_an_alarm_with_its_change(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = house.onboard()
    other_code(house, monkeypatch)
    found = look(house)
    second = next_night(house, found, good=False)
    row = compared(found.row, first, second, 0.05)
    assert row.alarming
    assert row.verdict == "refused"
    [change] = [change for change in row.changes if change.check == CHECK]
    assert (change.before, change.after) == (Outcome.PASS, Outcome.FAIL)
    assert "the code that measures is another" in change.why
    assert change.worse


def test_a_vendor_that_is_barred_is_refused_and_taken_back_when_it_may_come_again(
    house: House,
) -> None:
    first = house.onboard()
    register = VendorRegister(house.here.settings.database_url)
    register.register("Acme", who="tester", now=datetime.now(UTC))
    now = datetime.now(UTC)
    register.move("Acme", VendorState.SUSPENDED, reason="breach", who="tester", now=now)
    found = look(house)
    assert found.plan is not None
    assert found.plan.battery == DECLINED
    assert found.row.problem == "the vendor is suspended"
    assert "governance.vendor.suspended" in found.row.reasons[0]

    def as_told(entry: CheckEntry) -> Measurement:
        told = Subject.parse(house.store.get(found.plan.bundle)) if found.plan else None
        assert told is not None
        mine = [one for one in told.observations if one.rule.startswith(entry.id)]
        return passing(entry).model_copy(update={"observations": tuple(mine)})

    barred = house.seal(found.plan, as_told)
    assert barred.decision.verdict == "refused"
    again = look(house)
    assert again.plan is None
    assert again.row.alarming, "every night, until somebody does something about it"
    register.move("Acme", VendorState.APPROVED, reason="mended", who="tester", now=now)
    back = look(house)
    assert back.plan is not None
    assert (back.plan.bundle, back.plan.battery) == (first.subject, first.plan.battery)


def advise(house: House, folder: Path, *documents: dict[str, Any]) -> House:
    """Points the house at a copy of advisories."""
    folder.mkdir(exist_ok=True)
    for number, document in enumerate(documents):
        (folder / f"{number}.json").write_text(json.dumps(document))
    settings = house.here.settings.model_copy(update={"advisories": str(folder)})
    return House(house.here._replace(settings=settings))


def test_only_a_new_copy_of_advisories_that_says_something_new_is_a_reason(
    house: House, tmp_path: Path
) -> None:
    told = advise(house, tmp_path / "osv", osv("X-1", "torch", versions=["2.0"]))
    record = told.onboard(subject=told.subject("1", requirements="numpy==1.0\n"))
    more = advise(told, tmp_path / "osv", *[osv(f"X-{n}", "torch") for n in range(3)])
    assert look(more).plan is None, "two more advisories about something else"

    hit = advise(told, tmp_path / "osv", osv("X-9", "numpy", versions=["1.0"]))
    found = look(hit)
    assert found.plan is not None
    assert any("numpy 1.0 is affected by X-9" in reason for reason in found.row.reasons)
    anew = {one.check for one, old in zip(found.plan.checks, record.plan.checks, strict=True)
            if one != old}  # fmt: skip
    assert "provenance.advisories" in anew
    assert CHECK not in anew, "what rests on the model's bytes is not measured again"


def approve(house: House, record: RunRecord) -> None:
    """Approves one finding of a run."""
    now = datetime.now(UTC)
    approval = Approval(
        kind="finding",
        asset=record.asset,
        run=record.run,
        check=CHECK,
        measurement=next(one.measurement for one in record.executions if one.check == CHECK),
        subject=record.subject,
        reason="known",
        by="Alice",
        issued=now,
        expires=now + timedelta(days=1),
    )
    signer = open_signer(None, home=house.home)
    seal_approval(approval, store=house.store, signer=signer, trust=house.trust)


def test_an_approval_holds_for_the_bundle_whatever_is_learnt_of_it(
    house: House, tmp_path: Path
) -> None:
    told = advise(house, tmp_path / "osv", osv("X-1", "torch", versions=["2.0"]))
    record = told.onboard(subject=told.subject("1", requirements="numpy==1.0\n"))
    approve(house, record)
    assert look(told).plan is not None, "an approval is a reason"
    hit = advise(told, tmp_path / "osv", osv("X-9", "numpy", versions=["1.0"]))
    found = look(hit)
    assert found.plan is not None
    assert found.plan.bundle != record.subject
    assert [grant.check for grant in found.plan.grants] == [CHECK]


def statement_changed(house: House, record: RunRecord) -> None:
    from tasks.ledger.seal import sealed_run  # noqa: PLC0415

    found = sealed_run(house.store, record.run)
    assert found is not None
    name = found[1].statement.removeprefix("sha256:")
    place = next(path for path in (house.home / "store").rglob("*") if name in path.name)
    place.chmod(0o644)
    place.write_bytes(place.read_bytes().replace(b"payload", b"payloae"))


def key_untrusted(house: House, record: RunRecord) -> None:
    from securesystemslib.signer import CryptoSigner  # noqa: PLC0415

    from tasks.ledger.keys import _pem_of, _publish  # noqa: PLC0415

    folder = house.home / "keys" / "trusted"
    for path in folder.glob("*.pem"):
        path.unlink()
    other = CryptoSigner.generate_ed25519().public_key
    _publish(folder / "other.pem", _pem_of(other), mode=0o644)


@pytest.mark.parametrize("damage", [statement_changed, key_untrusted])
def test_damaged_evidence_fails_its_asset_and_no_other(house: House, damage: Any) -> None:
    house.onboard("2")
    record = house.onboard("1")
    damage(house, record)
    found = look(house)
    assert (found.row.happened, found.plan) == ("failed", None)
    assert found.row.problem
    assert found.row.alarming
    other = look(house, "Acme/reader@2").row.happened
    assert other == ("unchanged" if damage is statement_changed else "failed")


def test_a_store_that_does_not_answer_is_no_assets_fault(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.onboard()

    def hangs(*_: object, **__: object) -> None:
        raise StoreNotAnsweringError("no answer in 60 s")

    monkeypatch.setattr(looking, "read_sealed", hangs)
    with pytest.raises(StoreNotAnsweringError):
        look(house)


def test_the_highest_tier_comes_first_and_retired_assets_never(house: House) -> None:
    for version, state in (("1", "live"), ("2", None), ("3", "retired")):
        house.onboard(version, state=state)  # type: ignore[arg-type]
    assets = [
        asset.model_copy(update={"tier": "high" if asset.version == "2" else asset.tier})
        for asset in house.inventory.assets()
    ]
    assert [asset.version for asset in live_assets(assets)] == ["2", "1"]
    barred = [asset.model_copy(update={"state": "quarantined"}) for asset in assets]
    assert live_assets(barred) == ()


def test_rows_travel_as_json(house: House) -> None:
    house.onboard()
    found = look(house)
    assert Look.model_validate(found.model_dump(mode="json")) == found
    assert isinstance(found.row, AssetNight)
    assert isinstance(found.plan, RunPlan | None)
