"""The model card: is it whole, is it harmless, and does it speak of these bytes?"""

import re
from collections.abc import Iterator, Sequence

from tasks.domain.bundle import FileEntry
from tasks.domain.digest import hexadecimal
from tasks.domain.errors import InvalidInputError
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.intake.json_card import is_json, parse_json_card
from tasks.intake.markdown import Card, active_content, parse_card, remote_images, stated
from tasks.intake.names import shown

# Topics after Mitchell et al. 2019 (arXiv 1810.03993), section 4, as real cards head them.
_TOPICS = {
    "intended_use": r"intended|\buse[sd]?\b|use cases?|purpose|applications?",
    "training_data": r"\btrain|\bdata\b|datasets?|corpus",
    "evaluation": r"evaluat|performance|metrics?|results?|benchmarks?|quantitative|accuracy",
    "limitations": r"limit|out.of.scope|caveat|bias|risks?\b|ethic|implications?|fairness|misuse",
    "licence": r"licen[cs]e",
    "contact": r"contact|feedback|questions|maintainer|authors?\b|support|citation",
    "version": r"version|release|\bdate\b|changelog|history",
}
_TOPIC = {topic: re.compile(pattern) for topic, pattern in _TOPICS.items()}
_FRONT_KEYS = {
    "licence": ("license", "licence"),
    "training_data": ("datasets", "training_data"),
    "evaluation": ("metrics", "model-index"),
    "contact": ("contact", "authors"),
    "version": ("version", "model_version", "date"),
}
_MAIL = re.compile(r"[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9\-]{1,63}\.[A-Za-z]{2,24}")
_LICENSED = re.compile(r"licen[cs]ed? under|released under", re.IGNORECASE)
_NUMBERED = re.compile(r"\bv?\d{1,4}\.\d{1,4}(?:\.\d{1,4})?\b")
_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_FOREIGN = re.compile(r"train|dataset|data set|corpus|parent|base model|upstream")


def read_card(data: bytes, *, place: str) -> Card:
    """Reads a model card, Markdown or JSON.

    Raises:
        InvalidInputError: It is neither; the message says why.
    """
    if is_json(data):
        return parse_json_card(data, place=place)
    return parse_card(data, place=place)


def card_observations(
    data: bytes, files: Sequence[FileEntry], *, path: str
) -> Iterator[Observation]:
    """Yields what the card lacks, what would act in it, and which digests in it are wrong.

    Args:
        data: The card's bytes (Markdown with front matter, or JSON).
        files: What lies in quarantine.
        path: Where the card lies in the bundle.
    """
    try:
        card = read_card(data, place=path)
    except InvalidInputError as error:
        yield _observed("unreadable", Severity.MEDIUM, error.message, path)
        return
    yield from active_observations(data, path=path)
    missing = missing_topics(card)
    if len(missing) > len(_TOPICS) // 2:
        detail = f"it is silent on {len(missing)} of {len(_TOPICS)} topics"
        yield _observed("mostly_silent", Severity.MEDIUM, detail, path)
    for topic in missing:
        detail = f"it says nothing of {topic.replace('_', ' ')}"
        yield _observed(f"no_{topic}", Severity.LOW, detail, path)
    yield from _wrong_digests(card, files, path)


def active_observations(data: bytes, *, path: str) -> Iterator[Observation]:
    """Yields what would act or call home if a document were rendered."""
    text = data.decode("utf-8", errors="replace")
    if names := list(active_content(text)):
        detail = f"it holds {', '.join(names)}; it is shown as text only"
        yield _observed("active_content", Severity.MEDIUM, detail, path)
    if remote_images(text):
        detail = "it loads images from elsewhere, which tells the sender who reads it"
        yield _observed("remote_image", Severity.LOW, detail, path)


def missing_topics(card: Card) -> list[str]:
    """Returns the required topics that neither a section, front matter nor the text covers."""
    return [topic for topic in _TOPIC if not _covers(card, topic)]


def _covers(card: Card, topic: str) -> bool:
    if any(card.front.get(key) for key in _FRONT_KEYS.get(topic, ())):
        return True
    # The title is no section about anything, though it may say "data" or "use".
    sections = [s for s in card.sections if s.level > 1 or s.heading != card.sections[0].heading]
    if any(_TOPIC[topic].search(s.heading.lower()) and s.body.strip() for s in sections):
        return True
    return _in_passing(card, topic)


def _in_passing(card: Card, topic: str) -> bool:
    """Answers whether a topic that needs no section of its own is covered in the text."""
    match topic:
        case "licence":
            return bool(_LICENSED.search(card.text)) or any(
                key in _FRONT_KEYS[topic] for key, _ in stated(card)
            )
        case "contact":
            return bool(_MAIL.search(card.text))
        case "version":
            title = card.sections[0].heading if card.sections else ""
            keys = {"version", "model version", "release date", "last updated"}
            return bool(_NUMBERED.search(title)) or any(key in keys for key, _ in stated(card))
    return False


def _wrong_digests(card: Card, files: Sequence[FileEntry], path: str) -> Iterator[Observation]:
    """Compares every SHA-256 in the card with the files, by the name on its line if any."""
    by_digest = {hexadecimal(file.digest) for file in files}
    front = [f"{key}: {value}" for key, value in card.front.items()]
    for line in (*front, *card.text.splitlines()):
        for digest in _DIGEST.findall(line[:4000].lower()):
            meant = _named(line, files)
            if meant is not None and hexadecimal(meant.digest) != digest:
                detail = (
                    f"the card says {shown(meant.path)} has SHA-256 {digest}, "
                    f"the bytes have {hexadecimal(meant.digest)}"
                )
                yield _observed("digest_mismatch", Severity.HIGH, detail, path)
            elif meant is None and digest not in by_digest:
                # A digest of a corpus that stayed at home is no contradiction.
                foreign = _FOREIGN.search(line.lower()) is not None
                severity = Severity.INFO if foreign else Severity.HIGH
                detail = f"the card says SHA-256 {digest}, which no file here has"
                yield _observed("digest_mismatch", severity, detail, path)


def _named(line: str, files: Sequence[FileEntry]) -> FileEntry | None:
    matching = [f for f in files if f.path in line or f.path.rpartition("/")[2] in line]
    return max(matching, key=lambda file: len(file.path)) if matching else None


def _observed(rule: str, severity: Severity, detail: str, location: str) -> Observation:
    return Observation(
        rule=f"provenance.card.{rule}", severity=severity, detail=detail[:2000], location=location
    )
