"""Facts that papers state about a model, whatever the paper: topic, text, and where it was read."""

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from tasks.intake.markdown import Card, key_of, stated


class Topic(StrEnum):
    """What a fact is about. Each can be compared with the bundle or between papers."""

    LICENCE = "licence"
    FORMAT = "format"
    PARAMETERS = "parameters"
    CLASSES = "classes"
    INPUT_SHAPE = "input shape"
    VERSION = "version"
    ACCURACY = "accuracy"
    DP_EPSILON = "DP epsilon"
    TRAINING_DATA = "training data"


_KEYS = {
    Topic.LICENCE: {"license", "licence", "model license", "model licence"},
    Topic.FORMAT: {"format", "model format", "file format", "artifact format"},
    Topic.PARAMETERS: {"parameters", "number of parameters", "parameter count", "num parameters",
                       "model size (parameters)", "total parameters", "trainable parameters"},
    Topic.CLASSES: {"classes", "number of classes", "num classes", "num labels",
                    "output classes"},
    Topic.INPUT_SHAPE: {"input shape", "input size", "input dimensions", "input resolution"},
    Topic.VERSION: {"model version", "version"},
    Topic.ACCURACY: {"accuracy", "test accuracy", "top 1 accuracy", "accuracy (test)", "acc",
                     "top1 accuracy", "accuracy top 1", "accuracy (top 1)", "overall accuracy",
                     "evaluation accuracy", "held out accuracy", "clean accuracy"},
    Topic.DP_EPSILON: {"dp epsilon", "differential privacy epsilon", "epsilon (dp)",
                       "privacy epsilon", "privacy budget", "privacy budget (epsilon)",
                       "dp sgd epsilon", "epsilon (differential privacy)"},
}  # fmt: skip
_TOPIC = {key: topic for topic, keys in _KEYS.items() for key in keys}
# "Accuracy 0.981 on …" at the start of a line: how cards say it without a colon.
_SENTENCE = re.compile(
    r"[\s>*+\-]{0,12}(?:the |its )?(?:test |overall |top-1 )?accuracy (?:is |of |was |reaches )?"
    r"(\d{1,3}(?:[.,]\d{1,6})?\s?%?)",
    re.IGNORECASE,
)
_PRIVATE = re.compile(
    r"(?:differential(?:ly)? priva\w{1,4}|DP-?SGD)[^.\n]{0,80}?"
    r"(?:ε|epsilon)\s{0,3}(?:=|of|:)?\s{0,3}(\d{1,6}(?:\.\d{1,6})?)",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_MOST_LINE, _MOST_ITEMS, _MOST_SECTION = 4_000, 1_000, 80
_AS_SECTION = frozenset({Topic.LICENCE, Topic.FORMAT, Topic.INPUT_SHAPE, Topic.CLASSES})
MOST_TEXT = 300


class Stated(NamedTuple):
    """One fact as a paper states it: the topic, the words, the kind of paper and its path."""

    topic: Topic
    text: str
    paper: str
    place: str


def facts_of_pairs(pairs: Iterable[tuple[str, str]], *, paper: str, place: str) -> Iterator[Stated]:
    """Yields the facts among keys and values; other keys are passed over."""
    for key, text in pairs:
        plain = key_of(_CAMEL.sub(" ", key))
        topic = Topic.TRAINING_DATA if plain == "datasets" else _TOPIC.get(plain)
        if topic is not None and text:
            yield Stated(topic, text[:MOST_TEXT], paper, place)


def facts_of_card(card: Card, *, paper: str, place: str) -> Iterator[Stated]:
    """Yields what a card states: in front matter, as ``key: value``, in tables and sentences."""
    # Prose after "datasets:" is a sentence, not a name: only front matter names data sets.
    lines = ((key, text) for key, text in stated(card) if key != "datasets")
    yield from facts_of_pairs(lines, paper=paper, place=place)
    yield from facts_of_pairs(_front_pairs(card.front), paper=paper, place=place)
    yield from _facts_of_sections(card, paper, place)
    for line in card.text.splitlines():
        if match := _SENTENCE.match(line[:_MOST_LINE]):
            yield Stated(Topic.ACCURACY, match[1], paper, place)
        if match := _PRIVATE.search(line[:_MOST_LINE]):
            yield Stated(Topic.DP_EPSILON, match[1], paper, place)


def _facts_of_sections(card: Card, paper: str, place: str) -> Iterator[Stated]:
    """A section called like a fact, with one short line: the fact. Longer ones are prose."""
    for section in card.sections:
        topic = _TOPIC.get(key_of(section.heading))
        text = section.body.strip()
        if topic in _AS_SECTION and text and len(text) <= _MOST_SECTION and "\n" not in text:
            yield Stated(topic, text.strip("*`_ ."), paper, place)


def _front_pairs(front: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Reads what Hugging Face's front matter nests: data sets, and results of ``model-index``."""
    for name in _texts(front.get("datasets")):
        yield "datasets", name
    for model in _maps(front.get("model-index")):
        for result in _maps(model.get("results")):
            for metric in _maps(result.get("metrics")):
                kind = metric.get("type") or metric.get("name")
                if isinstance(metric.get("value"), int | float | str) and isinstance(kind, str):
                    yield kind, str(metric["value"])


def _texts(value: Any) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items[:_MOST_ITEMS] if isinstance(item, str)]


def _maps(value: Any) -> list[Mapping[str, Any]]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items[:_MOST_ITEMS] if isinstance(item, dict)]
