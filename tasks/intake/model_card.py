"""The model card: is it whole, is it harmless, and does it speak of these bytes?"""

import re
from collections.abc import Iterator, Sequence

from tasks.domain.bundle import BundleSpec, FileEntry
from tasks.domain.digest import hexadecimal
from tasks.domain.errors import InvalidInputError
from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity
from tasks.intake.artifact import ArtifactFacts
from tasks.intake.card_claims import contradictions
from tasks.intake.markdown import Card, active_content, parse_card, remote_images, stated
from tasks.intake.names import shown

# Topics after Mitchell et al. 2019 (arXiv 1810.03993), section 4, as real cards head them.
_TOPICS = {
    "intended use": r"intended|\buse[sd]?\b|use cases?|purpose|applications?",
    "training data": r"\btrain|\bdata\b|datasets?|corpus",
    "evaluation": r"evaluat|performance|metrics?|results?|benchmarks?|quantitative|accuracy",
    "limitations": r"limit|out.of.scope|caveat|bias|risks?\b|ethic|implications?|fairness|misuse",
    "licence": r"licen[cs]e",
    "contact": r"contact|feedback|questions|maintainer|authors?\b|support|citation",
}
_TOPIC = {topic: re.compile(pattern) for topic, pattern in _TOPICS.items()}
_FRONT_KEYS = {
    "licence": ("license", "licence"),
    "training data": ("datasets", "training_data"),
    "evaluation": ("metrics", "model-index"),
    "contact": ("contact", "authors"),
}
_MAIL = re.compile(r"[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9\-]{1,63}\.[A-Za-z]{2,24}")
_LICENSED = re.compile(r"licen[cs]ed? under|released under", re.IGNORECASE)
_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_FOREIGN = re.compile(r"train|dataset|data set|corpus|parent|base model|upstream")


def card_observations(
    data: bytes,
    spec: BundleSpec,
    files: Sequence[FileEntry],
    facts: ArtifactFacts,
    *,
    path: str,
) -> Iterator[Observation]:
    """Yields what the card lacks, what would act in it, and where the bytes contradict it.

    Args:
        data: The card's bytes (Markdown, front matter allowed).
        spec: The bundle's manifest.
        files: What lies in quarantine.
        facts: What the artifact's bytes say of the model.
        path: Where the card lies in the bundle.
    """
    try:
        card = parse_card(data, place=path)
    except InvalidInputError as error:
        yield _observed("unreadable", Severity.MEDIUM, error.message, path)
        return
    yield from document_observations(data, path=path)
    if missing := missing_topics(card):
        severity = Severity.MEDIUM if len(missing) > len(_TOPICS) // 2 else Severity.LOW
        yield _observed("incomplete", severity, f"it says nothing of {', '.join(missing)}", path)
    yield from _wrong_digests(card, files, path)
    for what, said, found in contradictions(stated(card), spec, facts):
        detail = f"the card says {what} {shown(said, 80)}, {shown(found, 120)}"
        yield _observed("contradiction", Severity.HIGH, detail, path)


def document_observations(data: bytes, *, path: str) -> Iterator[Observation]:
    """Yields what would act or call home if the document were rendered."""
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
    if topic == "licence":
        return bool(_LICENSED.search(card.text)) or any(
            key in _FRONT_KEYS[topic] for key, _ in stated(card)
        )
    return topic == "contact" and bool(_MAIL.search(card.text))


def _wrong_digests(card: Card, files: Sequence[FileEntry], path: str) -> Iterator[Observation]:
    """Compares every SHA-256 in the card with the files, by the name on its line if any."""
    by_digest = {hexadecimal(file.digest): file for file in files}
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
