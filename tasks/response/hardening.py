"""The response to failed evasion: what each defence is worth, and the hardened models."""

from collections.abc import Sequence

from tasks.domain.spec import Parameter

BATTERY, CHECK = "assessment.hardening", "evasion.defences"
TABLE, ROWS = "defences.json", "defences"


def settings(
    *, epsilon: float, defences: Sequence[str], points: int, epochs: int
) -> dict[str, dict[str, Parameter]]:
    """Returns the operator's parameters, as a plan takes them."""
    return {
        CHECK: {
            "epsilon": epsilon,
            "defences": ", ".join(defences),
            "points": points,
            "epochs": epochs,
        }
    }
