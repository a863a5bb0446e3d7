"""Made-up runs for tests of reports: every text a stranger could choose is hostile."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import safetensors.numpy

from tasks.catalog.reading import Catalog
from tasks.domain.bundle import BundleSpec, FileEntry, Subject
from tasks.domain.digest import digest_of
from tasks.domain.estimate import Estimate
from tasks.domain.execution import Execution
from tasks.domain.finding import Decision, Verdict
from tasks.domain.measurement import Artifact, Control, Measurement, Observation, Status
from tasks.domain.severity import Severity
from tasks.domain.spec import RunPlan
from tasks.judging.concluding import evidence_of
from tasks.judging.gates import judge
from tasks.reports.html import Story
from tests.simulators.sandbox import DirectSandbox
from tests.simulators.store import MemoryStore
from tests.simulators.subjects import BUNDLE

EVIL = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{7*7}}{% raw %}${7*7}#{7*7}",
    "safe\u202egnp.exe",
    "\x1b[31mred\x1b]0;title\x07",
    "</style></title><svg/onload=alert(1)>",
    "javascript:alert(1)",
    "]]><!--",
    "A" * 1_000_000,
)
NAMES = tuple(text for text in EVIL if len(text) < 200)
ROBUST, MISSING, SCANNED = "evasion.linf_robust_accuracy", "privacy.membership", "artifact.scan"
HALF = Estimate(value=0.5, low=0.4, high=0.6, n=100)


def measured(check: str, store: MemoryStore, **facts: Any) -> Measurement:
    entry = Catalog().check(check)
    fields: dict[str, Any] = {
        "check": check,
        "version": entry.version,
        "status": Status.MEASURED,
        "detail": "measured for a test",
    }
    return Measurement(**(fields | facts))


def hostile_measurements(store: MemoryStore) -> list[Measurement]:
    """A failed scan with 10,000 observations, a measured rate, and a check without data."""
    # The megabyte comes once: a thousand of them would try the test's memory, not the report.
    seen = tuple(
        Observation(
            rule=EVIL[-1] if i == 0 else NAMES[i % 9],
            severity=Severity.HIGH,
            detail=EVIL[-1] if i == 1 else NAMES[(i + 1) % 9],
            location=EVIL[-1] if i == 2 else NAMES[(i + 2) % 9],
        )
        for i in range(10_000)
    )
    return [
        measured(SCANNED, store, detail=EVIL[0], observations=seen, limits=EVIL),
        measured(
            ROBUST,
            store,
            detail=EVIL[1],
            estimates={"robust_accuracy": HALF, **dict.fromkeys(NAMES, HALF)},
            controls=tuple(
                Control(name=text, planted=True, found=True, detail=text, estimate=HALF)
                for text in EVIL
            ),
            alarms=EVIL,
            method=EVIL[2],
            facts={text: text for text in NAMES},
            artifacts=tuple(
                kept(store, text, data=b"{}", title=text) for text in (*NAMES, "curve.json")
            ),
        ),
        measured(MISSING, store, status=Status.NOT_AVAILABLE, detail=EVIL[0]),
    ]


def kept(store: MemoryStore, name: str, *, data: bytes, title: str = "a picture") -> Artifact:
    ref = store.put(data)
    return Artifact(
        name=name,
        title=title,
        media_type="application/json",
        digest=ref.digest,
        size_bytes=ref.size_bytes,
    )


def hostile_subject() -> Subject:
    bundle: dict[str, Any] = dict(BUNDLE)
    vendor = {"name": '<script src="http://evil.example/x.js">', "contact": EVIL[1]}
    model = bundle["model"] | {
        "name": EVIL[1],
        "version": EVIL[4],
        "intended_use": EVIL[9],
    }
    return Subject(
        spec=BundleSpec.model_validate(bundle | {"vendor": vendor, "model": model}),
        files=tuple(
            FileEntry(
                path=f"{EVIL[-1] if i == 3 else NAMES[i % 9]}{i}",
                digest=digest_of(b""),
                size_bytes=i,
            )
            for i in range(600)
        ),
        answers=dict.fromkeys(NAMES, EVIL[0]),
    )


def story(
    make: Callable[[MemoryStore], list[Measurement]] = hostile_measurements,
    *,
    subject: Subject | None = None,
    store: MemoryStore | None = None,
) -> Story:
    """Tells the run that these measurements would have been."""
    store = store if store is not None else MemoryStore()
    subject = subject or hostile_subject()
    measurements = make(store)
    executions = tuple(
        Execution(
            check=measurement.check,
            spec=digest_of(measurement.check.encode()),
            measurement=store.put(measurement.canonical()).digest,
            seconds=0.25,
            reused=False,
            sandbox="L3",
        )
        for measurement in measurements
    )
    findings = tuple(
        judge(Catalog().check(one.check), one, evidence=evidence_of(execution, one))
        for one, execution in zip(measurements, executions, strict=True)
    )
    digest = digest_of(b"something")
    return Story(
        plan=RunPlan(
            bundle=digest,
            asset=subject.spec.asset,
            tier="medium",
            battery="onboarding.quick",
            battery_digest=digest,
            policy="tier.medium",
            policy_digest=digest,
            checks=(),
        ),
        subject=subject,
        executions=executions,
        measurements={one.check: one for one in measurements},
        findings=findings,
        decision=Decision(verdict=Verdict.REFUSED, reasons=EVIL, conditions=EVIL),
        sandbox=DirectSandbox(),
        artifact=store.get,
    )


def _tensors(**arrays: Any) -> bytes:
    data: bytes = safetensors.numpy.save(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    )
    return data


def _points(key: str, name: str, **more: float) -> bytes:
    return json.dumps(
        [{key: x, name: 0.5, "low": 0.4, "high": 0.6, **more} for x in (1, 2, 3)]
    ).encode()


_IMAGES = np.linspace(0, 1, 3 * 64, dtype=np.float32).reshape(3, 1, 8, 8)
_LABELS = np.array([1, 2, 3])

_CURVE = _points("epsilon", "robust_accuracy")
_WITNESSES = _tensors(
    clean=_IMAGES, adversarial=1 - _IMAGES, labels=_LABELS, predicted=_LABELS[::-1]
)
_UNREAD = _tensors(clean=_IMAGES, adversarial=1 - _IMAGES, labels=_LABELS)
DRAWABLE: dict[tuple[str, str], bytes] = {
    ("data.expectations", "expectations.json"): json.dumps(
        [
            {
                "role": "training",
                "rows": 100,
                "expectations": [
                    {"kind": kind, "columns": ["$age", "b$"], "broken": 5 * at, "allowed": 7}
                    for at, kind in enumerate(("type", "missing", "order"))
                ],
            }
        ]
    ).encode(),
    (ROBUST, "curve.json"): _CURVE,
    (ROBUST, "witnesses.safetensors"): _WITNESSES,
    ("evasion.l2_robust_accuracy", "curve.json"): _CURVE,
    ("evasion.l2_robust_accuracy", "witnesses.safetensors"): _WITNESSES,
    ("evasion.spatial", "witnesses.safetensors"): _UNREAD,
    ("evasion.minimal_norm", "curve.json"): json.dumps(
        [
            {"norm": norm, "change": x, "robust_accuracy": 1 - x, "low": 0, "high": 1}
            for norm in ("l2", "linf")
            for x in (0, 0.5, 1)
        ]
    ).encode(),
    ("evasion.certified_radius", "certified.json"): json.dumps(
        [{"change": x, "certified_accuracy": 1 - x} for x in (0, 0.5, 1)]
    ).encode(),
    ("evasion.corruptions", "corruptions.json"): json.dumps(
        [
            {"kind": kind, "severity": severity, "accuracy": 0.1 * severity}
            for kind in ("fog", "shot_noise")
            for severity in (1, 3)
        ]
    ).encode(),
    ("evasion.defences", "defences.json"): json.dumps(
        {
            "defences": [
                {
                    "defence": name,
                    "epsilon": 0.1,
                    "curve": [{"epsilon": x, "robust_accuracy": 1 - x} for x in (0, 0.1, 0.2)],
                    "unaware_accuracy": {"value": 0.9},
                    **effect,
                }
                for name, effect in (
                    ("none", {}),
                    ("filter", {"effect": "only masks", "gain": {"value": 0.01}}),
                )
            ]
        }
    ).encode(),
    ("extraction.fidelity", "curve.json"): json.dumps(
        {
            "points": json.loads(_points("queries", "fidelity")),
            "baseline": 0.1,
            "quota": 30,
            "others": {"labels": 0.5},
        }
    ).encode(),
    (MISSING, "roc.json"): json.dumps(
        {
            "chosen": "loss",
            "curves": {
                "loss": {"false_positive": [0, 0.5, 1], "true_positive": [0, 0.7, 1]},
                "gap": {"false_positive": [0, 1], "true_positive": [0, 1]},
            },
        }
    ).encode(),
    ("backdoor.trigger_inversion", "trigger.safetensors"): _tensors(
        example=_IMAGES[0], triggered=_IMAGES[1], pattern=_IMAGES[2], mask=_IMAGES[0, 0]
    ),
    ("backdoor.trigger_inversion", "classes.json"): json.dumps(
        [{"class": i, "size": 0.1 * i, "anomaly_index": i} for i in range(3)]
    ).encode(),
    ("poisoning.spectral_signature", "samples.safetensors"): _tensors(
        inputs=_IMAGES.repeat(4, axis=0), labels=_LABELS.repeat(4)
    ),
    ("poisoning.spectral_signature", "spectra.json"): json.dumps(
        {"suspected": 1, "edges": [0, 1, 2], "classes": {"0": [3, 4], "1": [1, 9]}}
    ).encode(),
}
"""One good artifact for every picture that reports know."""
