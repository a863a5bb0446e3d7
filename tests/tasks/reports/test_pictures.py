import base64
import json

from tasks.domain.digest import digest_of
from tasks.domain.finding import Finding, Outcome
from tasks.domain.measurement import Artifact
from tasks.domain.severity import Severity
from tasks.reports.pictures import pictures


def drawn(low: float, name: str = "attacks.json") -> list[bytes]:
    attacks = [
        {"name": "BaVarIA", "value": 0.5, "low": low, "high": 0.6},
        {"name": "loss", "value": 0.1, "low": 0.0, "high": 0.2},
    ]
    told = {"chosen": "BaVarIA", "what": "members named", "attacks": attacks}
    data = json.dumps(told).encode()
    kept = Artifact(
        name=name,
        title="attacks",
        media_type="application/json",
        digest=digest_of(data),
        size_bytes=len(data),
    )
    finding = Finding(
        check="privacy.membership_tail",
        outcome=Outcome.FAIL,
        severity=Severity.MEDIUM,
        question="who?",
        detail="",
        threshold=0.05,
    )
    return [base64.b64decode(one.source.partition(",")[2]) for one in pictures(finding, kept, data)]


def test_attacks_are_drawn_with_their_intervals() -> None:
    (picture,) = drawn(0.4)
    assert picture.startswith(b"\x89PNG")
    assert picture == drawn(0.4)[0]
    assert picture != drawn(0.2)[0]


def test_what_has_no_picture_is_still_no_crash() -> None:
    assert drawn(0.4, name="unknown.json") == []
