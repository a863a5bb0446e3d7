"""The rules that a set of labelled items must keep, as expectations on its profile."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tasks.domain.measurement import Observation
from tasks.domain.severity import Severity

ROWS_PER_CLASS = 20
"""With fewer rows per class, a class may be absent by chance."""


class Rule(NamedTuple):
    """One expectation, how bad it is to break it, and what to say then."""

    name: str
    expectation: str
    settings: dict[str, Any]
    severity: Severity
    says: str
    worse: tuple[tuple[float, Severity], ...] = ()
    """Severities from a share of broken rows on, rising."""

    def request(self) -> dict[str, Any]:
        """Returns what the sandboxed procedure needs to know, as JSON values."""
        return {"rule": self.name, "expectation": self.expectation, "settings": self.settings}


class Demands(NamedTuple):
    """What the bundle and the operator say the data must be like."""

    bounds: tuple[float, float] | None
    classes: int | None
    rows: int
    minimum_rows: int
    most_shared: float
    columns: tuple[str, ...]


def rules_for(demands: Demands) -> tuple[Rule, ...]:
    """Returns the rules for one set of items."""
    rules = [*_shape_rules(demands), *_input_rules(demands)]
    if demands.classes is not None:
        rules += _label_rules(demands.classes, demands.rows)
    return tuple(rules)


def broken_rules(
    rules: Iterable[Rule], results: Iterable[Mapping[str, Any]], *, rows: int, location: str
) -> Iterator[Observation]:
    """Turns results into observations, one for each rule that is broken or gave no result."""
    by_name = {str(result["rule"]): result for result in results}
    for rule in rules:
        result = by_name.get(rule.name)
        if result is None or result["error"]:
            why = result["error"] if result else "it gave no result"
            detail = f"the rule could not be checked: {why}"
            yield Observation(
                rule=rule.name, severity=Severity.HIGH, detail=detail, location=location
            )
        elif not result["success"]:
            count = int(result["unexpected"])
            yield Observation(
                rule=rule.name,
                severity=_severity(rule, count / max(rows, 1)),
                detail=rule.says.format(count=count, rows=rows, observed=result["observed"]),
                location=location,
            )


def _severity(rule: Rule, share: float) -> Severity:
    reached = [severity for least, severity in rule.worse if share >= least]
    return reached[-1] if reached else rule.severity


def _shape_rules(demands: Demands) -> list[Rule]:
    return [
        Rule(
            "data.rows",
            "row_count",
            {"min_value": demands.minimum_rows},
            Severity.MEDIUM,
            f"{{rows}} rows; rates need at least {demands.minimum_rows} to mean something",
        ),
        Rule(
            "data.duplicates",
            "between",
            {"column": "copies", "max_value": 0},
            Severity.LOW,
            "{count} of {rows} rows repeat an earlier row",
            ((0.2, Severity.MEDIUM),),
        ),
        Rule(
            "data.overlap",
            "between",
            {"column": "shared", "max_value": 0},
            Severity.LOW,
            "{count} of {rows} rows also lie in the training data, so results on them flatter",
            ((demands.most_shared, Severity.MEDIUM), (0.5, Severity.HIGH)),
        ),
        Rule(
            "data.contradictions",
            "between",
            {"column": "contradicted", "max_value": 0},
            Severity.LOW,
            "{count} of {rows} rows have an identical row with another label",
            ((0.02, Severity.MEDIUM),),
        ),
    ]


def _input_rules(demands: Demands) -> list[Rule]:
    rules = [
        Rule(
            "data.not_finite",
            "between",
            {"column": "broken", "max_value": 0},
            Severity.HIGH,
            "{count} of {rows} rows hold NaN or infinity",
        )
    ]
    if demands.bounds is not None:
        rules += _range_rules(*demands.bounds)
    single = [name for name in demands.columns if name.startswith("x")]
    if len(single) != 1:
        rules.append(
            Rule(
                "data.blank_rows",
                "between",
                {"column": "spread", "min_value": 0, "strict_min": True},
                Severity.LOW,
                "{count} of {rows} rows hold one value throughout",
                ((0.05, Severity.MEDIUM),),
            )
        )
    rules += [
        Rule(
            f"data.constant_column.{name}",
            "distinct_values",
            {"column": name, "min_value": 2},
            Severity.LOW,
            f"column {name[1:]} holds one value throughout",
        )
        for name in single
    ]
    return rules


def _range_rules(low: float, high: float) -> list[Rule]:
    slack = 1e-5 * (high - low)
    return [
        Rule(
            f"data.range.{column}",
            "between",
            {"column": column, "min_value": low - slack, "max_value": high + slack},
            Severity.HIGH,
            f"the {column} value of {{count}} of {{rows}} rows is outside the promised range "
            f"{low:g} to {high:g}",
        )
        for column in ("lowest", "highest")
    ]


def _label_rules(classes: int, rows: int) -> list[Rule]:
    enough = rows >= ROWS_PER_CLASS * classes
    return [
        Rule(
            "data.label_range",
            "between",
            {"column": "label", "min_value": 0, "max_value": classes - 1},
            Severity.HIGH,
            f"{{count}} of {{rows}} labels are not a class from 0 to {classes - 1}",
        ),
        Rule(
            "data.one_class",
            "distinct_values",
            {"column": "label", "min_value": 2},
            Severity.HIGH,
            "all {rows} labels are the same",
        ),
        Rule(
            "data.classes_missing",
            "distinct_values",
            {"column": "label", "min_value": classes},
            Severity.MEDIUM if enough else Severity.LOW,
            f"{{observed}} of {classes} classes occur",
        ),
        Rule(
            "data.imbalance",
            "between",
            {"column": "label_share", "min_value": 0.1 / classes},
            Severity.LOW,
            "{count} of {rows} rows belong to classes with less than a tenth of an even share",
        ),
    ]
