import pytest

from tasks.sandbox.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, with ümlauts and 漢字", "plain, with ümlauts and 漢字"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("line\r\nforged\u2028again\u0085", "line forged again"),
        ("\u202eright to left\u2066", "right to left"),
        ("zero\u200bwidth\ufeff", "zero width"),
        ("\ud800half", "half"),
        ("bell\x07\x00", "bell"),
    ],
)
def test_nothing_that_a_terminal_obeys_is_left(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_long_text_is_cut_and_says_so() -> None:
    assert printable("a" * 50, most=10) == "aaaaaaaaa…"
