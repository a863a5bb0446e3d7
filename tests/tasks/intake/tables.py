"""A small table with everything that a profile can learn, in files as people have them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasks.domain.reference import ReferenceProfile
from tasks.intake.profiling import profile_table

CITIES = {"Bern": "CH", "Basel": "CH", "Lyon": "FR", "Paris": "FR", "Turin": "IT"}


def people(rows: int = 2000, *, seed: int = 0, first_id: int = 1) -> Any:
    """Ids that never repeat, ages, two ordered dates as numbers, cities that fix their country."""
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 1000, rows)
    city = rng.choice([*CITIES], rows)
    income = rng.lognormal(10, 0.5, rows)
    income[rng.random(rows) < 0.1] = np.nan
    return pd.DataFrame(
        {
            "id": np.arange(first_id, first_id + rows),
            "age": rng.integers(18, 90, rows),
            "start": start,
            "end": start + rng.integers(0, 500, rows),
            "income": income,
            "city": city,
            "country": [CITIES[name] for name in city],
            "label": rng.integers(0, 2, rows),
        }
    )


def written(folder: Path, table: Any, name: str = "people.parquet", **more: Any) -> Path:
    path = folder / name
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path, **more)
    return path


def profile_of(path: Path, **more: Any) -> ReferenceProfile:
    """Profiles a file in this process."""
    told = profile_table(paths=[str(path)])[1]
    assert not told.pop("problem")
    return ReferenceProfile(name="people", version="1", **told, **more)
