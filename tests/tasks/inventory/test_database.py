"""The inventory on SQLite and on a real PostgreSQL."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine, event, text
from sqlalchemy.orm import Session

from tasks.domain.bundle import BundleSpec
from tasks.domain.digest import digest_of
from tasks.domain.errors import InventoryError
from tasks.domain.finding import Verdict
from tasks.inventory import database
from tasks.inventory.database import Inventory
from tasks.inventory.engine import CURRENT
from tasks.inventory.rows import Asset
from tasks.inventory.tables import AssetTable, Table
from tasks.inventory.upgrading import MIGRATIONS
from tests.tasks.inventory.records import ASSET, STATEMENT, finding, record


def count(url: str, table: str) -> Any:
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return connection.execute(text(f"SELECT count(*) FROM {table}")).scalar()  # noqa: S608 - our names


def test_records_a_run_with_everything_around_it(url: str) -> None:
    inventory, sealed = Inventory(url), record()
    inventory.record_run(sealed, statement=STATEMENT, ledger_index=7)
    run = inventory.latest_run(ASSET)
    assert run is not None
    assert run == inventory.run(sealed.run) == inventory.runs()[0]
    assert (run.verdict, run.ledger_index, run.statement) == ("accepted", 7, STATEMENT)
    assert (run.plan, run.report) == (digest_of(sealed.plan.canonical()), digest_of(b"report"))
    [first, second] = inventory.findings(sealed.run)
    assert (first.value, first.low, first.n, first.threshold) == (0.9, 0.8, 200, 0.7)
    assert (first.evidence, second.detail) == ((digest_of(b"witness"),), "holds twice")
    asset = inventory.asset(ASSET)
    assert asset is not None
    assert (asset.vendor, asset.name, asset.version) == ("Acme Vision", "digit-reader", "1.2.0")
    assert (asset.tier, asset.state) == ("medium", "approved")


def test_recording_again_changes_nothing(url: str) -> None:
    inventory = Inventory(url)
    for _ in range(3):
        inventory.record_run(record(), statement=STATEMENT, ledger_index=0)
    shorter = record(findings=(finding(),))
    inventory.record_run(shorter, statement=STATEMENT, ledger_index=0)
    assert (len(inventory.runs()), len(inventory.assets())) == (1, 1)
    assert len(inventory.findings(shorter.run)) == 1
    assert count(url, "bundles") == 1


def test_the_ledger_decides_what_is_latest(url: str) -> None:
    inventory = Inventory(url)
    first = record(Verdict.REFUSED)
    nightly = record(Verdict.ACCEPTED, occasion="nightly 1")
    worse = record(Verdict.REFUSED, occasion="nightly 2")
    for index, run in [(2, worse), (0, first), (1, nightly), (0, first)]:
        inventory.record_run(run, statement=STATEMENT, ledger_index=index)
    latest, asset = inventory.latest_run(ASSET), inventory.asset(ASSET)
    assert latest is not None
    assert asset is not None
    assert (latest.run, asset.state) == (worse.run, "quarantined")
    changes = [(it.before, it.after, it.ledger_index) for it in inventory.verdict_changes(ASSET)]
    assert changes == [("accepted", "refused", 2), ("refused", "accepted", 1), ("", "refused", 0)]


def test_a_verdict_moves_nothing_that_people_put_live(url: str) -> None:
    inventory = Inventory(url)
    inventory.record_run(record(), statement=STATEMENT, ledger_index=0)
    inventory.set_state(ASSET, "live")
    bad = record(Verdict.REFUSED, occasion="nightly")
    inventory.record_run(bad, statement=STATEMENT, ledger_index=1)
    asset = inventory.asset(ASSET)
    assert asset is not None
    assert asset.state == "live"


def test_assets_know_what_the_bundle_says_and_who_answers(url: str) -> None:
    spec = BundleSpec.model_validate(
        {
            "schema": "proofhouse.bundle/1",
            "vendor": {"name": "Acme Vision", "contact": "security@acme.example"},
            "model": {
                "name": "digit-reader", "version": "1.2.0", "task": "chat",
                "endpoint": {"url": "https://acme.example/v1"}, "intended_use": "reading digits",
            },
            "claims": {"licence": "Apache-2.0", "training_data": ["uci-digits", "mnist"]},
        }
    )  # fmt: skip
    inventory = Inventory(url)
    inventory.record_run(record(), statement=STATEMENT, ledger_index=0)
    inventory.register_asset(Asset.of_bundle(spec))
    inventory.set_owner(ASSET, "Vision team")
    inventory.register_asset(Asset.of_bundle(spec))
    asset = inventory.asset(ASSET)
    assert asset is not None
    assert (asset.owner, asset.licence, asset.purpose) == (
        "Vision team", "Apache-2.0", "reading digits",
    )  # fmt: skip
    assert (asset.provenance, asset.state, asset.tier) == (
        "uci-digits, mnist", "approved", "medium",
    )  # fmt: skip


def test_unknown_assets_are_named(url: str) -> None:
    inventory = Inventory(url)
    assert inventory.asset("nobody/knows@0") is None
    assert inventory.latest_run("nobody/knows@0") is None
    with pytest.raises(InventoryError, match="nobody/knows@0"):
        inventory.set_owner("nobody/knows@0", "me")


@pytest.mark.parametrize(
    "text_", ["x\x00y", "'; DROP TABLE runs; --", "\u202egnp.exe", "🙈" * 500, "%(run)s :run"]
)
def test_vendor_text_is_only_text(url: str, text_: str) -> None:
    inventory = Inventory(url)
    asset = f"{text_[:200]}/model@1"
    run = record(asset=asset, findings=(finding(text_),))
    for _ in range(2):
        inventory.record_run(run, statement=STATEMENT, ledger_index=0)
    inventory.set_owner(asset, text_)
    assert inventory.findings(run.run)[0].detail == text_.replace("\x00", "\ufffd")
    assert len(inventory.runs(asset)) == len(inventory.assets()) == 1


def test_concurrent_writers_lose_nothing(url: str) -> None:
    runs = [
        (number, record(asset=f"acme/m{number % 3}@1", occasion=str(number)))
        for number in range(12)
    ]

    def write(item: tuple[int, Any]) -> None:
        Inventory(url).record_run(item[1], statement=STATEMENT, ledger_index=item[0])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, [*runs, *runs]))
    inventory = Inventory(url)
    assert [run.ledger_index for run in inventory.runs()] == list(range(11, -1, -1))
    assert len(inventory.assets()) == 3
    assert count(url, "findings") == 24


def test_a_slow_writer_does_not_undo_a_later_one(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inventory, original = Inventory(url), database._follow_latest_run
    inventory.record_run(record(), statement=STATEMENT, ledger_index=0)
    computed, overtaken = threading.Event(), threading.Event()

    def slowly(session: Session, asset: AssetTable) -> None:
        original(session, asset)
        if not computed.is_set():
            computed.set()
            overtaken.wait(0.7)  # in vain when writers of one asset queue, as they must

    monkeypatch.setattr(database, "_follow_latest_run", slowly)
    earlier, later = record(occasion="1", tier="low"), record(occasion="2", tier="high")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(inventory.record_run, earlier, statement=STATEMENT, ledger_index=1)
        assert computed.wait(10)
        inventory.record_run(later, statement=STATEMENT, ledger_index=2)
        overtaken.set()
        slow.result()
    asset = inventory.asset(ASSET)
    assert asset is not None
    assert asset.tier == "high"


def test_processes_may_open_an_empty_database_together(url: str) -> None:
    program = "import sys; from tasks.inventory.database import Inventory; Inventory(sys.argv[1])"
    children = [
        subprocess.Popen([sys.executable, "-c", program, url], stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    problems = [child.communicate(timeout=60)[1] for child in children]
    assert [child.returncode for child in children] == [0, 0], problems
    Inventory(url)
    assert count(url, "alembic_version") == 1


def test_migrations_build_exactly_the_tables(url: str) -> None:
    Inventory(url)
    with create_engine(url, poolclass=NullPool).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, Table.metadata) == []


def test_the_current_version_is_the_last_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == CURRENT


def test_alembic_is_imported_only_to_migrate(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'inventory.sqlite'}"
    program = (
        "import sys; from tasks.inventory.database import Inventory; Inventory(sys.argv[1]); "
        "print('alembic' in sys.modules)"
    )
    for migrates in ("True", "False"):
        done = subprocess.run(
            [sys.executable, "-c", program, address], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == migrates


def test_a_failed_recording_leaves_nothing_behind(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = Inventory(url)

    def broken(*_: object) -> None:
        raise RuntimeError("killed here")

    monkeypatch.setattr("tasks.inventory.database._follow_latest_run", broken)
    with pytest.raises(RuntimeError):
        inventory.record_run(record(), statement=STATEMENT, ledger_index=0)
    assert (inventory.runs(), inventory.assets()) == ((), ())


def test_refuses_a_database_of_a_newer_version(url: str) -> None:
    Inventory(url)
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(InventoryError, match="newer Proofhouse"):
        Inventory(url)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("nonsense", "not a database address"),
        ("mysql://host/db", "not supported"),
        ("sqlite://", "needs a file"),
        ("postgresql://proof:hunter2@127.0.0.1:1/x", "does not answer"),
        ("sqlite:////proc/nowhere/x.sqlite", "cannot be created"),
    ],
)
def test_bad_addresses_are_explained_without_secrets(address: str, words: str) -> None:
    with pytest.raises(InventoryError, match=words) as caught:
        Inventory(address)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_database_is_explained(tmp_path: Path) -> None:
    (tmp_path / "x.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(InventoryError, match="not a database"):
        Inventory(f"sqlite:///{tmp_path / 'x.sqlite'}")


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    inventory = Inventory(f"sqlite:///{tmp_path / 'x.sqlite'}")

    def fill(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # no more than it has already

    event.listen(inventory._engine, "connect", fill)

    def register_many() -> None:
        for number in range(200):
            inventory.register_asset(Asset.of_id(f"v/m{number}@1"))

    with pytest.raises(InventoryError, match="disk is full or failing: free space on it"):
        register_many()


def test_tells_which_other_versions_were_accepted_last(url: str) -> None:
    inventory = Inventory(url)
    runs = [
        record(asset="Acme/data@1"),
        record(asset="Acme/data@2", verdict=Verdict.REFUSED),
        record(asset="Acme/data@3"),
        record(asset="Acme/data@4", occasion="assessment"),
        record(asset="Acme/data@5", occasion="drift"),
        record(asset="Acme/database@1"),
        # Accepted once, and refused the night after.
        record(asset="Acme/data@6"),
        record(asset="Acme/data@6", verdict=Verdict.REFUSED, occasion="nightly"),
        record(asset="Acme/data@7", verdict=Verdict.ACCEPTED_WITH_CONDITIONS),
    ]
    for index, sealed in enumerate(runs):
        inventory.record_run(sealed, statement=STATEMENT, ledger_index=index)
    told = [run.asset for run in inventory.accepted_versions("Acme/data@7")]
    assert told == ["Acme/data@3", "Acme/data@1"]
    assert inventory.accepted_versions("Acme/data@8")[0].asset == "Acme/data@7"
    assert inventory.accepted_versions("Other/data@1") == ()
