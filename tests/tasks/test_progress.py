import pytest

from tasks.progress import Step, listening, tell


def test_without_a_listener_nothing_happens() -> None:
    tell(1, 2, "nobody hears this")


def test_every_listener_hears_every_step_while_it_listens() -> None:
    first: list[Step] = []
    second: list[Step] = []
    with listening(first.append):
        tell(0, 2, "planned")
        with listening(second.append):
            tell(1, 2, "scanned")
        tell(2, 2, "sealed")
    tell(3, 2, "too late")
    assert first == [(0, 2, "planned"), (1, 2, "scanned"), (2, 2, "sealed")]
    assert second == [(1, 2, "scanned")]


def test_a_failing_work_leaves_no_listener_behind() -> None:
    heard: list[Step] = []

    def work() -> None:
        with listening(heard.append):
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        work()
    tell(1, 1, "after the failure")
    assert heard == []
