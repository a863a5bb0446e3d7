"""Do model card and datasheet say what must be known, and nothing that is not so?"""

from tasks.checks.lab import Lab
from tasks.checks.provenance.papers import gathered, measured, serious
from tasks.domain.measurement import Measurement

CHECK = "provenance.documents"


def measure(lab: Lab) -> Measurement:
    """Returns what the papers lack and where they contradict the bundle, the bytes, each other."""
    found = gathered(lab, CHECK)
    contradicting = sum(item.rule == f"{CHECK}.contradiction" for item in found)
    return measured(
        CHECK,
        found,
        f"{contradicting} contradictions; {serious(found)} of {len(found)} observations matter.",
        method="Cards read as text: topics by headings, facts by key and value, front matter and "
        "tables; compared with manifest, claims, BOM and the artifact's bytes",
        facts={"contradictions": contradicting, **lab.subject.facts},
    )
