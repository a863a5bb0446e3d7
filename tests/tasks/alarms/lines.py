"""Alarms as a gateway of a home writes them."""

import json
from pathlib import Path
from typing import Any

from tasks.gateway.actions import gateway_folder
from tasks.gateway.metrics import Metrics
from tasks.gateway.policy import Watch
from tasks.gateway.watching import Alarm, Watching

ASSET = "Acme Vision/digit-reader@1.2.0"


def file_of(home: Path) -> Path:
    path = gateway_folder(home) / "alarms.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def append(home: Path, *accounts: str, **changed: Any) -> None:
    """Writes lines as the gateway does, without its models."""
    told: dict[str, Any] = {
        "at": "2026-11-20T06:10:00.123456+00:00", "monitor": "nearest_distance", "score": 3.5,
        "threshold": 1.0, "queries": 250, "asset": ASSET,
    }  # fmt: skip
    with file_of(home).open("a", encoding="utf-8") as stream:
        for account in accounts:
            stream.write(json.dumps({"account": account, **told, **changed}) + "\n")


def gateway_raises(home: Path, account: str, monitor: str = "nearest_distance") -> None:
    """Lets the gateway's own code raise an alarm."""
    file_of(home)
    watching = Watching(home, Watch(), Metrics())
    watching.alarm(Alarm(account, monitor, 3.5, 1.0, 250, ASSET))
