"""CVSS 3 base scores, as far as an advisory's severity needs them.

Formulas and weights: FIRST, CVSS v3.1 specification, section 7.1 and table in section 7.4.
"""

from tasks.domain.severity import Severity

_WEIGHTS: dict[str, dict[str, float]] = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "UI": {"N": 0.85, "R": 0.62},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
    "I": {"H": 0.56, "L": 0.22, "N": 0.0},
    "A": {"H": 0.56, "L": 0.22, "N": 0.0},
}
_PRIVILEGES = {False: {"N": 0.85, "L": 0.62, "H": 0.27}, True: {"N": 0.85, "L": 0.68, "H": 0.5}}
# Qualitative scale: section 5.
_SCALE = (
    (9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM), (0.1, Severity.LOW),
)  # fmt: skip


def base_severity(vector: str) -> Severity | None:
    """Returns the severity of a CVSS 3.0 or 3.1 vector; None when it is no such vector."""
    score = base_score(vector)
    if score is None:
        return None
    return next((severity for least, severity in _SCALE if score >= least), Severity.INFO)


def base_score(vector: str) -> float | None:
    """Returns the base score, 0 to 10; None when the vector is not complete CVSS 3."""
    version, *parts = vector[:200].split("/")
    if version not in {"CVSS:3.0", "CVSS:3.1"}:
        return None
    given = dict(part.partition(":")[::2] for part in parts)
    try:
        changed = {"U": False, "C": True}[given["S"]]
        weight = {name: table[given[name]] for name, table in _WEIGHTS.items()}
        privileges = _PRIVILEGES[changed][given["PR"]]
    except KeyError:
        return None
    lost = 1 - (1 - weight["C"]) * (1 - weight["I"]) * (1 - weight["A"])
    impact = 7.52 * (lost - 0.029) - 3.25 * (lost - 0.02) ** 15 if changed else 6.42 * lost
    reach = 8.22 * weight["AV"] * weight["AC"] * privileges * weight["UI"]
    if impact <= 0:
        return 0.0
    return _rounded_up(min(10.0, (1.08 if changed else 1.0) * (impact + reach)))


def _rounded_up(score: float) -> float:
    """To one decimal, upwards, in integers against float noise (appendix A)."""
    scaled = round(score * 100_000)
    return scaled / 100_000 if scaled % 10_000 == 0 else (scaled // 10_000 + 1) / 10
