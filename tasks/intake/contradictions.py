"""Facts that papers state, compared with the bundle's own and with each other.

Reading is tolerant: only what certainly cannot both be so is a contradiction. Of several values
that one paper states on a topic (a card of three sizes, results on two data sets), one that agrees
is enough.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from tasks.domain.bundle import BundleSpec
from tasks.domain.severity import Severity
from tasks.intake.artifact import ArtifactFacts
from tasks.intake.licences import contradicts, spdx
from tasks.intake.stated_facts import Stated, Topic

MOST_VALUES = 50
"""Different values of one topic that are looked at in one paper."""
FAR = 0.05
"""Two accuracies this far apart are more than a slip."""
_FORMATS = {
    "onnx": "onnx", "safetensors": "safetensors", "torchscript": "torchscript", "skops": "skops",
    "joblib": "joblib", "pickle": "pickle", "pytorch exported program": "pt2", "pt2": "pt2",
    "gguf": "gguf", "hdf5": "hdf5", "keras": "keras",
}  # fmt: skip
_COUNT = re.compile(
    r"[~≈<>]?\s{0,3}(\d{1,3}(?:[,_ .']\d{3}){1,5}(?!\d)|\d{1,15}(?:\.\d{1,6})?)\s{0,3}"
    r"(thousand|million|billion|[kmb])?\b",
    re.IGNORECASE,
)
_SCALE = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "b": 1e9, "billion": 1e9}
_INTEGER = re.compile(r"\d{1,9}")
_VERSION = re.compile(
    r"v?(\d{1,6}(?:\.\d{1,6}){1,3})(?![.\d]|\s{0,3}(?:%|[bmk]\b|thousand|million|billion))(\S{0,30})",
    re.IGNORECASE,
)
_PERCENT = re.compile(r"[~≈]?\s{0,3}(\d{1,3}(?:[.,]\d{1,8})?)\s{0,3}(%|percent\b|pct\b)?")
_DECIMAL = re.compile(r"\D{0,12}?(\d{1,6}(?:[.,]\d{1,6})?)")
_WORD = re.compile(r"[a-z]{3,}")
_EMPTY_WORDS = frozenset(
    {"data", "dataset", "datasets", "set", "sets", "training", "train", "test", "eval",
     "evaluation", "the", "and", "for", "from", "corpus", "version", "own", "our", "internal",
     "public", "private", "npz", "csv", "parquet", "images", "text"}
)  # fmt: skip
_SAME_WORDS = {"ilsvrc": "imagenet"}


class Side(NamedTuple):
    """One side of a contradiction: the value in its own words, and who says so."""

    text: str
    who: str


class Contradiction(NamedTuple):
    """A topic, what one paper says of it, and what is so or what another says."""

    topic: Topic
    said: Side
    against: Side
    place: str
    severity: Severity


def contradictions(
    facts: Iterable[Stated], spec: BundleSpec, artifact: ArtifactFacts
) -> Iterator[Contradiction]:
    """Yields each topic on which a paper cannot be right, at most once for each paper."""
    known = _known(spec, artifact)
    ordered = sorted(facts, key=lambda fact: (fact.topic.value, fact.paper))
    for topic, group in groupby(ordered, key=lambda fact: fact.topic):
        papers = [
            tuple(dict.fromkeys(each))[:MOST_VALUES]
            for _, each in groupby(group, key=lambda fact: fact.paper)
        ]
        for index, paper in enumerate(papers):
            # Papers that say the wrong thing in unison are told once each, against the bundle.
            others = [known[topic]] if topic in known else [_sides(each) for each in papers[:index]]
            for other in others:
                if (found := _compared(topic, paper, other)) is not None:
                    yield found
                    break


def accuracy_of(text: str) -> tuple[float, float] | None:
    """Returns a stated accuracy as a fraction, and half of its last digit; None when unclear.

    ``98 %``, ``0.98``, ``98.1% top-1`` and ``98,1 %`` are understood.
    """
    match = _PERCENT.match(text)
    if match is None:
        return None
    number = match[1].replace(",", ".")
    digits = len(number.partition(".")[2])
    value, half = float(number), 0.5 * 10.0**-digits
    if match[2] or value > 1:
        value, half = value / 100, half / 100
    return (value, half) if value <= 1 else None


def _known(spec: BundleSpec, artifact: ArtifactFacts) -> dict[Topic, tuple[Side, ...]]:
    """What the bundle and its bytes say, by topic."""
    model, claims = spec.model, spec.claims
    told: dict[Topic, tuple[Any, str]] = {
        Topic.LICENCE: (claims.licence, "the bundle claims"),
        Topic.FORMAT: (artifact.format, "the bytes are"),
        Topic.PARAMETERS: (artifact.parameters, "the bytes hold"),
        Topic.CLASSES: (model.output and model.output.classes, "the bundle says"),
        Topic.INPUT_SHAPE: (model.input and list(model.input.shape), "the bundle says"),
        Topic.VERSION: (model.version, "the bundle says"),
        Topic.ACCURACY: (claims.accuracy, "the bundle claims"),
        Topic.DP_EPSILON: (claims.dp_epsilon, "the bundle claims"),
        Topic.TRAINING_DATA: (", ".join(claims.training_data), "the bundle claims"),
    }
    return {topic: (Side(str(value), who),) for topic, (value, who) in told.items() if value}


def _sides(facts: Sequence[Stated]) -> tuple[Side, ...]:
    return tuple(Side(fact.text, f"the {fact.paper} ({fact.place}) says") for fact in facts)


def _compared(topic: Topic, paper: Sequence[Stated], other: Sequence[Side]) -> Contradiction | None:
    parse, agree = _COMPARE[topic]
    mine = [(fact, value) for fact in paper if (value := parse(fact.text)) is not None]
    theirs = [(side, value) for side in other if (value := parse(side.text)) is not None]
    if not mine or not theirs or any(agree(a, b) for _, a in mine for _, b in theirs):
        return None
    fact, value = mine[0]
    side, wanted = theirs[0]
    return Contradiction(
        topic, Side(fact.text, f"the {fact.paper} says"), side, fact.place,
        _severity(topic, value, wanted),
    )  # fmt: skip


def _severity(topic: Topic, value: Any, wanted: Any) -> Severity:
    if topic is Topic.TRAINING_DATA:
        return Severity.MEDIUM
    if topic is Topic.ACCURACY and abs(value[0] - wanted[0]) <= FAR:
        return Severity.MEDIUM
    return Severity.HIGH


def _licence(text: str) -> str | None:
    return text if spdx(text) or " OR " in text else None


def _formats(text: str) -> set[str] | None:
    named = {kind for word, kind in _FORMATS.items() if re.search(rf"\b{word}\b", text.lower())}
    return named or None


def _count(text: str) -> tuple[float, float] | None:
    """Returns a number and the room it needs.

    Figures as 1.2M are rounded, and buffers may be counted or not: 10 and 2 %.
    """
    match = _COUNT.match(text)
    if match is None:
        return None
    grouped = re.sub(r"[,_ ']", "", match[1])
    if grouped.count(".") > 1:  # 1.234.567 groups by points
        grouped = grouped.replace(".", "")
    number = float(grouped) * _SCALE.get((match[2] or "").lower(), 1.0)
    return (number, 0.10 if match[2] else 0.02) if number else None


def _classes(text: str) -> float | None:
    found = _count(text)
    return found[0] if found else None


def _shape(text: str) -> list[int] | None:
    """Order (channels first or last) and a batch of one are left open."""
    dimensions = sorted(n for n in map(int, _INTEGER.findall(text)) if n > 1)
    return dimensions or None


def _same_shape(one: list[int], other: list[int]) -> bool:
    """A part of the dimensions may be named (28x28 of 1x28x28), or their product (784)."""
    few, many = sorted((one, other), key=len)
    rest = list(many)
    for size in few:
        if size not in rest:
            break
        rest.remove(size)
    else:
        return True
    return len(few) == 1 and _product(many) == few[0]


def _product(sizes: Sequence[int]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total


def _version(text: str) -> tuple[tuple[int, ...], str] | None:
    match = _VERSION.match(text.strip())
    if match is None:
        return None
    return tuple(int(part) for part in match[1].split(".")), match[2].strip(".,;()")


def _same_version(one: tuple[tuple[int, ...], str], other: tuple[tuple[int, ...], str]) -> bool:
    """1.2 is a short way to write 1.2.0; a suffix must be the same where both have one."""
    shorter, longer = sorted((one[0], other[0]), key=len)
    padded = shorter + (0,) * (len(longer) - len(shorter))
    return padded == longer and (one[1] == other[1] or not (one[1] and other[1]))


def _epsilon(text: str) -> float | None:
    match = _DECIMAL.match(text)
    return float(match[1].replace(",", ".")) if match else None


def _words(text: str) -> set[str] | None:
    found = {_SAME_WORDS.get(word, word) for word in _WORD.findall(text.lower())}
    return found - _EMPTY_WORDS or None


_COMPARE: dict[Topic, tuple[Callable[[str], Any], Callable[[Any, Any], bool]]] = {
    Topic.LICENCE: (_licence, lambda one, other: not contradicts(one, other)),
    Topic.FORMAT: (_formats, lambda one, other: bool(one & other)),
    Topic.PARAMETERS: (
        _count,
        lambda one, other: abs(one[0] - other[0]) <= max(one[1], other[1]) * max(one[0], other[0]),
    ),
    Topic.CLASSES: (_classes, lambda one, other: one == other),
    Topic.INPUT_SHAPE: (_shape, _same_shape),
    Topic.VERSION: (_version, _same_version),
    Topic.ACCURACY: (
        accuracy_of,
        lambda one, other: abs(one[0] - other[0]) <= max(one[1], other[1]) + 1e-9,
    ),
    Topic.DP_EPSILON: (_epsilon, lambda one, other: abs(one - other) <= 0.01 * max(one, other)),
    Topic.TRAINING_DATA: (_words, lambda one, other: bool(one & other)),
}
