"""Chat templates as syntax trees: what would the template reach for, if a tokenizer rendered it?

The text is parsed by jinja2 and never rendered. Where it does not parse, a search for the same
words over the raw text stands in, so that a broken template is no way around the reading.
"""

import re
from collections.abc import Iterator

from jinja2 import Environment, TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

from tasks.domain.severity import Severity
from tasks.scanners.inspection import Inspection

MOST_CHARACTERS = 1 << 20
MOST_REPEATS = 10_000
HINT = re.compile(r"\{[{%]")
REACH = re.compile(
    r"__(?:class|globals|builtins|subclasses|mro|base|bases|init|import|getattribute|code|dict|reduce)__|"
    r"\b(?:cycler|joiner|lipsum|namespace|get_flashed_messages|url_for|self)\s*\.\s*__|\|\s*attr\s*\(|"
    r"\b(?:os|subprocess|sys|builtins)\s*\.\s*\w+\s*\(|\b(?:popen|eval|exec|import_module)\s*\(|"
    r"\\x5f\\x5f|getattr\s*\(|request\s*\.\s*(?:application|args)|_TemplateReference__context|\bmro\s*\(",
    re.IGNORECASE,
)
_OTHER_FILES = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
_PROGRAMS = frozenset(
    {"popen", "eval", "exec", "import_module", "mro", "getattr", "format_map", "gi_frame"}
)
_PIECE = re.compile(r"^_+$|^__[A-Za-z]|[A-Za-z]__$|%c|\{[^{}]{0,20}:c\}")
_COMPUTING = (nodes.Concat, nodes.Add, nodes.Mul, nodes.Mod, nodes.Filter, nodes.CondExpr)


class _Generation(Extension):
    """``{% generation %}`` marks the assistant's text in chat templates; nothing here."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Returns the block's content."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


_ENVIRONMENT = Environment(  # noqa: S701 - parses only, so nothing is ever escaped or shown
    extensions=["jinja2.ext.loopcontrols", "jinja2.ext.do", _Generation]
)


def check_template(text: str, path: str, inspection: Inspection) -> None:
    """Notes what leaves the template's own data; text without a tag is no template."""
    if not HINT.search(text):
        return
    try:
        tree = _ENVIRONMENT.parse(text[:MOST_CHARACTERS])
        found = sorted({each for node in _walk(tree) for each in _judged(node)})
    except (TemplateError, RecursionError, OverflowError, ValueError):
        found = [(Severity.HIGH.rank, each.group()[:40]) for each in REACH.finditer(text)][:1]
    for rank, what in found[-8:]:
        if rank == Severity.HIGH.rank:
            detail = f"the template reaches for {what}"
            inspection.note("template.injection", Severity.HIGH, detail, path)
        else:
            detail = f"the template hides what it does: {what}"
            inspection.note("template.obscure", Severity.MEDIUM, detail, path)


def _walk(tree: nodes.Node) -> Iterator[nodes.Node]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.iter_child_nodes())


def _judged(node: nodes.Node) -> Iterator[tuple[int, str]]:  # noqa: C901 - one case a kind
    high, medium = Severity.HIGH.rank, Severity.MEDIUM.rank
    if isinstance(node, _OTHER_FILES):
        yield high, "another file"
    elif isinstance(node, nodes.Getattr):
        if node.attr.startswith("_") or node.attr in _PROGRAMS:
            yield high, node.attr[:40]
    elif isinstance(node, nodes.Getitem):
        yield from _subscript(node)
    elif isinstance(node, nodes.Name) and (node.name.startswith("__") or node.name in _PROGRAMS):
        yield high, node.name[:40]
    elif isinstance(node, nodes.Filter) and node.name in ("attr", "map", "format", "xmlattr"):
        yield from _filter(node)
    elif isinstance(node, nodes.Const) and isinstance(node.value, str):
        if REACH.search(node.value) and "__" in node.value:
            yield high, node.value[:40]
        elif _PIECE.search(node.value):
            yield medium, f"{node.value[:40]!r} can become a part of a hidden name"
    elif isinstance(node, nodes.Call):
        yield from _repetition(node)
    elif isinstance(node, nodes.Pow):
        yield medium, "a power, which can take all memory"


def _subscript(node: nodes.Getitem) -> Iterator[tuple[int, str]]:
    key = node.arg
    if isinstance(node.node, nodes.Const) and not isinstance(key, nodes.Const | nodes.Slice):
        yield Severity.HIGH.rank, "the insides of a constant"
    if isinstance(key, nodes.Const) and isinstance(key.value, str):
        if key.value.startswith("_"):
            yield Severity.HIGH.rank, key.value[:40]
    elif isinstance(key, nodes.Concat) or (
        isinstance(key, _COMPUTING) and any(_is_text(each) for each in _walk(key))
    ):
        yield Severity.MEDIUM.rank, "a key is put together from pieces"


def _is_text(node: nodes.Node) -> bool:
    return (isinstance(node, nodes.Const) and isinstance(node.value, str)) or isinstance(
        node, nodes.Filter
    )


def _filter(node: nodes.Filter) -> Iterator[tuple[int, str]]:
    if node.name == "attr":
        yield Severity.HIGH.rank, "an attribute by a computed name"
    elif node.name in ("format", "xmlattr"):
        return
    given = [*node.args, *(each.value for each in node.kwargs)]
    for each in given:
        if isinstance(each, nodes.Const) and str(each.value).startswith("_"):
            yield Severity.HIGH.rank, str(each.value)[:40]
        elif isinstance(each, nodes.Const) and each.value == "attr":
            yield Severity.HIGH.rank, "an attribute by a computed name"
        elif isinstance(each, nodes.Concat | nodes.Add):
            yield Severity.MEDIUM.rank, "a name is put together from pieces"


def _repetition(node: nodes.Call) -> Iterator[tuple[int, str]]:
    if not (isinstance(node.node, nodes.Name) and node.node.name in ("range", "lipsum")):
        return
    sizes = [
        each.value
        for argument in node.args
        for each in _walk(argument)
        if isinstance(each, nodes.Const) and isinstance(each.value, int)
    ]
    if any(size > MOST_REPEATS for size in sizes):
        yield Severity.MEDIUM.rank, f"{node.node.name} of {max(sizes)}"
