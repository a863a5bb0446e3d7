"""Reads catalog entries: id = path, strict schema, every problem named with its file."""

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeVar

import yaml
from pydantic import ValidationError

from tasks.catalog.drills import DrillEntry
from tasks.catalog.live_drills import LiveDrillEntry
from tasks.catalog.papers import PapersEntry
from tasks.catalog.playbooks import ClockEntry, PlaybookEntry
from tasks.catalog.questionnaires import QuestionnaireEntry
from tasks.catalog.schema import BatteryEntry, CheckEntry, Entry, PolicyEntry, RuleEntry
from tasks.catalog.tiers import TierEntry
from tasks.domain.digest import Digest, digest_of
from tasks.domain.errors import CatalogError
from tasks.domain.ids import is_entry_id

Kind = Literal[
    "checks", "batteries", "policies", "documents", "questionnaires", "rules", "tiers",
    "playbooks", "clocks", "drills", "live_drills",
]  # fmt: skip
KINDS: dict[Kind, type[Entry]] = {
    "checks": CheckEntry,
    "batteries": BatteryEntry,
    "policies": PolicyEntry,
    "questionnaires": QuestionnaireEntry,
    "tiers": TierEntry,
    "rules": RuleEntry,
    "documents": PapersEntry,
    "playbooks": PlaybookEntry,
    "clocks": ClockEntry,
    "drills": DrillEntry,
    "live_drills": LiveDrillEntry,
}
LIVE = "live"
"""The family of ``catalogs/drills`` whose entries are live-fire drills: a schema of its own."""
E_ = TypeVar("E_", bound=Entry)


def catalog_root() -> Path:
    """Returns the folder that ``PROOFHOUSE_CATALOGS`` names, else that of the shipped catalogs."""
    if chosen := os.environ.get("PROOFHOUSE_CATALOGS"):
        return Path(chosen)
    import catalogs  # noqa: PLC0415 - the package is data; only this function needs its place

    return Path(catalogs.__file__).parent


class _StrictLoader(yaml.CSafeLoader):
    """Safe YAML without anchors, aliases or doubled keys: entries are read, not computed."""

    def __init__(self, data: bytes) -> None:
        if b"&" in data or b"*" in data:  # few have one, and to look at all that is said takes time
            _verify_no_anchors(data)
        super().__init__(data)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        keys = [key.value for key, _ in node.value]
        if doubled := sorted({key for key in keys if keys.count(key) > 1}):
            line = node.start_mark.line + 1
            raise yaml.YAMLError(f"line {line}: keys given twice: {', '.join(doubled)}")
        return super().construct_mapping(node, deep)


