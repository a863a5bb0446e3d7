"""Which assets a night is about. Imports no Prefect: commands ask before they know its address."""

from collections.abc import Iterable, Sequence

from tasks.domain.errors import InvalidInputError
from tasks.domain.finding import RiskTier
from tasks.inventory.rows import Asset

LIVE = frozenset({"approved", "live"})
ORDER = tuple(reversed(RiskTier))


def chosen_assets(assets: Iterable[Asset], only: Sequence[str]) -> tuple[Asset, ...]:
    """Returns the live assets, or those of them that ``only`` names.

    Raises:
        InvalidInputError: It names one that is not live.
    """
    live = live_assets(assets)
    if missing := sorted(set(only) - {asset.asset for asset in live}):
        raise InvalidInputError(
            f"{', '.join(missing)[:500]} is no live asset. See: proofhouse inventory assets."
        )
    return tuple(asset for asset in live if not only or asset.asset in only)


def live_assets(assets: Iterable[Asset]) -> tuple[Asset, ...]:
    """Returns the assets that somebody relies on, the highest tier first."""
    live = [asset for asset in assets if asset.state in LIVE]
    order = {tier.value: place for place, tier in enumerate(ORDER)}
    return tuple(sorted(live, key=lambda one: (order.get(one.tier, len(order)), one.asset)))
