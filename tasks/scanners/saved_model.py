"""TensorFlow SavedModels and frozen graphs: every operator of every graph and function.

Walks the wire format of ``saved_model.proto``, ``meta_graph.proto``, ``graph.proto``,
``function.proto`` and ``node_def.proto`` (field numbers beside the code); no graph is ever built.
"""

import functools
import itertools
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tasks.domain.severity import Severity
from tasks.scanners.inspection import Inspection
from tasks.scanners.reading import View
from tasks.scanners.wire import BYTES, VARINT, BrokenMessage, Field, fields

_REACHING = re.compile(
    r"^(?:.*PyFunc.*|ReadFile|WriteFile|.*Reader(?:V\d)?|Reader(?:Read|Restore|Serialize)\w*|MatchingFiles|"
    r"\w*(?:TFRecord|TextLine|FixedLengthRecord|Sql|CSV|Snapshot|Bigtable|Gcs|List|LMDB)Dataset(?:V\d)?|"
    r"Save|SaveSlices|SaveDataset\w*|LoadDataset\w*|DatasetToTFRecord|DebugIdentity\w*|DebugNumeric\w*|"
    r"DebugNan\w*|ImportEvent|WriteRawProtoSummary|Write\w*Summary|CreateSummary\w*Writer|LoadLibrary\w*|"
    r"RpcCall|Rpc|TryRpc|.*RemoteCall|DistributedSave|CopyHost|.*FileSystem.*|LookupTableImport\w*|"
    r"InitializeTableFromTextFile\w*|InitializeTableFromDataset|Unbatch\w*Rpc|XlaLaunch\w*|TPU\w*Rpc|"
    r"DataServiceDataset\w*|RegisterDataset\w*|Assert\w*File|GetSessionHandle\w*|Collective\w*Send|PrintV2|Print)$"
)
_TOLERATED = frozenset({"Save", "PrintV2", "Print", "InitializeTableFromTextFileV2"})
"""Honest exports hold these: they write where the caller says, or read their own assets."""


def looks_like_saved_model(view: View) -> bool:
    """Answers whether this is schema version 1 with meta graphs, or a frozen graph of nodes."""
    try:
        first = next(iter(fields(view, most=2)), None)
        if first is None or (first.number, first.kind) == (2, BYTES):
            return False
        if (first.number, first.kind, first.value) == (1, VARINT, 1):
            return view.size > 2 and _is_meta_graphs(view)
        if (first.number, first.kind) == (1, BYTES):
            inner = {f.number: f for f in fields(first.payload, most=64)}
            return (
                {1, 2} <= inner.keys()
                and inner[2].kind == BYTES
                and bool(re.fullmatch(r"[A-Z]\w{2,60}", inner[2].text(80)))
            )
    except BrokenMessage:
        return False
    return False


def _is_meta_graphs(view: View) -> bool:
    """A broken end does not make it another format: what is left is read and reported."""
    try:
        return all((f.number, f.kind) in ((1, VARINT), (2, BYTES)) for f in fields(view, most=1000))
    except BrokenMessage:
        return view.read(2, 1) == b"\x12"


def inspect_saved_model(view: View, inspection: Inspection) -> str:
    """Judges each kind of operator once."""
    seen: set[str] = set()
    try:
        for index, name in enumerate(itertools.chain.from_iterable(map(_operators, _graphs(view)))):
            if not index % 4096:
                inspection.budget.check_clock()
            if name not in seen:
                seen.add(name)
                judge_operator(name, inspection)
    except BrokenMessage as reason:
        inspection.note("tensorflow.malformed", Severity.MEDIUM, str(reason))
        _search(view, inspection)
    return "saved_model"


def judge_operator(name: str, inspection: Inspection) -> None:
    """Notes an operator that reaches out, and one that is not in the list of known ones."""
    if _REACHING.match(name):
        severity = Severity.LOW if name in _TOLERATED else Severity.HIGH
        text = f"the graph calls {name}, which reaches files, the network or Python"
        inspection.note("tensorflow.reaching_operator", severity, text)
    elif name not in _known():
        text = f"{name} is not on the list of known operators, so nobody said what it does"
        inspection.note("tensorflow.unlisted_operator", Severity.LOW, text)
        inspection.note("format.not_assessed", Severity.LOW, "operators outside the list are there")


@functools.cache
def _known() -> frozenset[str]:
    source = Path(__file__).with_name("known_operators.toml")
    return frozenset(tomllib.loads(source.read_text(encoding="utf-8"))["tensorflow"].split())


def _graphs(view: View) -> Iterator[View]:
    """SavedModel: 2 meta_graphs; MetaGraphDef: 2 graph_def. A frozen graph is a GraphDef itself."""
    first = next(iter(fields(view, most=2)))
    if (first.number, first.kind) == (1, BYTES):
        yield view
        return
    for meta in fields(view):
        if (meta.number, meta.kind) == (2, BYTES):
            for field in fields(meta.payload):
                if (field.number, field.kind) == (2, BYTES):
                    yield field.payload


def _operators(graph: View) -> Iterator[str]:
    """GraphDef: 1 node, 2 library; library: 1 function; function: 3 node_def; node: 2 op."""
    for field in fields(graph):
        if field.kind != BYTES:
            continue
        if field.number == 1:
            yield _operator(field)
        elif field.number == 2:
            for function in fields(field.payload):
                if (function.number, function.kind) == (1, BYTES):
                    yield from (
                        _operator(node)
                        for node in fields(function.payload)
                        if (node.number, node.kind) == (3, BYTES)
                    )


def _operator(node: Field) -> str:
    name = ""
    for field in fields(node.payload):
        if (field.number, field.kind) == (2, BYTES):
            name = field.text(256)  # the last one counts, as for any protocol buffer
    return name


_NAMED = re.compile(rb"\x12([\x04-\x28])([A-Z][A-Za-z0-9]{3,39})")


def _search(view: View, inspection: Inspection) -> None:
    """A broken message is still searched: a more patient reader might get further."""
    step = 16 << 20
    for start in range(0, view.size, step):
        inspection.budget.check_clock()
        for found in _NAMED.finditer(view.read(start, step + 64)):
            name = found.group(2)[: found.group(1)[0]].decode()
            if _REACHING.match(name) and name not in _TOLERATED:
                judge_operator(name, inspection)
