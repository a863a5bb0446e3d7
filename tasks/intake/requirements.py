"""Files that declare dependencies, read as text: nothing is resolved, fetched or installed.

requirements and constraints files, ``pyproject.toml``, conda environments, and the lock files of
pipenv, Poetry and uv.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tasks.domain.errors import InvalidInputError
from tasks.intake.dependency import (
    Dependency,
    Listing,
    Oddity,
    declared,
    direct_source,
    exactly,
)
from tasks.intake.names import shown
from tasks.intake.strict_json import parse_json
from tasks.intake.strict_yaml import parse_yaml

MOST_BYTES = 4 << 20
MOST_LINES = 20_000
_REQUIREMENTS = re.compile(r"(?:requirements|constraints)[\w.\-]*\.(?:txt|in)", re.IGNORECASE)
_INDEX = re.compile(r"(?:-i|--index-url|--extra-index-url|-f|--find-links)(?:[=\s]+(\S+))?")
_EDITABLE = re.compile(r"(?:-e|--editable)[=\s]+(.+)")
_INCLUDE = re.compile(r"(?:-r|--requirement|-c|--constraint)[=\s]*(\S+)")
_HARMLESS = re.compile(
    r"--(?:pre|no-binary|only-binary|prefer-binary|require-hashes|no-index|use-feature)\b.*"
)
_HASH = re.compile(r"\s--hash[=\s]\s*(\S+)")
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_CARET = re.compile(r"[\^~]\s*(\d+(?:\.\d+)*)")
_Found = Iterator[Dependency | Oddity]


def is_dependency_file(path: str) -> bool:
    """Answers whether a file's name is one of those that declare dependencies."""
    return _reader(path) is not None


def read_dependencies(data: bytes, path: str) -> Listing:
    """Reads every dependency that a file declares.

    Args:
        data: The file's bytes.
        path: Where it lies in the bundle; its name chooses the format, requirements by default.

    Raises:
        InvalidInputError: Too large, not text, or not the format that its name promises.
    """
    if len(data) > MOST_BYTES:
        raise InvalidInputError(f"{path} has {len(data)} bytes, {MOST_BYTES} are allowed.")
    found = list((_reader(path) or _requirements)(data, path))
    return Listing(
        tuple(item for item in found if isinstance(item, Dependency)),
        tuple(item for item in found if isinstance(item, Oddity)),
    )


def _reader(path: str) -> Callable[[bytes, str], _Found] | None:
    name = path.rpartition("/")[2].lower()
    if _REQUIREMENTS.fullmatch(name):
        return _requirements
    return {
        "pyproject.toml": _pyproject,
        "poetry.lock": _lock,
        "uv.lock": _lock,
        "pipfile.lock": _pipfile_lock,
        "environment.yml": _environment,
        "environment.yaml": _environment,
        "conda.yml": _environment,
        "conda.yaml": _environment,
    }.get(name)


def _requirements(data: bytes, path: str) -> _Found:
    for number, line in _logical_lines(_text(data, path)):
        yield from _requirement_line(line, f"{path}:{number}")


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yields lines joined at backslashes, without comments, with the number of their first."""
    pending, start = "", 0
    lines = text.splitlines()
    if len(lines) > MOST_LINES:
        raise InvalidInputError(f"{len(lines)} lines are more than the {MOST_LINES} allowed.")
    for number, raw in enumerate(lines, start=1):
        start = start or number
        line = _COMMENT.sub("", raw[:MOST_BYTES])
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        if whole := (pending + line).strip():
            yield start, whole
        pending, start = "", 0
    if pending.strip():
        yield start, pending.strip()


def _requirement_line(line: str, place: str) -> _Found:
    if line.startswith("--trusted-host"):
        yield Oddity("plain_transport", line, place)
    elif match := _INDEX.match(line):
        plain = (match[1] or "").lower().startswith("http://")
        yield Oddity("plain_transport" if plain else "index", line, place)
    elif match := _EDITABLE.match(line):
        yield direct_source(match[1], place) or Oddity("local", line, place)
    elif match := _INCLUDE.match(line):
        elsewhere = "://" in match[1] or match[1].startswith(("/", "../"))
        if elsewhere:
            yield Oddity("elsewhere", line, place)
    elif line.startswith("-"):
        if not _HARMLESS.fullmatch(line):
            yield Oddity("unreadable", line, place)
    else:
        hashes = _HASH.findall(line)
        text = _HASH.sub("", line)
        # Other options may follow a requirement (--config-settings and the like).
        yield declared(text.split(" --")[0].strip(), place, hashed=bool(hashes))


def _pyproject(data: bytes, path: str) -> _Found:
    value = _toml(data, path)
    project, tool = _map(value.get("project")), _map(value.get("tool"))
    lists = [
        ("project.dependencies", project.get("dependencies")),
        ("build-system.requires", _map(value.get("build-system")).get("requires")),
        *_map(project.get("optional-dependencies")).items(),
        *_map(value.get("dependency-groups")).items(),
    ]
    for key, items in lists:
        for text in items if isinstance(items, list) else []:
            if isinstance(text, str):
                yield declared(text, f"{path}:{shown(key, 80)}")
    poetry = _map(tool.get("poetry"))
    groups = [poetry, *map(_map, _map(poetry.get("group")).values())]
    for group in groups:
        yield from _poetry(_map(group.get("dependencies")), f"{path}:tool.poetry")
    yield from _sources(tool, path)


def _poetry(table: Mapping[str, Any], place: str) -> _Found:
    for name, wanted in table.items():
        if name == "python":
            continue
        options = _map(wanted)
        if address := _address(options):
            prefix = "git+" if "git" in options else ""
            yield direct_source(prefix + address, place) or Oddity("local", address, place)
            continue
        version = options.get("version", "") if options else wanted
        yield declared(name + _pep440(str(version)), place)


def _pep440(version: str) -> str:
    """Turns Poetry's carets and tildes into the lower bound that they hold."""
    if version in {"", "*"}:
        return ""
    text = _CARET.sub(r">=\1", version)
    return text if re.match(r"[<>=!~]", text) else f"=={text}"


