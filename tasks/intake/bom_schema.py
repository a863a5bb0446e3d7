"""CycloneDX's own strict schemas, applied in time that grows with the document, not its square."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from jsonschema import (  # type: ignore[import-untyped]  # the library ships no types
    Draft7Validator,
    ValidationError,
)
from jsonschema.validators import extend  # type: ignore[import-untyped]  # likewise

MOST_MATCHED = 2_000
"""Characters of a text that patterns and formats may be tried on."""
# RFC 3987 forbids these in any address; the library's full grammar needs seconds for each.
_ADDRESS = re.compile(r"[^\s<>\"{}|\\^`\x00-\x20]*")
_ADDRESSES = frozenset({"iri", "iri-reference", "uri", "uri-reference"})


def known_version(text: str) -> SchemaVersion | None:
    """Returns the schema of a specVersion, None when there is none in JSON (before 1.2)."""
    version = {version.to_version(): version for version in SchemaVersion}.get(text)
    return version if version is not None and version.value >= (1, 2) else None


def schema_problem(value: Any, version: SchemaVersion) -> str:
    """Returns the first way in which a document breaks its schema, or an empty text."""
    checker = JsonStrictValidator(version)._validator  # noqa: SLF001 - the schema, ready resolved
    quick = _Quick(
        checker.schema,
        registry=checker._registry,  # noqa: SLF001 - holds the schemas that it refers to
        format_checker=checker.format_checker,
    )
    problem = next(quick.iter_errors(value), None)
    if problem is None:
        return ""
    place = "/".join(str(part) for part in problem.absolute_path) or "the top"
    return f"{place}: {problem.message}"


def _unique(
    validator: Any,  # noqa: ARG001 - the library's signature
    wanted: bool,
    items: Any,
    schema: Mapping[str, Any],  # noqa: ARG001 - the library's signature
) -> Iterator[ValidationError]:
    """Compares by canonical text; the library compares each item with every other."""
    if not wanted or not isinstance(items, list):
        return
    texts = {json.dumps(item, sort_keys=True) for item in items}
    if len(texts) != len(items):
        yield ValidationError("an item appears twice")


def _short(keyword: str) -> Any:
    """Wraps a keyword that tries a pattern: long texts are refused instead."""
    usual = Draft7Validator.VALIDATORS[keyword]

    def check(validator: Any, wanted: Any, item: Any, schema: Any) -> Iterator[ValidationError]:
        if isinstance(item, str) and len(item) > MOST_MATCHED:
            yield ValidationError(f"{len(item)} characters are too many for a {wanted}"[:200])
        elif isinstance(item, str) and keyword == "format" and wanted in _ADDRESSES:
            if not _ADDRESS.fullmatch(item):
                yield ValidationError("this is no address")
        else:
            yield from usual(validator, wanted, item, schema)

    return check


_Quick = extend(
    Draft7Validator,
    {"uniqueItems": _unique, "format": _short("format"), "pattern": _short("pattern")},
)
