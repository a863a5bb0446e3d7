"""Telemetry as a gateway would have sealed it, for tests of what is done with it afterwards."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tasks.gateway.telemetry import CLAIMS, claim_part, parquet_bytes
from tasks.sandbox.protocol import Array
from tasks.store.protocol import ObjectStore
from tests.tasks.inventory.records import ASSET

CLASSES = 3


def rows_of(
    account: str, features: Array, *, kept: bool = True, start: float = 0.0, **changed: Any
) -> list[dict[str, Any]]:
    """Answered items of a model that names the largest of the first three features."""
    return [
        {
            "time": start + place, "request": f"{account}-{place}", "account": account,
            "role": "partner", "segment": "", "model": ASSET, "version": "run-1",
            "route": "champion", "status": 200, "reason": "", "items": 1, "bytes": 10,
            "latency_ms": 1.0, "cost_ms": 0.3,
            "input_hash": f"{abs(hash(tuple(row.tolist()))):032x}",
            "features": row.tolist() if kept else None,
            "label": int(row[:CLASSES].argmax()), "confidence": 0.9, "margin": 0.8,
            **changed,
        }
        for place, row in enumerate(features)
    ]  # fmt: skip


def sealed(store: ObjectStore, rows: Sequence[dict[str, Any]], *, batch: str = "a") -> None:
    """Seals rows as one batch."""
    digest = store.put(parquet_bytes(rows)).digest
    store.claim(f"{CLAIMS}{claim_part('reader')}/2026-11-01/{batch}", digest.encode())


def inputs(count: int, seed: int) -> Array:
    """Features of random inputs."""
    return np.random.default_rng(seed).uniform(0, 1, (count, 4)).astype(np.float32)