def _sources(tool: Mapping[str, Any], path: str) -> _Found:
    """Finds indexes and direct sources that Poetry and uv are told to use."""
    uv = _map(tool.get("uv"))
    tables = [*_list(_map(tool.get("poetry")).get("source")), *_list(uv.get("index"))]
    for table in tables:
        url = str(_map(table).get("url", ""))
        kind = "plain_transport" if url.lower().startswith("http://") else "index"
        yield Oddity(kind, url, f"{path}:tool")
    for name, source in _map(uv.get("sources")).items():
        if address := _address(_map(source)):
            yield Oddity("direct", f"{name}: {address}", f"{path}:tool.uv.sources")


def _address(options: Mapping[str, Any]) -> str:
    return next((str(options[key]) for key in ("git", "url", "path") if key in options), "")


def _lock(data: bytes, path: str) -> _Found:
    for package in _list(_toml(data, path).get("package")):
        entry = _map(package)
        hashed = bool(entry.get("files") or entry.get("wheels") or entry.get("sdist"))
        name, version = str(entry.get("name", "")), str(entry.get("version", ""))
        if version:
            yield exactly(name, version, path, hashed=hashed)


def _pipfile_lock(data: bytes, path: str) -> _Found:
    value = _map(parse_json(data, place=path))
    for group in ("default", "develop"):
        for name, entry in _map(value.get(group)).items():
            options = _map(entry)
            hashed = bool(options.get("hashes"))
            yield declared(f"{name}{options.get('version', '')}", path, hashed=hashed)


def _environment(data: bytes, path: str) -> _Found:
    value = _map(parse_yaml(data, place=path))
    for entry in _list(value.get("dependencies")):
        if isinstance(entry, str):
            yield from _conda(entry, path)
        for text in _list(_map(entry).get("pip")):
            yield from _requirement_line(str(text), f"{path}:pip")
    for channel in _list(value.get("channels")):
        if "://" in str(channel):
            yield Oddity("index", str(channel), f"{path}:channels")


def _conda(entry: str, path: str) -> _Found:
    """``channel::name=version=build``; a lone ``=`` before a short version allows its patches."""
    text = entry.rpartition("::")[2].strip()
    name, _, version = text.partition("=")
    if re.fullmatch(r"python|pip|_\w+", name.strip()):
        return
    if re.search(r"[<>!~\s]", name):  # "numpy >=1.20" is PEP 440 already
        yield declared(text, path)
        return
    exact = version.startswith("=") or version.count("=") == 1
    number = version.lstrip("=").partition("=")[0]
    patches = "" if exact or number.count(".") >= 2 or "*" in number else ".*"
    yield declared(f"{name}=={number}{patches}" if number else name, path)


def _toml(data: bytes, path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(data, path))
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise InvalidInputError(f"{path} is not TOML: {shown(str(error))}.") from error


def _text(data: bytes, path: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is not UTF-8 text (byte {error.start}).") from error


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    items = value if isinstance(value, list) else []
    if len(items) > MOST_LINES:
        raise InvalidInputError(f"{len(items)} entries are more than the {MOST_LINES} allowed.")
    return items
