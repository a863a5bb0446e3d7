"""A gateway that learns while it serves that a model must not be served."""

from pathlib import Path

from tasks.domain.errors import StoreNotAnsweringError
from tasks.gateway.actions import kill
from tasks.gateway.vouching import take_out_refused
from tasks.gateway.window import doings
from tasks.registry.signing import UnsignedModelError
from tests.simulators.gateway import RunningGateway, running_gateway, wait_for


class Registry:
    """Vouches for everything, until it is told otherwise."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked: list[str] = []

    def __call__(self, asset: str) -> None:
        self.asked.append(asset)
        if self.error is not None:
            raise self.error


def actions(gateway: RunningGateway) -> list[str]:
    return [line["action"] for line in doings(gateway.parts.home) if line.get("by") == "gateway"]


def test_a_refused_champion_answers_nobody_any_more(tmp_path: Path) -> None:
    registry = Registry()
    with running_gateway(tmp_path, vouch=registry) as gateway:
        key = gateway.key("internal")
        wait_for(lambda: len(registry.asked) > 2, what="the questions")
        assert gateway.ask(key).status == 200
        registry.error = UnsignedModelError("its latest verdict is refused, see run-9.")
        wait_for(lambda: gateway.ask(key).status == 503, what="the end of service")
        assert "run-9" in gateway.parts.controls.file.read().killed
        asked = len(registry.asked)
        wait_for(lambda: len(registry.asked) > asked + 2, what="more questions")
        assert actions(gateway).count("kill") == 1


def test_a_refused_canary_is_taken_out_and_the_champion_answers(tmp_path: Path) -> None:
    # Both are versions of one asset here: the champion is asked about first, then the canary.
    answers = iter([None, UnsignedModelError("it was withdrawn.")] * 2)

    def vouch(_: str) -> None:
        if (error := next(answers)) is not None:
            raise error

    with running_gateway(tmp_path, canary=True) as gateway:
        key = gateway.key("internal")
        gateway.act(gateway.key("admin", "root"), "canary", percent=100.0)
        assert gateway.ask(key).document["model_version"] == "run-2"
        for _ in range(2):
            take_out_refused(gateway.parts, vouch)
        wait_for(lambda: gateway.ask(key).document["model_version"] == "run-1", what="the champion")
        assert not gateway.parts.controls.file.read().killed
        assert actions(gateway).count("canary") == 1


def test_a_silent_store_accuses_nobody(tmp_path: Path) -> None:
    registry = Registry()
    with running_gateway(tmp_path, vouch=registry) as gateway:
        key = gateway.key("internal")
        registry.error = StoreNotAnsweringError("the store is down")
        asked = len(registry.asked)
        wait_for(lambda: len(registry.asked) > asked + 3, what="the questions")
        assert gateway.ask(key).status == 200


def test_a_switch_that_was_used_already_keeps_its_reason(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway:
        kill(tmp_path, reason="an incident", by="somebody")
        registry = Registry()
        registry.error = UnsignedModelError("refused")
        take_out_refused(gateway.parts, registry)
        assert gateway.parts.controls.file.read().killed == "an incident"
