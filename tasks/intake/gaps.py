"""Gaps in the papers, weighed by risk tier as the catalog says.

Intake notes every gap; which of them matter depends on what the asset is for. The checks weigh
them with :func:`weighed` before they are judged.
"""

import functools
from collections.abc import Iterable
from pathlib import Path

from tasks.catalog.papers import STANDARD, Gap
from tasks.catalog.reading import Catalog, catalog_root
from tasks.domain.measurement import Observation


def weighed(
    observations: Iterable[Observation], rigour: int, *, papers: str = STANDARD
) -> tuple[Observation, ...]:
    """Returns the observations with each gap as bad as the tier at hand takes it.

    Args:
        observations: What intake found.
        rigour: 1, 2 or 3 for the tiers low, medium and high.
        papers: The catalog entry that says what gaps weigh.
    """
    gaps = _gaps(catalog_root(), papers)
    return tuple(
        item.model_copy(update={"severity": gaps[item.rule].severity(rigour)})
        if item.rule in gaps
        else item
        for item in observations
    )


@functools.cache
def _gaps(root: Path, papers: str) -> dict[str, Gap]:
    return {gap.rule: gap for gap in Catalog(root).papers(papers).gaps}
