"""The quota that the finding on extraction recommends, read from the sealed run's own evidence."""

import json
from typing import Any, NamedTuple

from tasks.domain.digest import Digest
from tasks.domain.errors import ProofhouseError
from tasks.ledger.seal import sealed_run
from tasks.store.protocol import ObjectStore

SCHEMA = "proofhouse.quota/1"
_MOST_BYTES = 64 << 10


class RecommendedQuota(NamedTuple):
    """Most answers for one client, when to look, and what that rests on."""

    queries: int
    alert_at: int
    basis: str


def recommended_quota(store: ObjectStore, run: str) -> RecommendedQuota | None:
    """Returns the smallest quota that a check of this run recommends, None when none does."""
    sealed = sealed_run(store, run)
    if sealed is None:
        return None
    # By role: a vendor's own file of the same form must not set its quota.
    small = [
        ref.digest
        for ref in sealed[0].objects
        if ref.role.startswith("artifact:extraction.") and ref.size_bytes <= _MOST_BYTES
    ]
    found = [quota for digest in small if (quota := _read(store, digest)) is not None]
    return min(found, default=None)


def _read(store: ObjectStore, digest: Digest) -> RecommendedQuota | None:
    try:
        document: Any = json.loads(store.get(digest))
    except (ProofhouseError, ValueError, RecursionError):
        return None
    match document:
        case {
            "schema": str(schema),
            "queries_per_client": int(queries),
            "alert_at_queries": int(alert_at),
            "basis": str(basis),
        } if schema == SCHEMA and queries >= 0:
            return RecommendedQuota(queries, alert_at, basis)
    return None
