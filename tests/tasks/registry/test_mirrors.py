"""The inventory's tables and a real MLflow show what the chain says, whatever happened to them."""

import os
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from tasks.domain.errors import SettingsError
from tasks.inventory.models import ModelRegister
from tasks.registry.mirrors import InventoryMirror, Mirror, mirrors, show
from tasks.registry.registering import Why, promote, register, roll_back, withdraw
from tasks.registry.state import model_state
from tests.tasks.registry.homes import MODEL, Home

WHY = Why("a test", by="tester")
ONE, TWO = f"{MODEL}@1", f"{MODEL}@2"


def two_champions(home: Home) -> None:
    for version in ("1", "2"):
        register(home.seal(version).run, home.registry, WHY)
        promote(f"{MODEL}@{version}", "champion", home.registry, WHY)


def test_the_tables_follow_the_chain(home: Home) -> None:
    two_champions(home)
    state = model_state(MODEL, home.registry)
    mirror = InventoryMirror(home.registry.database)
    assert mirror.differences(state) == (f"{ONE} is missing", f"{TWO} is missing")
    assert show(state, home.registry) == ()
    assert mirror.differences(state) == ()
    rows = {row.asset: row.alias for row in ModelRegister(home.registry.database).versions(MODEL)}
    assert rows == {ONE: "", TWO: "champion"}
    moves = ModelRegister(home.registry.database).moves()
    assert [row.action for row in moves] == ["register", "promote"] * 2
    assert [row.ledger_index for row in moves] == [1, 2, 4, 5]


def test_an_older_state_does_not_undo_a_newer_one(home: Home) -> None:
    two_champions(home)
    older = model_state(MODEL, home.registry)
    newer = roll_back(MODEL, home.registry, WHY)
    show(newer, home.registry)
    show(older, home.registry)
    assert InventoryMirror(home.registry.database).differences(newer) == ()


def test_a_mirror_that_is_down_is_told_and_undoes_nothing(home: Home) -> None:
    register(home.seal().run, home.registry, WHY)
    down = home.registry._replace(database="sqlite:////proc/none/inventory.sqlite")
    [problem] = show(model_state(MODEL, home.registry), down)
    assert "cannot be created" in problem


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables, made once."""
    pytest.importorskip("mlflow", reason="MLflow is an extra: pip install proofhouse[mlflow]")
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    place = tmp_path_factory.mktemp("mlflow") / "mlflow.sqlite"
    client(f"sqlite:///{place}").search_registered_models()
    return place


def client(uri: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow and its database library warn of themselves
        from mlflow import MlflowClient  # noqa: PLC0415

        return MlflowClient(tracking_uri=uri, registry_uri=uri)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def tracking(request: pytest.FixtureRequest, home: Home, template: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres").new_database())
    return f"sqlite:///{shutil.copy(template, home.path / 'mlflow.sqlite')}"


def mirrored(home: Home) -> Mirror:
    return next(one for one in mirrors(home.registry) if one.name == "mlflow")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_shows_versions_aliases_files_and_lineage(
    home: Home, tracking: str, tmp_path: Path
) -> None:
    home, there = Home(home.registry._replace(tracking=tracking)), client(tracking)
    two_champions(home)
    state = model_state(MODEL, home.registry)
    assert show(state, home.registry) == ()
    found = there.get_registered_model("Acme.reader")
    assert {key: str(value) for key, value in found.aliases.items()} == {"champion": "2"}
    second = there.get_model_version("Acme.reader", "2")
    assert second.tags["proofhouse.asset"] == TWO
    assert second.tags["proofhouse.statement"] == state.versions[1].move.statement
    run = there.get_run(second.run_id)
    assert run.data.params["vendor"] == "Acme"
    [lineage] = run.inputs.dataset_inputs
    assert lineage.dataset.name == "eval.npz"
    shown = {file.path for file in there.list_artifacts(second.run_id, "model")}
    assert {"model/model.sig", "model/model.safetensors", "model/statement.dsse.json"} <= shown
    fetched = Path(there.download_artifacts(second.run_id, "model/model.sig", str(tmp_path)))
    assert fetched.read_bytes() == home.store.get(state.versions[1].move.signature or "")  # type: ignore[arg-type]

    assert show(state, home.registry) == ()
    assert len(there.search_model_versions("name = 'Acme.reader'")) == 2

    # Somebody moves an alias by hand: it is noticed, and moved back.
    there.set_registered_model_alias("Acme.reader", "champion", "1")
    there.set_registered_model_alias("Acme.reader", "canary", "1")
    assert mirrored(home).differences(state) == (
        "canary is version 1, it should be nowhere",
        "champion is version 1, it should be version 2",
    )
    show(state, home.registry)
    assert mirrored(home).differences(state) == ()

    withdraw(TWO, home.registry, Why("recalled", by="tester"))
    show(model_state(MODEL, home.registry), home.registry)
    assert there.get_registered_model("Acme.reader").aliases == {}
    told = there.get_model_version("Acme.reader", "2").tags["proofhouse.withdrawn"]
    assert told == "recalled"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("tracking", ["sqlite"], indirect=True)
def test_a_name_that_another_model_has_in_mlflow_is_left_to_it(home: Home, tracking: str) -> None:
    home, there = Home(home.registry._replace(tracking=tracking)), client(tracking)
    there.create_registered_model("Acme.reader")
    register(home.seal().run, home.registry, WHY)
    assert show(model_state(MODEL, home.registry), home.registry) == ()
    names = sorted(found.name for found in there.search_registered_models())
    assert names[0] == "Acme.reader"
    assert names[1].startswith("Acme.reader-")
    assert there.search_model_versions("name = 'Acme.reader'") == []


def test_mlflow_that_is_not_installed_is_explained(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(SettingsError, match="not installed"):
        mirrors(home.registry._replace(tracking="sqlite:///x.sqlite"))
