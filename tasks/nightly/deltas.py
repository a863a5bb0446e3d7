"""What changed between two sealed runs of an asset, and why. Pure: no input, no output."""

from collections.abc import Iterator, Mapping

from tasks.domain.bundle import Subject
from tasks.domain.finding import Finding, Outcome
from tasks.domain.measurement import Observation
from tasks.domain.night import Change
from tasks.domain.run import RunRecord
from tasks.domain.spec import CheckSpec, RunPlan

_SHORT = 19
"""Characters of a digest that a person compares."""
_MOST_TOLD, _LONGEST = 5, 300
_SOURCE = "provenance.advisories.source"


def changes(before: RunRecord, after: RunRecord) -> tuple[Change, ...]:
    """Returns every finding whose outcome or number differs, in the order of the later run."""
    old = {finding.check: finding for finding in before.findings}
    new = {finding.check: finding for finding in after.findings}
    found = [
        _change(old.get(check), finding, before, after)
        for check, finding in new.items()
        if check not in old or _differs(old[check], finding)
    ]
    gone = [finding for check, finding in old.items() if check not in new]
    return (*found, *(_change(finding, None, before, after) for finding in gone))


def tells_the_same(before: Subject, after: Subject) -> bool:
    """Answers whether nothing that matters is known now that was not known before.

    How many advisories a copy has, and of which day it is, changes daily and is no reason alone.
    """
    return _known(before) == _known(after) and (before.answers, before.facts, before.filled) == (
        after.answers,
        after.facts,
        after.filled,
    )


def paper_reasons(before: Subject, after: Subject) -> tuple[str, ...]:
    """Returns what the papers of one bundle tell now and did not tell before, in words."""
    old, new = _known(before), _known(after)
    told = [f"{item.rule}: {item.detail}" for item in new if item not in old]
    told += [f"no longer {item.rule}: {item.detail}" for item in old if item not in new]
    more = [f"and {len(told) - _MOST_TOLD} more about its papers"] if len(told) > _MOST_TOLD else []
    return (*(text[:_LONGEST] for text in told[:_MOST_TOLD]), *more)


def _known(subject: Subject) -> tuple[Observation, ...]:
    return tuple(item for item in subject.observations if item.rule != _SOURCE)


def reasons(before: RunPlan, after: RunPlan) -> tuple[str, ...]:
    """Returns why a plan is not the one before it, in words; empty when it asks the same."""
    told: list[str] = []
    for name in ("tier", "battery", "policy"):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            told.append(f"the {name} was {old}, is {new}")
        elif name != "tier" and getattr(before, f"{name}_digest") != getattr(
            after, f"{name}_digest"
        ):
            told.append(f"the {name} {new} says something else")
    old_specs, new_specs = _specs(before), _specs(after)
    told += [f"{check} is asked now" for check in sorted(new_specs.keys() - old_specs.keys())]
    told += [f"{check} is asked no more" for check in sorted(old_specs.keys() - new_specs.keys())]
    told += _common(
        {check: spec_reasons(old_specs[check], new_specs[check]) for check in _both(before, after)}
    )
    if before.grants != after.grants:
        told.append("other approvals of findings count")
    if before.tiering != after.tiering and not told:
        told.append("the tier is chosen for other reasons")
    if before.alphas != after.alphas and not told:
        told.append("a repeated check may cost another chance of a false alarm")
    return tuple(told)


def spec_reasons(before: CheckSpec, after: CheckSpec) -> tuple[str, ...]:
    """Returns what differs between two specs of one check, in words."""
    told: list[str] = []
    if before.version != after.version:
        told.append(f"the check is version {after.version}, was {before.version}")
    if before.code != after.code:
        told.append("the code that measures is another")
    if before.sandbox != after.sandbox:
        told.append(f"the sandbox is {after.sandbox}, was {before.sandbox}")
    if before.seed != after.seed:
        told.append("the seed is another")
    told += _mapped("parameter", before.parameters, after.parameters)
    told += _mapped(
        "input",
        {role: digest[:_SHORT] for role, digest in before.inputs.items()},
        {role: digest[:_SHORT] for role, digest in after.inputs.items()},
    )
    return tuple(told)


def _differs(old: Finding, new: Finding) -> bool:
    told = (old.outcome, old.estimate, old.severity, old.threshold)
    return told != (new.outcome, new.estimate, new.severity, new.threshold)


def _change(
    old: Finding | None, new: Finding | None, before: RunRecord, after: RunRecord
) -> Change:
    known = new or old
    assert known is not None, "a change has a side"
    return Change(
        check=known.check,
        before=old.outcome if old else None,
        after=new.outcome if new else None,
        estimate_before=old.estimate if old else None,
        estimate_after=new.estimate if new else None,
        why=tuple(_why(known.check, old, new, before, after)),
    )


def _why(
    check: str, old: Finding | None, new: Finding | None, before: RunRecord, after: RunRecord
) -> Iterator[str]:
    if old is None or new is None:
        yield f"the {'later' if old is None else 'earlier'} run alone asks it"
        return
    old_spec, new_spec = _specs(before.plan).get(check), _specs(after.plan).get(check)
    if old_spec and new_spec:
        yield from spec_reasons(old_spec, new_spec)
    if old.threshold != new.threshold:
        yield f"the threshold was {old.threshold}, is {new.threshold}"
    if old.severity != new.severity and old.outcome is new.outcome:
        yield f"the policy calls it {new.severity}, was {old.severity}"
    if before.plan.alphas.get(check) != after.plan.alphas.get(check):
        yield f"as a repetition it may cost {after.plan.alphas.get(check, 0.05):.2g}"
    if Outcome.ERROR in {old.outcome, new.outcome} and old_spec == new_spec:
        yield (
            f"it broke {'before' if old.outcome is Outcome.ERROR else 'this time'}: "
            + (old.detail if old.outcome is Outcome.ERROR else new.detail)[:200]
        )
    if old.evidence[:1] != new.evidence[:1] and old_spec == new_spec:
        yield "it was measured anew: what is behind an address, or was not to be had, can change"


def _mapped(what: str, old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield f"{what} {name} is {new.get(name, 'gone')}, was {old.get(name, 'not there')}"


def _common(told: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Groups checks by what differs, so that new code is one line and not twenty."""
    groups: dict[str, list[str]] = {}
    for check, lines in told.items():
        for line in lines:
            groups.setdefault(line, []).append(check)
    return [
        f"{line} ({', '.join(checks) if len(checks) <= 3 else f'{len(checks)} checks'})"
        for line, checks in groups.items()
    ]


def _specs(plan: RunPlan) -> dict[str, CheckSpec]:
    return {spec.check: spec for spec in plan.checks}


def _both(before: RunPlan, after: RunPlan) -> list[str]:
    old = _specs(before)
    return [spec.check for spec in after.checks if spec.check in old]
