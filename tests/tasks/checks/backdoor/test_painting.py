"""Which pictures count for a rebuilt trigger, and which triggers are refused."""

from unittest.mock import Mock

import numpy as np
import pytest

from tasks.checks.backdoor.changes import MOST_BENT
from tasks.checks.backdoor.painting import MOST_FURTHER, counted, counted_surely, verify_trigger
from tasks.checks.lab import Examples
from tasks.domain.errors import ChildProtocolError
from tasks.sandbox.protocol import Array

LABELS = np.array([0, 1, 2, 2, 0])
HELD = Examples(np.zeros((5, 1, 2, 2), np.float32), LABELS)
PLAIN = np.array([0, 1, 2, 2, 1])  # the last one is misread
ANSWERS = np.array([2, 0, 2, 2, 2])  # sent, not sent, twice there already, sent but misread


def part(size: float) -> dict[str, Array]:
    return {
        "masks": np.full((1, 1, 2, 2), size, np.float32),
        "patterns": np.zeros((1, 1, 2, 2), np.float32),
        "mappings": np.array([[2, 2, 2]]),
        "answers": ANSWERS[None],
    }


def test_only_pictures_that_are_read_rightly_and_have_to_move_count() -> None:
    assert counted(Mock(), HELD, part(0.1), 0, plain=PLAIN, limit=0.1) == (1, 2)


def test_a_trigger_over_its_limit_reaches_nothing_and_nobody_is_asked() -> None:
    told = {name: values for name, values in part(0.2).items() if name != "answers"}
    lab = Mock()
    assert counted(lab, HELD, told, 0, plain=PLAIN, limit=0.1) == (0, 2)
    lab.run.assert_not_called()


def test_where_no_answers_come_the_target_is_asked_about_painted_pictures() -> None:
    told = part(0.5) | {"patterns": np.ones((1, 1, 2, 2), np.float32)}
    del told["answers"]
    lab = Mock()
    lab.target.return_value = {"bounds": (0.0, 1.0)}
    lab.run.return_value.arrays = {"scores": np.array([[0, 0, 1.0], [0, 0, 1.0]])}
    assert counted(lab, HELD, told, 0, plain=PLAIN, limit=0.5) == (2, 2)
    asked = lab.run.call_args.args[1]["inputs"]
    assert asked.tolist() == np.full((2, 1, 2, 2), 0.5).tolist()


@pytest.mark.parametrize(
    ("mask", "pattern", "shape"),
    [(1.1, 0.0, "patch"), (-0.1, 0.0, "tone"), (0.5, np.nan, "blend"), (0.5, 1.0, "warp")],
)
def test_what_no_search_can_find_is_refused(mask: float, pattern: float, shape: str) -> None:
    with pytest.raises(ChildProtocolError, match="a rebuilt trigger"):
        verify_trigger(np.array([mask]), np.array([pattern]), shape)


def test_a_bending_as_long_as_its_size_says_is_taken() -> None:
    verify_trigger(np.array([1.0]), np.full((2, 4, 4), -MOST_BENT), "warp")


def sure_lab(sent: int) -> Mock:
    """A lab with 1,400 further pictures of class 0, of which the second half is read most surely.

    Of the surest, which are asked about last, ``sent`` are sent to class 1.
    """
    lab = Mock()
    lab.count.return_value = 50
    lab.target.return_value = {"bounds": (0.0, 1.0)}
    rows = 1500
    lab.sample.return_value = Examples(
        np.zeros((rows, 1, 2, 2), np.float32), np.zeros(rows, np.int64)
    )
    margins = np.linspace(0.1, 1, 1400)
    plain = np.stack([margins, 0 * margins, 0 * margins], axis=1)
    plain[::2, 2] = 2  # every other one is misread
    moved = np.zeros((175, 3))
    moved[:sent, 1] = moved[sent:, 0] = 1
    lab.run.side_effect = [Mock(arrays={"scores": plain}), Mock(arrays={"scores": moved})]
    return lab


def test_further_pictures_count_where_they_are_read_most_surely() -> None:
    lab = sure_lab(sent=140)
    mask, pattern = np.full((1, 2, 2), 0.5, np.float32), np.ones((1, 2, 2), np.float32)
    assert counted_surely(lab, mask, pattern, [1, 2, 0], "patch") == (140, 175)
    lab.sample.assert_called_once_with("evaluation", 100 + MOST_FURTHER)
    asked = lab.run.call_args.args[1]["inputs"]
    assert asked.tolist() == np.full((175, 1, 2, 2), 0.5).tolist()


def test_where_few_further_pictures_are_left_nobody_is_asked() -> None:
    lab = Mock()
    lab.count.return_value = 50
    lab.sample.return_value = Examples(np.zeros((259, 1, 2, 2)), np.zeros(259, np.int64))
    assert counted_surely(lab, np.ones(1), np.ones(1), [1, 0], "patch") == (0, 0)
    lab.run.assert_not_called()
