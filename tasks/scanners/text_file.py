"""Plain text of a bundle: cards, tables, configurations, scripts. Read as text, never rendered.

All patterns are linear: no nested repetition, bounded gaps.
"""

import re
from typing import NamedTuple

from tasks.domain.severity import Severity
from tasks.scanners import json_config, requirements_file
from tasks.scanners.config_walk import BrokenJson, strict_json
from tasks.scanners.inspection import Inspection
from tasks.scanners.jinja_template import check_template
from tasks.scanners.reading import View

MOST_BYTES = 512 << 20
MOST_JSON_BYTES = 64 << 20
STEP_BYTES = 4 << 20
OVERLAP_BYTES = 512
_SAMPLE = 1 << 16
_CODE = re.compile(
    r"\.(py|pyw|pyi|sh|bash|zsh|bat|cmd|ps1|vbs|js|mjs|ts|rb|pl|php|lua|r|jl|java|c|cc|cpp|cu|"
    r"h|so|pyx|pxd|ipynb|pth|egg|jar|desktop|reg|scpt|hta|wsf|jse|vbe|psm1|command|fish|csh|ksh|tcl|groovy|go|"
    r"rs|swift|cs|scala|kt|kts|f90|asm|cmake|gradle|service|mk)$",
    re.IGNORECASE,
)
_BUILD = re.compile(
    r"^(?:makefile|gnumakefile|dockerfile|containerfile|vagrantfile|rakefile|jenkinsfile|gemfile|justfile|"
    r"\.envrc|\.bashrc|\.profile|\.zshrc|\.netrc|\.npmrc|\.pypirc|pip\.conf|setup\.cfg|tox\.ini)$",
    re.IGNORECASE,
)
_ACTIVE = re.compile(
    r"<script[\s>/]|javascript:\s*[\w(]|<iframe[\s>]|<object[\s>]|<embed[\s>]|<svg[^<>]{0,200}\son\w{3,20}\s*=|"
    r"<(?:img|body|a|div|input|video|audio|details|form)\b[^<>]{0,300}\son\w{3,20}\s*=|"
    r"<meta[^<>]{0,100}http-equiv\s*=\s*.?refresh|data:text/html|vbscript:",
    re.IGNORECASE,
)
_ESCAPES = re.compile(r"\x1b[\[\]PX^_]")
_CONTROLS = re.compile(r"[\x00-\x07\x0e-\x1a\x1c-\x1f]")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_INVISIBLE = re.compile("[\U000e0000-\U000e007f]{8,}")  # shorter runs are flags in emoji
_INJECTION = re.compile(
    r"(?:ignore|disregard|forget)\s+(?:all\s+|any\s+)?(?:of\s+)?(?:the\s+|your\s+)?(?:previous|prior|above|earlier)\s+"
    r"(?:instructions|prompts|rules)|you\s+are\s+now\s+(?:in\s+)?(?:dan|developer\s+mode)|"
    r"(?:reveal|print|repeat)\s+(?:your|the)\s+system\s+prompt",
    re.IGNORECASE,
)
_SECRETS = (
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z]{1,12} ){0,2}PRIVATE KEY-----")),
    ("an AWS access key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("a GitHub token", re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_[A-Za-z0-9_]{40}")),
    ("a Hugging Face token", re.compile(r"\bhf_[A-Za-z]{34}\b")),
    ("a Slack token", re.compile(r"\bxox[abprs]-[0-9A-Za-z-]{20}")),
    ("a model provider key", re.compile(r"\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32}")),
    ("a Google API key", re.compile(r"\bAIza[0-9A-Za-z_-]{35}\b")),
)
_YAML_TAG = re.compile(
    r"!!python/|!<tag:yaml\.org,2002:python|tag:yaml\.org,2002:python/|!!java|!ruby/|!!javax"
)
_REMOTE = re.compile(
    r"trust_remote_code['\"]?\s{0,4}[:=]\s{0,4}(?:true|yes|on)\b|^\s{0,20}auto_map\s{0,4}:",
    re.IGNORECASE | re.MULTILINE,
)
_LOADER = re.compile(r"^\s{0,20}loader_module\s{0,4}:\s{0,4}['\"]?(?!mlflow\.)[\w.]", re.MULTILINE)
_KERAS = re.compile(r"^\s{0,40}-?\s{0,4}class_name\s{0,4}:\s{0,4}['\"]?Lambda\b", re.MULTILINE)
_ANCHOR = re.compile(r"[:\s\[,]&\w{1,60}\b")
_ALIAS = re.compile(r"[:\s\[,]\*\w{1,60}\b")
_ENTITY = re.compile(r"<!ENTITY\s", re.IGNORECASE)
_OUTSIDE = re.compile(
    r"<!DOCTYPE[^>]{0,500}\b(?:SYSTEM|PUBLIC)\s+[\"'](?!-//|about:|http://www\.dmg|http://www\.w3)",
    re.IGNORECASE,
)
_FORMULA = re.compile(
    r"""(?:^|[,;\t"'])\s{0,4}[=+@-]\s{0,4}(?:cmd\s{0,4}\||HYPERLINK\s{0,4}\(|WEBSERVICE\s{0,4}\(|DDE\s{0,4}\(|IMPORTXML\s{0,4}\(|EXEC\s{0,4}\()""",
    re.IGNORECASE | re.MULTILINE,
)
_REQUIREMENTS = re.compile(
    r"(?:requirements|constraints)[\w.-]*\.(?:txt|in)$|^Pipfile$|^environment\.ya?ml$",
    re.IGNORECASE,
)
_PYTHON = re.compile(
    r"^(?:import [\w.]+|from [\w.]+ import |def \w+\(|class \w+[(:])", re.MULTILINE
)


