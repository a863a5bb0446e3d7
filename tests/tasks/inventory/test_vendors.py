"""The vendor register on SQLite and on a real PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.domain.errors import InventoryError
from tasks.domain.finding import Verdict
from tasks.domain.vendor import VendorState, vendor_key
from tasks.inventory.database import Inventory
from tasks.inventory.rows import VendorAnswers
from tasks.inventory.vendors import VendorRegister
from tests.tasks.inventory.records import STATEMENT, record

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
KEY = "ab" * 32


def register(url: str, *names: str) -> VendorRegister:
    made = VendorRegister(url)
    for name in names:
        made.register(name, contact="security@acme.example", who="onboarding", now=NOW)
    return made


SPELLINGS = ["Acme Vision", "acme-vision", "  ACME   vision ", "Acme_Vision.", "Ａｃｍｅ Vision"]  # noqa: RUF001 - full-width on purpose


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_name_is_one_vendor_however_it_is_spelled(name: str) -> None:
    assert vendor_key(name) == "acme-vision"


@given(st.text(max_size=40))
def test_every_name_has_a_key_and_a_key_is_its_own(name: str) -> None:
    key = vendor_key(name)
    assert key
    assert vendor_key(key) == key


def test_a_vendor_is_entered_once_and_keeps_its_state(url: str) -> None:
    made = register(url, "Acme Vision")
    made.move("Acme Vision", VendorState.SUSPENDED, reason="key leaked", who="eve", now=NOW)
    again = made.register("acme vision", contact="new@acme.example", now=NOW)
    assert (again.name, again.state, again.contact) == (
        "Acme Vision", VendorState.SUSPENDED, "new@acme.example",
    )  # fmt: skip
    assert len(made.vendors()) == 1
    assert [event.state for event in made.events("Acme Vision")] == ["prospective", "suspended"]


def test_approval_sets_the_next_review(url: str) -> None:
    made = register(url, "Acme")
    approved = made.move("Acme", VendorState.APPROVED, reason="", who="eve", now=NOW)
    assert (approved.reviewed, approved.review_due) == (
        "2026-05-01T12:00:00Z", "2027-05-01T12:00:00Z",
    )  # fmt: skip
    later = NOW + timedelta(days=300)
    renewed = made.move("Acme", VendorState.APPROVED, reason="review", who="eve", now=later)
    assert renewed.review_due > approved.review_due


def test_there_is_no_way_back_to_prospective(url: str) -> None:
    made = register(url, "Acme")
    made.move("Acme", VendorState.OFFBOARDED, reason="ended", who="eve", now=NOW)
    for state in (VendorState.PROSPECTIVE, VendorState.SUSPENDED):
        with pytest.raises(InventoryError, match="offboarded and cannot become"):
            made.move("Acme", state, reason="x", who="eve", now=NOW)
    assert made.move("Acme", VendorState.APPROVED, reason="", who="eve", now=NOW).reason == ""


def test_a_key_belongs_to_one_vendor(url: str) -> None:
    made = register(url, "Acme", "Northwind")
    for _ in range(2):
        made.bind_key("Acme", KEY, kind="key", source="acme.pub", now=NOW)
    with pytest.raises(InventoryError, match="vouches for acme already"):
        made.bind_key("Northwind", KEY, kind="key", source="n.pub", now=NOW)
    assert [key.vendor for key in made.keys("Acme")] == ["acme"]
    view = made.view("Northwind")
    assert view.owners == {KEY: "acme"}
    assert view.known == {"acme", "northwind"}


def test_a_stranger_is_prospective_and_the_standing_is_told(url: str) -> None:
    made = register(url, "Acme")
    assert made.view("Nobody").state is VendorState.PROSPECTIVE
    made.move("Acme", VendorState.SUSPENDED, reason="key leaked", who="eve", now=NOW)
    assert (made.view("ACME").state, made.view("ACME").reason) == ("suspended", "key leaked")
    with pytest.raises(InventoryError, match="not in the vendor register"):
        made.vendor("Nobody")


def test_runs_and_answers_are_the_vendors_own(url: str) -> None:
    made = register(url, "Acme Vision")
    inventory = Inventory(url)
    inventory.record_run(record(Verdict.REFUSED), statement=STATEMENT, ledger_index=0)
    inventory.record_run(record(asset="Other/model@1"), statement=STATEMENT, ledger_index=1)
    assert [run.verdict for run in made.runs("acme vision")] == ["refused"]
    answers = VendorAnswers(
        digest="sha256:" + "0" * 64, vendor="acme-vision", questionnaire="vendor.standard",
        score=0.5, answered=10, asked=20, contradicted=1, run="run-1", dated="2026-05-01",
    )  # fmt: skip
    for _ in range(2):
        made.note_answers(answers)
    assert made.answers("Acme Vision") == (answers,)


def test_many_onboardings_enter_a_vendor_once(url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: register(url, "Acme"), range(16)))
    made = VendorRegister(url)
    assert len(made.vendors()) == len(made.events("Acme")) == 1
