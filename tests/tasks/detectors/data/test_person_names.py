"""Names in texts: what is found, what is missed and what is wrongly taken for a name.

``names_sample.json``: 32 names from each of eleven locales of the package Faker 40.54.0 (seed 7),
once after a title or an introduction (``cued``) and once without (``plain``), and texts with
capitalised words and no name (``none``).
"""

import json
from pathlib import Path

import pytest

from tasks.detectors.data.person_names import has_person_name
from tasks.statistics.intervals import binomial

SAMPLE = json.loads(Path(__file__).with_name("names_sample.json").read_text("utf-8"))


def hits(kind: str, locale: str = "") -> tuple[int, int]:
    texts = [row["text"] for row in SAMPLE if row["kind"] == kind and locale in row["locale"]]
    return sum(map(has_person_name, texts)), len(texts)


def test_recall_is_what_the_blind_spots_say() -> None:
    assert binomial(*hits("cued")).low > 0.95
    found = binomial(*hits("plain"))
    assert 0.38 < found.value < 0.5
    assert binomial(*hits("plain", "en_US")).low > 0.75


def test_capitalised_words_are_no_names() -> None:
    wrong, texts = hits("none")
    assert texts == 20
    assert wrong <= 1


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Ó Súilleabháin-Byrne, my name is Anne-Marie O'Neill",
        "Frau Prof. Dr. Müller",
        "John Smith",
        "my name is\nWei van der Berg",
        "he met Marie de la Tour there",
        "I\u2019m Jane D\u2019Angelo",
    ],
)
def test_names_of_many_kinds(text: str) -> None:
    assert has_person_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Smith",
        "john smith",
        "Natalia sold 48 clips",
        "AMERICAN AIRLINES",
        "3 May 2024",
        "Mark The Box",
    ],
)
def test_what_is_no_full_name(text: str) -> None:
    assert not has_person_name(text)


def test_a_hostile_text_takes_no_time() -> None:
    assert not has_person_name("Aa " * 200_000)
    assert not has_person_name("A" * 1_000_000)
