"""Does what the bundle says of itself agree with what came?"""

from tasks.checks.lab import Lab
from tasks.checks.provenance.papers import gathered, measured, serious
from tasks.domain.measurement import Measurement

CHECK = "provenance.manifest"


def measure(lab: Lab) -> Measurement:
    """Returns what intake found about manifest, names, digests and answers."""
    subject = lab.subject
    found = gathered(lab, CHECK)
    documents = subject.spec.documents.model_dump()
    present = [name for name, path in documents.items() if path is not None]
    return measured(
        CHECK,
        found,
        f"{len(subject.files)} files; {serious(found)} of {len(found)} observations matter.",
        method="Manifest and answers parsed strictly as text, compared with the files that came",
        facts={
            "files": len(subject.files),
            "bytes": sum(file.size_bytes for file in subject.files),
            "documents": ", ".join(present) or "none",
            "answers": len(subject.answers),
        },
    )
