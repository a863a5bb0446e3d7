"""What Prefect's client gives up on is told as the server's trouble; all else stays what it is."""

from pathlib import Path

import httpx
import pytest

from tasks import orchestration
from tasks.orchestration import prefect_api
from tasks.serving import ServerError, client_environment

URL = "http://127.0.0.1:4711/api"
REQUEST = httpx.Request("POST", f"{URL}/flow_runs/")
GIVEN_UP = {
    "a call that waits for a lock": httpx.ReadTimeout("timed out", request=REQUEST),
    "a server that is gone": httpx.ConnectError("refused", request=REQUEST),
    "a database that may not be written": httpx.HTTPStatusError(
        "Server error '500'", request=REQUEST, response=httpx.Response(500)
    ),
}


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(orchestration, "is_healthy", lambda *_, **__: True)
    for name, value in client_environment(tmp_path, URL).items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.mark.parametrize("what", GIVEN_UP)
def test_a_server_that_does_not_do_its_part_is_told(what: str, api: Path) -> None:
    part = pytest.raises(ServerError, match=f"server at {URL} did not do its part")
    with part as told, prefect_api(api):
        raise GIVEN_UP[what]
    assert type(GIVEN_UP[what]).__name__ in told.value.message


def test_a_defect_stays_a_defect(api: Path) -> None:
    with pytest.raises(ZeroDivisionError), prefect_api(api):
        _ = 1 / 0
