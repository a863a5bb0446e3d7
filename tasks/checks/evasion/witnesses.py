"""Keeps some of the inputs that an attack turned into another class, for people to look at."""

import numpy as np
import safetensors.numpy

from tasks.checks.evasion.referee import Flags, Population
from tasks.checks.lab import Lab
from tasks.domain.measurement import Artifact
from tasks.sandbox.protocol import Array

SHOWN = 16


def kept_witnesses(
    lab: Lab, people: Population, fallen: Flags, witnesses: Array
) -> tuple[Artifact, ...]:
    """Stores the first ``SHOWN`` clean and moved inputs that fell; nothing when none did."""
    rows = np.flatnonzero(fallen)[:SHOWN]
    if not len(rows):
        return ()
    tensors = {
        "clean": people.inputs[rows],
        "adversarial": witnesses[rows],
        "labels": people.labels[rows],
    }
    whole = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    kept = lab.keep(
        "witnesses.safetensors",
        title="Inputs that the attack turns into another class",
        media_type="application/vnd.safetensors",
        data=safetensors.numpy.save(whole),
    )
    return (kept,)
