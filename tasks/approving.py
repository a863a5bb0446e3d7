"""Which tier a bundle is judged at and who said so: answers, evidence, operator, approvals."""

import functools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from tasks.catalog.reading import entry_digest, shared_catalog
from tasks.domain.approval import Approval, Grant, TierDecision
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.errors import ObjectMissingError
from tasks.domain.finding import RiskTier
from tasks.intake.answers import review
from tasks.intake.questionnaire import impact_answers
from tasks.judging.tiers import STANDARD, Doubts, Tiering, is_below, vendor_tier
from tasks.ledger.approvals import Held, held_approvals, standing_problem
from tasks.ledger.keys import open_signer, trusted_keys
from tasks.runtime import services
from tasks.store.protocol import ObjectStore


class Granted(NamedTuple):
    """Approvals for one bundle: those that count, and why others do not."""

    tiers: tuple[Grant, ...] = ()
    findings: tuple[Grant, ...] = ()
    notes: tuple[str, ...] = ()


def grants_here(asset: str, subject: Digest) -> Granted:
    """Reads the approvals for an asset, and for findings on exactly this bundle, right now."""
    here = services()
    home = here.settings.home.resolve()
    held = tuple(held_approvals(here.store, trusted_keys(home)))
    if not held:
        return Granted()
    own_key = open_signer(here.settings.signer or None, home=home).public_key.keyid
    return grants_of(held, asset, subject, own_key=own_key, now=datetime.now(UTC), store=here.store)


def grants_of(
    held: tuple[Held, ...],
    asset: str,
    subject: Digest,
    *,
    own_key: str,
    now: datetime,
    store: ObjectStore,
) -> Granted:
    """Sorts approvals into those that count for this bundle at ``now`` and those that do not.

    Args:
        held: What the ledger holds.
        asset: Whose approvals are asked for.
        subject: The bundle; approvals of findings are about one bundle only, however often its
            papers are read again.
        own_key: The key that seals runs.
        now: The moment of planning.
        store: Where subjects lie.
    """
    tiers: list[Grant] = []
    findings: list[Grant] = []
    notes: list[str] = []
    of_asset = _of_asset(held, asset, functools.partial(_is_about, subject, store), now)
    for one, approval, problem in of_asset:
        if approval is None or problem:
            notes.append(f"{one.name} does not count: {problem}")
        else:
            (tiers if approval.kind == "tier" else findings).append(_grant(one, approval, own_key))
    return Granted(tuple(tiers), tuple(findings), tuple(notes))


def tier_decision(subject: Subject, asked: RiskTier | None, granted: Granted) -> TierDecision:
    """Returns the tier to judge at: raising is free, lowering needs an approval that counts.

    Without ``asked`` the lowest approved tier holds, else the one that the answers lead to. With it
    the operator's word holds; below the answers and without approval it stays a condition.
    """
    table = shared_catalog().tiers(STANDARD)
    computed = computed_tier(subject)
    lowest = min(granted.tiers, key=lambda grant: list(RiskTier).index(_tier(grant)), default=None)
    chosen = asked or (_tier(lowest) if lowest else computed.tier)
    if asked is None and is_below(computed.tier, chosen):
        chosen, lowest = computed.tier, None  # an approval lowers, it never raises
    below = is_below(chosen, computed.tier)
    grant = lowest if below and lowest and not is_below(chosen, _tier(lowest)) else None
    return TierDecision(
        computed=computed.tier,
        chosen=chosen,
        reasons=computed.reasons,
        table=table.id,
        table_digest=entry_digest(table),
        by="approval" if grant else "answers" if chosen == computed.tier else "operator",
        grant=grant,
        notes=granted.notes,
    )


def computed_tier(subject: Subject) -> Tiering:
    """Returns the tier by the answers, and by how far they hold against the bundle."""
    table = shared_catalog().tiers(STANDARD)
    entry = shared_catalog().questionnaire(table.questionnaire)
    reviewed = review(entry, subject)
    doubts = Doubts(len(reviewed.contradicted), round(reviewed.open_share, 4))
    return vendor_tier(table, impact_answers(subject.filled | subject.answers, entry), doubts)


def _of_asset(
    held: tuple[Held, ...], asset: str, is_about: Callable[[Digest | None], bool], now: datetime
) -> Iterator[tuple[Held, Approval | None, str]]:
    for one in held:
        approval = one.approval
        if approval is None:
            yield one, None, one.problem  # unreadable: nobody knows whom it was for
        elif approval.kind == "step":
            continue  # a gate of a case says nothing about a verdict
        elif approval.asset == asset and is_about(approval.subject):
            yield one, approval, one.problem or standing_problem(approval, now)


def _is_about(subject: Digest, store: ObjectStore, approved: Digest | None) -> bool:
    if approved in {None, subject}:
        return True
    assert approved is not None, "no subject at all was just ruled out"
    try:
        before = Subject.parse(store.get(approved))
    except ObjectMissingError:
        return False  # gone with what it was about
    return before.is_same_bundle(Subject.parse(store.get(subject)))


def _grant(held: Held, approval: Approval, own_key: str) -> Grant:
    assert held.statement is not None, "an approval that was read has a statement"
    return Grant(
        name=held.name,
        statement=held.statement,
        kind=approval.kind,
        tier=approval.tier,
        check=approval.check,
        measurement=approval.measurement,
        reason=approval.reason,
        by=approval.by,
        expires=approval.expires,
        keyid=held.keyid,
        separate=held.keyid != own_key,
    )


def _tier(grant: Grant) -> RiskTier:
    assert grant.tier is not None, "an approval of a tier names one"
    return grant.tier