def _verify_no_anchors(data: bytes) -> None:
    for event in yaml.parse(data, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            line = event.start_mark.line + 1 if event.start_mark else "?"
            raise yaml.YAMLError(f"line {line}: anchors are not allowed")


class Catalog:
    """The entries of one catalog folder, read when asked for and kept.

    Args:
        root: A folder laid out as ``<kind>/<family>/<name>.yaml``; the shipped one by default.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or catalog_root()
        self._kept: dict[tuple[Kind, str], Entry] = {}

    def check(self, entry_id: str) -> CheckEntry:
        """Returns the check of this id. Raises :class:`CatalogError`."""
        return self._entry("checks", entry_id, CheckEntry)

    def battery(self, entry_id: str) -> BatteryEntry:
        """Returns the battery of this id, or of this last part. Raises :class:`CatalogError`."""
        return self._entry("batteries", self._full_id("batteries", entry_id), BatteryEntry)

    def policy(self, entry_id: str) -> PolicyEntry:
        """Returns the policy of this id. Raises :class:`CatalogError`."""
        return self._entry("policies", entry_id, PolicyEntry)

    def policy_for(self, tier: str, kind: str = "model") -> PolicyEntry:
        """Returns the policy that judges assets of ``tier``: models, or datasets."""
        return self.policy(f"dataset.{tier}" if kind == "dataset" else f"tier.{tier}")

    def questionnaire(self, entry_id: str) -> QuestionnaireEntry:
        """Returns the questionnaire of this id. Raises :class:`CatalogError`."""
        return self._entry("questionnaires", entry_id, QuestionnaireEntry)

    def tiers(self, entry_id: str) -> TierEntry:
        """Returns the table of risk tiers of this id. Raises :class:`CatalogError`."""
        return self._entry("tiers", entry_id, TierEntry)

    def rule(self, entry_id: str) -> RuleEntry:
        """Returns the rule of the artifact scan of this id. Raises :class:`CatalogError`."""
        return self._entry("rules", entry_id, RuleEntry)

    def papers(self, entry_id: str) -> PapersEntry:
        """Returns what papers must say, by this id. Raises :class:`CatalogError`."""
        return self._entry("documents", entry_id, PapersEntry)

    def playbook(self, entry_id: str) -> PlaybookEntry:
        """Returns the playbook of this id, or of this last part. Raises :class:`CatalogError`."""
        return self._entry("playbooks", self._full_id("playbooks", entry_id), PlaybookEntry)

    def clock(self, entry_id: str) -> ClockEntry:
        """Returns the legal clock of this id. Raises :class:`CatalogError`."""
        return self._entry("clocks", entry_id, ClockEntry)

    def drill(self, entry_id: str) -> DrillEntry:
        """Returns the drill of this id, or of this last part. Raises :class:`CatalogError`."""
        return self._entry("drills", self._full_id("drills", entry_id), DrillEntry)

    def live_drill(self, entry_id: str) -> LiveDrillEntry:
        """Returns the live-fire drill of this id, or last part. Raises :class:`CatalogError`."""
        return self._entry("live_drills", self._full_id("live_drills", entry_id), LiveDrillEntry)

    def ids(self, kind: Kind) -> tuple[str, ...]:
        """Returns the ids of every file of a kind, sorted, whether or not it is valid."""
        folder = self._folder(kind)
        files = sorted(folder.glob("**/*.yaml"))
        ids = (".".join(file.relative_to(folder).with_suffix("").parts) for file in files)
        if kind not in {"drills", "live_drills"}:
            return tuple(ids)
        live = kind == "live_drills"
        return tuple(each for each in ids if (each.partition(".")[0] == LIVE) is live)

    def problems(self) -> list[str]:
        """Returns what is wrong with any entry, one line each; empty when all is well."""
        found: list[str] = []
        for kind, model in KINDS.items():
            for entry_id in self.ids(kind):
                try:
                    self._entry(kind, entry_id, model)
                except CatalogError as error:
                    found.append(error.message)
        return found or self._dangling()

    def _dangling(self) -> list[str]:
        checks, batteries = set(self.ids("checks")), set(self.ids("batteries"))
        found = [
            f"batteries/{battery}: no check is called {strength.check}"
            for battery in sorted(batteries)
            for strength in self.battery(battery).checks
            if strength.check not in checks
        ]
        for name in self.ids("policies"):
            policy = self.policy(name)
            if policy.battery not in batteries:
                found.append(f"policies/{name}: no battery is called {policy.battery}")
            found += [
                f"policies/{name}: no check is called {rule.check}"
                for rule in policy.rules
                if rule.check not in checks
            ]
        found += [
            f"{kind}/{name}: no {what} is called {missing}"
            for kind, name, what, missing in self._dangling_responses()
        ]
        return found + [
            f"tiers/{name}: {problem}"
            for name in self.ids("tiers")
            for problem in self._tier_problems(self.tiers(name))
        ]

    def _dangling_responses(self) -> Iterator[tuple[str, str, str, str]]:
        """Yields kind and name of an entry, and which other entry it names in vain."""
        clocks, playbooks = set(self.ids("clocks")), set(self.ids("playbooks"))
        for name in self.ids("playbooks"):
            for clock in set(self.playbook(name).clocks) - clocks:
                yield "playbooks", name, "clock", clock
        for name in self.ids("drills"):
            if (playbook := self.drill(name).playbook) not in playbooks:
                yield "drills", name, "playbook", playbook
        for name in self.ids("live_drills"):
            yield from (("live_drills", name, *missing) for missing in self._missing_live(name))

    def _missing_live(self, name: str) -> Iterator[tuple[str, str]]:
        drill = self.live_drill(name)
        if drill.playbook not in self.ids("playbooks"):
            yield "playbook", drill.playbook
            return
        playbook = self.playbook(drill.playbook)
        event = drill.detection.trigger
        # A playbook may name an event with a kind behind a dot: gateway.alarm.flood.
        if not any(f"{each}.".startswith(f"{event}.") for each in playbook.triggers):
            yield "trigger of its playbook", event
        people = {step.id for step in playbook.steps if step.action is None}
        yield from (("step of people", step) for step in sorted(set(drill.replies) - people))
        steps = {step.id for step in playbook.steps}
        yield from (("step of its playbook", step) for step in set(drill.containing) - steps)

    def _tier_problems(self, table: TierEntry) -> list[str]:
        if table.questionnaire not in self.ids("questionnaires"):
            return [f"no questionnaire is called {table.questionnaire}"]
        questions = {one.id: one for one in self.questionnaire(table.questionnaire).questions}
        found: list[str] = []
        for factor in table.factors:
            question = questions.get(factor.question)
            if question is None:
                found.append(f"no question is called {factor.question}")
                continue
            asked = {"bool": (True, False), "choice": question.choices}.get(question.kind, ())
            voted = [vote.answer for vote in factor.votes if vote.above is None]
            if set(voted) != set(asked):
                found.append(f"the votes on {factor.question} are not its answers")
        return found

    def _entry(self, kind: Kind, entry_id: str, model: type[E_]) -> E_:
        kept = self._kept.get((kind, entry_id))
        if not isinstance(kept, model):
            kept = self._kept[kind, entry_id] = self._read(kind, entry_id, model)
        return kept

    def _full_id(self, kind: Kind, name: str) -> str:
        if "." in name:
            return name
        matches = [entry for entry in self.ids(kind) if entry.rpartition(".")[2] == name]
        return matches[0] if len(matches) == 1 else name

    def _read(self, kind: Kind, entry_id: str, model: type[E_]) -> E_:
        if not is_entry_id(entry_id):
            raise CatalogError(self._unknown(kind, entry_id))
        path = self._folder(kind).joinpath(*entry_id.split(".")).with_suffix(".yaml")
        if entry_id not in self.ids(kind):
            raise CatalogError(self._unknown(kind, entry_id))
        return parse_entry(path.read_bytes(), model, entry_id=entry_id, place=f"{kind}/{path.name}")

    def _folder(self, kind: Kind) -> Path:
        return self.root / ("drills" if kind == "live_drills" else kind)

    def _unknown(self, kind: Kind, entry_id: str) -> str:
        known = ", ".join(self.ids(kind)) or "none"
        return f"{kind} has no entry called {entry_id!r}. Known entries: {known}."


def shared_catalog() -> Catalog:
    """Returns this process's catalog: entries are read once, however many subjects are planned."""
    return _of_root(catalog_root())


@functools.cache
def _of_root(root: Path) -> Catalog:
    return Catalog(root)


def parse_entry(data: bytes, model: type[E_], *, entry_id: str, place: str) -> E_:
    """Turns the bytes of a catalog file into an entry.

    Raises:
        CatalogError: Not strict YAML, not the schema, or not the id that its path demands.
    """
    try:
        # The loader is a SafeLoader; the rule only knows the class by its own name.
        entry = model.model_validate(yaml.load(data, Loader=_StrictLoader))  # noqa: S506
    except yaml.YAMLError as error:
        raise CatalogError(f"{place} ({entry_id}) is not plain YAML: {error}") from error
    except ValidationError as error:
        raise CatalogError(f"{place} ({entry_id}): {_all_problems(error)}") from error
    if entry.id != entry_id:
        raise CatalogError(f"{place} says id {entry.id!r}, its path says {entry_id!r}")
    return entry


def entry_digest(entry: Entry) -> Digest:
    """Returns the digest of what the entry says (not of its layout or comments)."""
    return digest_of(entry.canonical())


def _all_problems(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in issue['loc']) or 'entry'}: {issue['msg']}"
        for issue in error.errors()
    )
