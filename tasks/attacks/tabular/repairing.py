"""Brings any proposed row back to one that could exist and that the attacker could have made.

The repair operator of Simonetto et al. 2024, arXiv 2406.00775, section 3.2, widened to categories
and budgets.
"""

import numpy as np
from numpy.typing import NDArray

from tasks.attacks.tabular.rules import Allowed, Rows, Rules

PULLS = 4
"""How often a change that breaks a relation is halved before it is given up."""


def repaired(proposed: Rows, clean: Rows, rules: Rules, allowed: Allowed) -> Rows:
    """Returns possible and reachable rows (n, columns), the clean row where none was near.

    Args:
        proposed: Any finite values (n, columns).
        clean: Possible rows (n, columns).
        rules: Of the table.
        allowed: How much may change.
    """
    result = clean.copy()
    open_ = np.arange(len(clean))
    share = 1.0
    for _ in range(PULLS):
        if not len(open_):
            break
        pulled = clean[open_] + share * (proposed[open_] - clean[open_])
        # Categories have no half-way: they are proposed as they are, and dropped with the rest.
        pulled = np.where(rules.number, pulled, proposed[open_])
        tried = _snapped(pulled, clean[open_], rules, allowed)
        good = rules.possible(tried) & rules.reachable(tried, clean[open_], allowed)
        result[open_[good]] = tried[good]
        open_, share = open_[~good], share / 2
    return result


def _snapped(rows: Rows, clean: Rows, rules: Rules, allowed: Allowed) -> Rows:
    """Cuts numbers to budget, range and steps; makes categories whole; lets the rest follow."""
    reach = allowed.epsilon * rules.width
    low, high = np.maximum(rules.low, clean - reach), np.minimum(rules.high, clean + reach)
    numbers = np.clip(rows, low, high)
    stepped = _on_steps(numbers, low, high, clean, rules)
    snapped = np.where(rules.number & rules.mutable, stepped, clean)
    snapped = _categories(snapped, rows, clean, rules, allowed)
    return np.where(rules.mutable, rules.follow(snapped), clean)


def _on_steps(rows: Rows, low: Rows, high: Rows, clean: Rows, rules: Rules) -> Rows:
    """Moves numbers to the nearest step inside their interval; the clean value if there is none."""
    step = np.where(rules.step > 0, rules.step, 1.0)
    slack = 1e-9
    least = np.ceil((low - rules.low) / step - slack)
    most = np.floor((high - rules.low) / step + slack)
    count = np.clip(np.round((rows - rules.low) / step), least, most)
    stepped = np.where(least <= most, rules.low + count * step, clean)
    return np.where(rules.step > 0, stepped, rows)


def _categories(rows: Rows, proposed: Rows, clean: Rows, rules: Rules, allowed: Allowed) -> Rows:
    """Takes over the proposed categories that differ most from the clean ones, within budget."""
    options = [_single(at, choices, proposed) for at, choices in rules.categories]
    options += [_one_hot(group, proposed) for group in rules.groups]
    places = [np.array([at]) for at, _ in rules.categories] + list(rules.groups)
    if not options:
        return rows
    gains = []
    for place, option in zip(places, options, strict=True):
        differs = (np.abs(option - clean[:, place]) > 1e-9).any(axis=1)
        free = bool(rules.mutable[place].all())
        wanted = np.abs(proposed[:, place] - clean[:, place]).max(axis=1)
        gains.append(np.where(differs & free, wanted + 1e-6, 0.0))
    gain = np.stack(gains, axis=1)
    rank = (-gain).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    taken = (gain > 0) & (rank < allowed.categories)
    changed = rows.copy()
    for column, (place, option) in enumerate(zip(places, options, strict=True)):
        take = taken[:, column, None]
        changed[:, place] = np.where(take, option, clean[:, place])
    return changed


def _single(at: int, choices: Rows, proposed: Rows) -> Rows:
    nearest = np.abs(proposed[:, at, None] - choices).argmin(axis=1)
    chosen: Rows = choices[nearest][:, None]
    return chosen


def _one_hot(group: NDArray[np.int64], proposed: Rows) -> Rows:
    chosen: Rows = np.eye(len(group))[proposed[:, group].argmax(axis=1)]
    return chosen
