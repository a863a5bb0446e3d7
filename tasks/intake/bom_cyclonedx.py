"""CycloneDX bills of materials, JSON and XML, as components."""

import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tasks.domain.errors import InvalidInputError
from tasks.intake.bom_component import (
    DATA,
    FILE,
    LIBRARY,
    MODEL,
    MOST_COMPONENTS,
    OTHER,
    Bom,
    Component,
    Licence,
    digest_pair,
)
from tasks.intake.names import shown

_KINDS = {
    "machine-learning-model": MODEL, "data": DATA, "file": FILE, "library": LIBRARY,
    "framework": LIBRARY,
}  # fmt: skip
_XML_SPACE = "http://cyclonedx.org/schema/bom/"
_XML_NODES, _XML_DEPTH = 100_000, 40
_LISTS = frozenset(
    {"components", "hashes", "licenses", "properties", "datasets", "performanceMetrics"}
)
_MOST_FACTS = 300


def cyclonedx_json(value: Mapping[str, Any]) -> Bom:
    """Reads a parsed CycloneDX document that its own schema accepts.

    Raises:
        InvalidInputError: Not CycloneDX JSON 1.2 to 1.7, or not valid.
    """
    # A second of imports (jsonschema and its formats) that only bundles with a BOM pay.
    from tasks.intake.bom_schema import known_version, schema_problem  # noqa: PLC0415

    stated = str(value.get("specVersion"))
    version = known_version(stated)
    if version is None:
        raise InvalidInputError(f"The BOM's specVersion {shown(stated, 20)} is not known.")
    if problem := schema_problem(value, version):
        raise InvalidInputError(f"The BOM breaks its schema at {shown(problem)}")
    return Bom(f"CycloneDX {stated} JSON", tuple(_components(value)))


def cyclonedx_xml(data: bytes, *, place: str) -> Bom:
    """Reads CycloneDX XML. Entities and document types are refused, and nothing is fetched.

    Raises:
        InvalidInputError: Not such XML, or more of it than is allowed.
    """
    root = _parsed_xml(data, place)
    space, _, name = root["tag"].rpartition("}")
    version = space.removeprefix("{" + _XML_SPACE)
    if name != "bom" or version == space:
        raise InvalidInputError(f"{place} is XML, but not CycloneDX.")
    notes = ("XML is read for what it says; its schema is not checked",)
    return Bom(f"CycloneDX {shown(version, 10)} XML", tuple(_components(_as_json(root))), notes)


def _components(bom: Mapping[str, Any]) -> Iterator[Component]:
    """Walks the main component and all others, nested ones included."""
    main = (bom.get("metadata") or {}).get("component")
    waiting = [*([main] if main else []), *(bom.get("components") or [])]
    for seen in range(MOST_COMPONENTS):
        if not waiting:
            return
        item = waiting.pop(0) if seen < 1 else waiting.pop()
        waiting.extend(item.get("components") or [])
        yield _component(item)
    raise InvalidInputError(f"The BOM has more than {MOST_COMPONENTS} components.")


def _component(item: Mapping[str, Any]) -> Component:
    properties = [(p.get("name", ""), p.get("value") or "") for p in item.get("properties") or []]
    pairs = (digest_pair(each.get("alg"), each.get("content")) for each in item.get("hashes") or [])
    return Component(
        kind=_KINDS.get(item.get("type", ""), OTHER),
        name=item.get("name", ""),
        version=str(item.get("version") or ""),
        path=dict(properties).get("proofhouse:path", ""),
        digests=frozenset(pair for pair in pairs if pair),
        licences=tuple(_licences(item)),
        purl=item.get("purl") or "",
        facts=tuple([*_card_facts(item.get("modelCard") or {}), *properties][:_MOST_FACTS]),
    )


def _licences(item: Mapping[str, Any]) -> Iterator[Licence]:
    for entry in item.get("licenses") or []:
        if expression := entry.get("expression"):
            yield Licence(expression, is_spdx=True)
        licence = entry.get("license") or {}
        if identifier := licence.get("id"):
            yield Licence(identifier, is_spdx=True)
        elif name := licence.get("name"):
            yield Licence(name, is_spdx=False)


def _card_facts(card: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Reads the facts of a modelCard that other papers may state, too."""
    analysis = card.get("quantitativeAnalysis") or {}
    for metric in analysis.get("performanceMetrics") or []:
        # A slice is a part of the data: its number is not the model's.
        if not metric.get("slice") and metric.get("type") and metric.get("value"):
            yield str(metric["type"]), str(metric["value"])
    for dataset in (card.get("modelParameters") or {}).get("datasets") or []:
        if name := dataset.get("name"):
            yield "datasets", str(name)


def _parsed_xml(data: bytes, place: str) -> dict[str, Any]:
    """Builds plain nested dictionaries, with caps that hold while parsing."""
    from defusedxml.common import DefusedXmlException  # noqa: PLC0415 - for XML alone
    from defusedxml.ElementTree import ParseError, iterparse  # noqa: PLC0415

    stack: list[dict[str, Any]] = [{"tag": "", "children": []}]
    try:
        events = iterparse(io.BytesIO(data), events=("start", "end"), forbid_dtd=True)
        for nodes, (event, element) in enumerate(events):
            if nodes > 2 * _XML_NODES or len(stack) > _XML_DEPTH:
                raise InvalidInputError(f"{place} has too many or too deeply nested elements.")
            if event == "start":
                node = {"tag": element.tag, "attributes": dict(element.attrib), "children": []}
                stack[-1]["children"].append(node)
                stack.append(node)
            else:
                stack.pop()["text"] = (element.text or "").strip()
                element.clear()
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise InvalidInputError(f"{place} is not plain XML: {shown(str(error))}.") from error
    root: dict[str, Any] = stack[0]["children"][0]
    return root


def _as_json(node: dict[str, Any]) -> Any:
    """Turns an element into what the JSON form of CycloneDX calls the same."""
    name, children = _local(node), node["children"]
    if name in _LISTS:
        return [_as_json(child) for child in children]
    if name in _SPECIAL:
        return _SPECIAL[name](node)
    if not children:
        return node["text"]
    found = {_local(child): _as_json(child) for child in children}
    return found | {"type": node["attributes"]["type"]} if "type" in node["attributes"] else found


_SPECIAL: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "hash": lambda node: {"alg": node["attributes"].get("alg", ""), "content": node["text"]},
    "property": lambda node: {
        "name": node["attributes"].get("name", ""),
        "value": node["text"],
    },
    "license": lambda node: {
        "license": {_local(child): child["text"] for child in node["children"]}
    },
    "expression": lambda node: {"expression": node["text"]},
}


def _local(node: Mapping[str, Any]) -> str:
    return str(node["tag"].rpartition("}")[2])
