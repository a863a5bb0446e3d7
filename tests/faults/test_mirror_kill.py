"""MLflow is killed while models are shown in it: no move is lost, no version is shown twice."""

import threading
from pathlib import Path

import pytest

from tasks.registry.mirrors import Mirror, mirrors, show
from tasks.registry.registering import Why, promote, register
from tasks.registry.state import model_state
from tests.services.mlflow_server import MlflowServer, running_mlflow
from tests.services.processes import wait_until
from tests.tasks.registry.homes import MODEL, Home, new_home

WHY = Why("a test", by="tester")
VERSIONS = 4


def mlflow_of(home: Home) -> Mirror:
    return next(one for one in mirrors(home.registry) if one.name == "mlflow")


def killed_at_the_second_upload(server: MlflowServer) -> threading.Thread:
    def watch() -> None:
        wait_until(
            lambda: len(list(server.artifacts.rglob("model.sig"))) > 1, what="a second upload"
        )
        server.kill()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # MLflow warns of itself
def test_a_server_killed_while_it_is_written_to_shows_everything_once_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mlflow", reason="MLflow is an extra: pip install proofhouse[mlflow]")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    home = new_home(tmp_path)
    for version in range(VERSIONS):
        register(home.seal(str(version)).run, home.registry, WHY)
    promote(f"{MODEL}@2", "champion", home.registry, WHY)
    folder = tmp_path / "server"
    folder.mkdir()
    with running_mlflow(folder) as server:
        home = Home(home.registry._replace(tracking=server.url))
        killer = killed_at_the_second_upload(server)
        problems = show(model_state(MODEL, home.registry), home.registry)
        killer.join()
        assert [told for told in problems if told.startswith("mlflow: ")] == list(problems)
        assert problems, "the server was gone before the last version was shown"

        # The chain never asked it, and moves go on without it.
        promote(f"{MODEL}@3", "champion", home.registry, WHY)
        state = model_state(MODEL, home.registry)
        assert state.held["champion"] == f"{MODEL}@3"

        server.restart()
        assert mlflow_of(home).differences(state)
        assert show(state, home.registry) == ()
        assert mlflow_of(home).differences(state) == ()
        from mlflow import MlflowClient  # noqa: PLC0415 - an extra

        there = MlflowClient(tracking_uri=server.url, registry_uri=server.url)
        shown = there.search_model_versions("name = 'Acme.reader'")
        told = sorted(version.tags["proofhouse.asset"] for version in shown)
        assert told == [f"{MODEL}@{version}" for version in range(VERSIONS)]
    assert capfd.readouterr().out == "", "stdout belongs to the command's own answer"