_PLAIN = re.compile(r"\.(?:md|txt|rst|csv|tsv|json|jsonl|ya?ml|toml|html?|xml|log)$", re.IGNORECASE)


def looks_like_text(view: View) -> bool:
    """Answers whether the bytes are UTF-8 (or UTF-16 with a mark) without binary content."""
    sample = view.read(0, _SAMPLE)
    if sample[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return _is_utf16(sample)
    if b"\x00" in sample:
        return False
    try:
        text = sample.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(sample) - 4 or view.size <= _SAMPLE:
            return _is_latin(sample)
        text = sample[: error.start].decode("utf-8")
    odd = sum(1 for c in text if ord(c) < 32 and c not in "\t\n\r\f\x1b\b")
    return odd <= max(4, len(text) // 20)


def inspect_text(view: View, inspection: Inspection) -> str:
    """Finds what would be active in the hands of whoever shows, runs or feeds on the text."""
    kind = _kind(view, inspection)
    if view.size > MOST_BYTES:
        text = f"only the first {MOST_BYTES} bytes of the text were searched"
        inspection.note("format.not_assessed", Severity.LOW, text)
    if kind in ("yaml", "yml"):
        _aliases(view, inspection)
    for start in range(0, min(view.size, MOST_BYTES), STEP_BYTES):
        inspection.budget.check_clock()
        _search(_decoded(view.read(start, STEP_BYTES + OVERLAP_BYTES)), start, kind, inspection)
    return kind


def _aliases(view: View, inspection: Inspection) -> None:
    """Anchors that name each other grow by their product, whatever the reader's caps are."""
    text = _decoded(view.read(0, STEP_BYTES))
    anchors, aliases = len(_ANCHOR.findall(text)), len(_ALIAS.findall(text))
    if anchors >= 4 and aliases >= 4 * anchors:
        detail = f"{aliases} aliases of {anchors} anchors can expand without end"
        inspection.note("yaml.alias_bomb", Severity.MEDIUM, detail)


def _kind(view: View, inspection: Inspection) -> str:
    head = view.head(1 << 14)
    name = inspection.name
    if inspection.around == "torchscript" and (name.endswith(".py") or "/code/" in name):
        return "torchscript_source"
    if name.lower().endswith(".ipynb"):
        inspection.note("file.executable_code", Severity.MEDIUM, f"{name} is a notebook with code")
    elif head.startswith(b"#!") or _CODE.search(name) or _BUILD.search(name):
        text = f"{name} is source code or a script; a model bundle must not need it"
        inspection.note("file.executable_code", Severity.MEDIUM, text)
    elif not _PLAIN.search(name) and _PYTHON.search(_decoded(head)):
        inspection.note("file.executable_code", Severity.MEDIUM, f"{name} holds Python source")
    if _REQUIREMENTS.search(name):
        requirements_file.inspect_requirements(_decoded(view.read(0, STEP_BYTES)), inspection)
        return "requirements"
    stripped = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if stripped[:1] in (b"{", b"["):
        return _json(view, name, inspection)
    if stripped[:5] in (b"<?xml", b"<!DOC", b"<html", b"<PMML") or stripped[:4] == b"<svg":
        return "xml"
    suffix = name.rpartition(".")[2].lower()
    if name in ("MLmodel", "conda.yaml", "conda.yml"):
        return "yaml"
    return suffix if suffix in ("md", "csv", "tsv", "yaml", "yml", "toml", "jsonl") else "text"


def _json(view: View, name: str, inspection: Inspection) -> str:
    if view.size > MOST_JSON_BYTES:
        text = f"JSON of more than {MOST_JSON_BYTES} bytes is searched, not walked"
        inspection.note("format.not_assessed", Severity.LOW, text)
        return "json"
    data = view.read(0, view.size)
    try:
        value, doubled = strict_json(data)
    except BrokenJson as reason:
        if reason.kind == "deep":
            inspection.note("json.nesting", Severity.MEDIUM, str(reason))
        elif name.lower().endswith((".json", ".ipynb")) and not _lines_are_json(data):
            inspection.note("json.malformed", Severity.MEDIUM, str(reason))
        return "json" if reason.kind == "deep" or name.lower().endswith(".json") else "text"
    json_config.inspect_config(value, doubled, inspection)
    return "json"


def _lines_are_json(data: bytes) -> bool:
    try:
        for line in data.splitlines()[:4]:
            strict_json(line)
    except BrokenJson:
        return False
    return True


class _Rule(NamedTuple):
    """One pattern, what it means, and in which kinds of text (None: in all)."""

    name: str
    severity: Severity
    pattern: re.Pattern[str]
    meaning: str
    kinds: frozenset[str] | None = None


_PROSE = frozenset({"md", "text", "xml", "yaml", "yml", "toml"})  # vocabularies hold any character
_YAML = frozenset({"yaml", "yml", "toml"})
_TABLES = frozenset({"csv", "tsv"})
_RULES = (
    _Rule("text.terminal_escape", Severity.MEDIUM, _ESCAPES, "control characters drive a terminal"),
    _Rule("text.control_character", Severity.LOW, _CONTROLS, "unprintable control characters"),
    _Rule("text.bidirectional", Severity.MEDIUM, _BIDI, "shown in another order than read", _PROSE),
    _Rule("text.invisible", Severity.MEDIUM, _INVISIBLE, "invisible characters carry hidden text"),
    _Rule("text.prompt_injection", Severity.LOW, _INJECTION, "speaks to a language model"),
    _Rule("yaml.object_tag", Severity.HIGH, _YAML_TAG, "a tag that builds objects on load", _YAML),
    _Rule("config.remote_code", Severity.MEDIUM, _REMOTE, "code from elsewhere is allowed", _YAML),
    _Rule("config.foreign_import", Severity.HIGH, _LOADER, "a loader outside MLflow", _YAML),
    _Rule("keras.code", Severity.HIGH, _KERAS, "a Lambda layer", _YAML),
    _Rule("xml.entity", Severity.MEDIUM, _ENTITY, "declares entities", frozenset({"xml"})),
    _Rule("xml.entity", Severity.MEDIUM, _OUTSIDE, "an outside document type", frozenset({"xml"})),
    _Rule("table.formula", Severity.MEDIUM, _FORMULA, "a formula that reaches outside", _TABLES),
    *(_Rule("text.secret", Severity.MEDIUM, each, f"looks like {what}") for what, each in _SECRETS),
)


def _search(text: str, start: int, kind: str, inspection: Inspection) -> None:
    for rule in _RULES:
        if rule.kinds is not None and kind not in rule.kinds:
            continue
        if found := rule.pattern.search(text):
            at = start + found.start()
            inspection.note(rule.name, rule.severity, rule.meaning, at)
    if kind != "torchscript_source" and (found := _ACTIVE.search(_without_fences(text, kind))):
        shown = f"active web content: {found.group()[:60]}"
        inspection.note("text.active_content", Severity.MEDIUM, shown, start)
    if kind in _YAML or inspection.name.endswith((".jinja", ".jinja2", ".j2", ".tmpl")):
        check_template(text, inspection.name, inspection)


def _without_fences(text: str, kind: str) -> str:
    """Markdown code blocks are shown, not rendered."""
    if kind != "md":
        return text
    parts = re.split(r"^ {0,3}(?:```|~~~)[^\n]*$", text, flags=re.MULTILINE)
    # An odd number of fences leaves the last block open: search it too.
    return "\n".join(parts[::2]) if len(parts) % 2 else "\n".join([*parts[::2], parts[-1]])


def _decoded(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8", "replace")


def _is_utf16(sample: bytes) -> bool:
    """Almost any bytes decode as UTF-16, so mostly Latin letters are asked for as well."""
    text = sample[: len(sample) // 2 * 2].decode("utf-16", "replace")
    latin = sum(1 for c in text if c in "\t\n\r\f" or 32 <= ord(c) < 592)
    return len(sample) % 2 == 0 and latin >= 0.8 * len(text)


def _is_latin(sample: bytes) -> bool:
    odd = sum(1 for byte in sample if (byte < 32 and byte not in b"\t\n\r\f") or 127 <= byte < 160)
    high = sum(1 for byte in sample if byte >= 160)
    return not odd and high <= len(sample) // 5
