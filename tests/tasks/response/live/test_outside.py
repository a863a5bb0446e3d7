"""The stand-ins of a drill answer as the real ones do to the actions that call them."""

from pathlib import Path

import pytest

from tasks.response.acting import action
from tasks.response.live.outside import outside
from tests.tasks.response.cases import world
from tests.tasks.response.test_actions import order


def test_actions_reach_the_stand_ins_and_nobody_else(tmp_path: Path) -> None:
    siem = tmp_path / "siem.jsonl"
    with outside(["onboard-model", "assess-asset"], f"file:{siem}") as around:
        place = world(tmp_path)._replace(prefect_url=around.prefect_url, channels=around.channels)
        frozen = action("orchestration.freeze").act(order(), place)
        assert frozen.said == {"paused": "assess-asset, onboard-model"}
        action("orchestration.start").act(order(deployment="assess-asset", target="x"), place)
        action("notify.email").act(order(text="A copy was made."), place)
        action("siem.ocsf").act(order(activity="create", text="An incident."), place)
        assert [path for _, path, _ in around.orders][-1].endswith("/create_flow_run")
        assert "A copy was made." in around.mails[0]
    assert siem.read_text(encoding="utf-8").count("\n") == 1


@pytest.mark.parametrize("times", [2])
def test_every_drill_has_its_own(times: int) -> None:
    seen = set()
    for _ in range(times):
        with outside([], "file:x") as around:
            seen.add(around.prefect_url)
            assert around.orders == []
