"""Model cards as JSON (the Model Card Toolkit's schema 0.0.1 and 0.0.2), as cards like others."""

from collections.abc import Iterator, Mapping
from typing import Any

from tasks.domain.errors import InvalidInputError
from tasks.intake.markdown import Card, Section
from tasks.intake.strict_json import JsonCaps, parse_json

_CAPS = JsonCaps(most_bytes=8 << 20, nodes=100_000, depth=30)
_KNOWN = ("model_details", "model_parameters", "quantitative_analysis", "considerations")
_MOST_ITEMS = 1_000
# Headings of the sections, by path in the document.
_SECTIONS = {
    "Overview": ("model_details", "overview"),
    "Documentation": ("model_details", "documentation"),
    "Contact": ("model_details", "owners"),
    "Citation": ("model_details", "citations"),
    "Architecture": ("model_parameters", "model_architecture"),
    "Training data": ("model_parameters", "data"),
    "Evaluation": ("quantitative_analysis", "performance_metrics"),
    "Intended users": ("considerations", "users"),
    "Intended use": ("considerations", "use_cases"),
    "Limitations": ("considerations", "limitations"),
    "Trade-offs": ("considerations", "tradeoffs"),
    "Ethical considerations": ("considerations", "ethical_considerations"),
}


def is_json(data: bytes) -> bool:
    """Answers whether a document looks like JSON rather than Markdown."""
    return data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{"


def parse_json_card(data: bytes, *, place: str) -> Card:
    """Reads a JSON model card: its facts as front matter, its texts as sections.

    Raises:
        InvalidInputError: Not JSON, or without any part of a model card.
    """
    value = parse_json(data, place=place, caps=_CAPS)
    if not isinstance(value, dict) or not any(isinstance(value.get(k), dict) for k in _KNOWN):
        raise InvalidInputError(
            f"{place} is JSON, but no model card: none of {', '.join(_KNOWN)} is in it."
        )
    sections = tuple(_sections(value))
    return Card(_front(value), sections, "\n".join(section.body for section in sections))


def _sections(value: Mapping[str, Any]) -> Iterator[Section]:
    for heading, (part, key) in _SECTIONS.items():
        texts = list(_texts(_map(value.get(part)).get(key)))
        if texts:
            # A title of level 1 is no section about anything, so these are of level 2.
            yield Section(heading, 2, "\n".join(texts))


def _front(value: Mapping[str, Any]) -> dict[str, Any]:
    """Names the facts as front matter does, so that cards of both kinds are read alike."""
    details, parameters = _map(value.get("model_details")), _map(value.get("model_parameters"))
    licences = [
        item.get("identifier") or item.get("custom_text")
        for item in (*_maps(details.get("licenses")), *_maps(details.get("license")))
    ]
    plain = details.get("license")
    metrics = [
        {"type": item.get("type"), "value": item.get("value")}
        for item in _maps(_map(value.get("quantitative_analysis")).get("performance_metrics"))
        if not item.get("slice")
    ]
    version = details.get("version")
    found: dict[str, Any] = {
        "license": next((text for text in (plain, *licences) if isinstance(text, str)), None),
        "version": version if isinstance(version, str) else _map(version).get("name"),
        "datasets": [text for item in _data(parameters) if (text := _string(item.get("name")))],
        "model-index": [{"results": [{"metrics": metrics}]}] if metrics else None,
    }
    for key in ("input_format_map", "output_format_map"):
        for pair in _maps(parameters.get(key)):
            if isinstance(pair.get("key"), str) and isinstance(pair.get("value"), str):
                found[pair["key"]] = pair["value"]
    return {key: each for key, each in found.items() if each}


def _data(parameters: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Version 0.0.1 keeps training and evaluation data apart, 0.0.2 has one list."""
    data = parameters.get("data")
    if isinstance(data, dict) and ("train" in data or "eval" in data):
        return _maps(data.get("train"))
    return _maps(data)


def _texts(value: Any) -> Iterator[str]:
    waiting = [value]
    for _ in range(10 * _MOST_ITEMS):
        if not waiting:
            return
        item = waiting.pop(0)
        if isinstance(item, str) and item.strip():
            yield item
        elif isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item[:_MOST_ITEMS])


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _maps(value: Any) -> list[Mapping[str, Any]]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items[:_MOST_ITEMS] if isinstance(item, dict)]
