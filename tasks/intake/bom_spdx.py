"""SPDX 3 documents (JSON-LD) with the AI and Dataset profiles, as components.

The graph is read as flat JSON, as SPDX serialises it; its context is never fetched.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tasks.domain.errors import InvalidInputError
from tasks.intake.bom_component import (
    DATA,
    FILE,
    LIBRARY,
    MODEL,
    MOST_COMPONENTS,
    Bom,
    Component,
    Licence,
    digest_pair,
)
from tasks.intake.names import shown

CONTEXT = re.compile(r"https?://spdx\.(?:org|github\.io)/(?:rdf|spdx-spec)/v?(3\.\d)(?:\.\d+)?/.*")
_KINDS = {
    "ai_AIPackage": MODEL, "dataset_DatasetPackage": DATA, "software_File": FILE,
    "software_Package": LIBRARY,
}  # fmt: skip
_LICENSING = frozenset({"hasDeclaredLicense", "hasConcludedLicense"})
_TRAINING = frozenset({"trainedOn"})
_MOST_LIST = 1_000


def is_spdx(value: Any) -> bool:
    """Answers whether a parsed JSON document is SPDX 3."""
    return isinstance(value, dict) and "@graph" in value and _version(value) is not None


def spdx_components(value: Mapping[str, Any]) -> Bom:
    """Reads a parsed SPDX 3 document.

    Raises:
        InvalidInputError: The graph is not a list of elements, or holds too many.
    """
    graph = value["@graph"]
    if not isinstance(graph, list) or not all(isinstance(node, dict) for node in graph):
        raise InvalidInputError("The SPDX document's @graph is not a list of elements.")
    if len(graph) > 10 * MOST_COMPONENTS:
        raise InvalidInputError(f"The SPDX document has {len(graph)} elements, which is too many.")
    nodes = {_id(node): node for node in graph if _id(node)}
    if not any(_type(node) == "SpdxDocument" for node in graph):
        raise InvalidInputError("The SPDX document has no SpdxDocument element.")
    links: dict[str, list[tuple[str, str]]] = {}
    for source, kind, to in _relationships(graph):
        links.setdefault(source, []).append((kind, to))
    found = [
        _component(node, nodes, links.get(_id(node), [])) for node in graph if _type(node) in _KINDS
    ]
    return Bom(f"SPDX {_version(value)} JSON-LD", tuple(found))


def _version(value: Mapping[str, Any]) -> str | None:
    contexts = value.get("@context")
    for context in contexts if isinstance(contexts, list) else [contexts]:
        if isinstance(context, str) and (match := CONTEXT.fullmatch(context[:300])):
            return match[1]
    return None


def _component(
    node: Mapping[str, Any], nodes: Mapping[str, Any], links: list[tuple[str, str]]
) -> Component:
    near = [(kind, nodes.get(to, {}), to) for kind, to in links]
    licences = [
        Licence(text, is_spdx=True)
        for kind, target, to in near
        if kind in _LICENSING and (text := _licence(target, to))
    ]
    trained = [
        ("datasets", _text(target, "name"))
        for kind, target, _ in near
        if kind in _TRAINING and _text(target, "name")
    ]
    pairs = (
        digest_pair(each.get("algorithm"), each.get("hashValue"))
        for each in _list(node, "verifiedUsing")
    )
    return Component(
        kind=_KINDS[_type(node)],
        name=_text(node, "name"),
        version=_text(node, "software_packageVersion"),
        path=_text(node, "name") if _type(node) == "software_File" else "",
        digests=frozenset(pair for pair in pairs if pair),
        licences=tuple(licences),
        purl=_text(node, "software_packageUrl"),
        facts=(*_metrics(node), *trained),
    )


def _metrics(node: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for entry in (*_list(node, "ai_metric"), *_list(node, "ai_hyperparameter")):
        if _text(entry, "key") and _text(entry, "value"):
            yield _text(entry, "key"), _text(entry, "value")


def _licence(target: Mapping[str, Any], identifier: str) -> str:
    """A licence is an expression element, or one of the listed licences by its address."""
    if text := _text(target, "simplelicensing_licenseExpression"):
        return text
    name = identifier.rpartition("/")[2]
    return name if "spdx.org/licenses/" in identifier else ""


def _relationships(graph: list[Any]) -> Iterator[tuple[str, str, str]]:
    for node in graph:
        if _type(node).endswith("Relationship"):
            source, kind = _text(node, "from"), _text(node, "relationshipType")
            targets = node.get("to")
            for to in (targets if isinstance(targets, list) else [targets])[:_MOST_LIST]:
                if isinstance(to, str):
                    yield source, kind, to


def _list(node: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = node.get(key)
    items = value if isinstance(value, list) else [value]
    return [item for item in items[:_MOST_LIST] if isinstance(item, dict)]


def _text(node: Mapping[str, Any], key: str) -> str:
    value = node.get(key)
    return shown(value, 2000) if isinstance(value, str) else ""


def _type(node: Mapping[str, Any]) -> str:
    return str(node.get("type") or node.get("@type") or "")


def _id(node: Mapping[str, Any]) -> str:
    return str(node.get("spdxId") or node.get("@id") or "")
