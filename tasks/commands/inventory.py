"""``proofhouse inventory``: assets and their runs."""

from typing import Any

from tasks.cli import Answer


def assets_answer() -> Answer:
    """Lists assets."""
    rows = [_plain(asset) for asset in _inventory().assets()]
    told = [f"{row['asset']}  tier {row['tier']}  {row['state']}" for row in rows]
    return Answer({"assets": rows}, told or ["no assets yet"])


def runs_answer(asset: str | None) -> Answer:
    """Lists runs, of one asset when it is named."""
    rows = [_plain(run) for run in _inventory().runs(asset)]
    told = [f"{row['run']}  {row['verdict']:<26}  {row['asset']}  {row['sealed']}" for row in rows]
    return Answer({"runs": rows}, told or ["no runs yet"])


def _inventory() -> Any:
    from tasks.inventory.database import Inventory  # noqa: PLC0415
    from tasks.settings import read_settings  # noqa: PLC0415

    settings = read_settings()
    settings.home.mkdir(parents=True, exist_ok=True)
    return Inventory(settings.database_url)


def _plain(row: Any) -> dict[str, Any]:
    plain: dict[str, Any] = row.model_dump(mode="json")
    return plain
