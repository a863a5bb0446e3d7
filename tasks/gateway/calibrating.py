"""Calibrates the abuse monitors: on imitated traffic before there is any, on real traffic after.

Imitated clients draw from the model's evaluation data and are answered by the model itself. Real
traffic is the gateway's own telemetry of earlier weeks, without accounts that were alarmed then.
"""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import safetensors.numpy
from pydantic import ValidationError

from tasks.detectors.telemetry.calibration import Calibration, calibrated
from tasks.detectors.telemetry.scoring import block_scores, usual_distance
from tasks.detectors.telemetry.traffic import Client, Pool, bursty_gaps, honest_client
from tasks.detectors.telemetry.trail import Floats, Trail
from tasks.domain.bundle import Subject
from tasks.domain.digest import Digest
from tasks.domain.errors import InvalidInputError
from tasks.gateway.actions import gateway_folder
from tasks.gateway.keys import replace_file
from tasks.gateway.telemetry import Features, read_telemetry
from tasks.gateway.trails import account_weeks
from tasks.sandbox.protocol import Array
from tasks.store.protocol import ObjectStore

Scores = Callable[[Array], Array]
COST_MS = 0.3
"""Of one imitated item; the flood monitor works on a logarithm of it."""
_TOGETHER = 4096


def imitated(
    pool: Pool,
    ask: Scores,
    features: Features,
    *,
    accounts: int,
    budget: float,
    seed: int,
    gaps: Floats | None = None,
) -> Calibration:
    """Calibrates on imitated clients.

    Args:
        pool: Natural inputs with labels.
        ask: The model: inputs to scores.
        features: As the gateway keeps them.
        accounts: How many clients; half of them set the threshold.
        budget: Alarms per account and week.
        seed: Of the clients.
        gaps: Seconds between real arrivals; made up when None.

    Raises:
        InvalidInputError: The policy keeps no features, or there are too few accounts.
    """
    gaps = bursty_gaps(seed) if gaps is None else gaps
    rows = features.rows(pool.inputs)
    if rows is None:
        raise InvalidInputError("the policy keeps no features of inputs, so nobody can be watched")
    unit = usual_distance(rows.astype(np.float64))
    clients = (honest_client(pool, gaps, seed + number) for number in range(accounts))
    scores = [block_scores(trail, unit) for trail in client_trails(clients, ask, features)]
    return _calibrated(scores, unit, budget, f"{accounts} imitated clients, seed {seed}")


def observed(
    store: ObjectStore, name: str, *, unit: float, budget: float, since: str, alarmed: set[str]
) -> Calibration:
    """Calibrates on sealed telemetry, without the accounts that were alarmed.

    Whoever asked honestly-looking questions through the whole period shapes what counts as honest:
    let some weeks lie between, and look at the oldest accounts first.

    Raises:
        InvalidInputError: There are too few account-weeks.
    """
    weeks = [
        block_scores(trail, unit)
        for account, _, trail in account_weeks(read_telemetry(store, name, since=since))
        if account not in alarmed
    ]
    order = np.random.default_rng(0).permutation(len(weeks))
    kept = [weeks[place] for place in order if len(weeks[place])]
    return _calibrated(kept, unit, budget, f"{len(kept)} account-weeks of telemetry since {since}")


def client_trails(clients: Iterator[Client], ask: Scores, features: Features) -> Iterator[Trail]:
    """Yields what the gateway would have kept of each client."""
    for client in clients:
        answers = [
            ask(client.inputs[start : start + _TOGETHER])
            for start in range(0, len(client.inputs), _TOGETHER)
        ]
        yield kept_trail(client.inputs, client.times, np.concatenate(answers), features)


def kept_trail(inputs: Array, times: Floats, scores: Array, features: Features) -> Trail:
    """Returns the trail of inputs that were answered with these scores."""
    rows = features.rows(inputs)
    assert rows is not None, "whoever watches keeps features"
    raised = np.exp(scores.astype(float) - scores.max(axis=1, keepdims=True))
    ranked = np.sort(raised / raised.sum(axis=1, keepdims=True), axis=1)
    return Trail(
        times=np.asarray(times, float),
        features=rows.astype(np.float32),
        hashes=np.array([int(text[:16], 16) for text in features.hashes(inputs)], np.uint64),
        labels=scores.argmax(axis=1).astype(np.int64),
        margins=ranked[:, -1] - ranked[:, -2],
        costs=np.full(len(inputs), COST_MS),
    )


def evaluation_pool(store: ObjectStore, subject: Digest) -> Pool:
    """Returns an accepted model's evaluation data.

    Raises:
        InvalidInputError: The bundle came without, or it cannot be read.
    """
    found = Subject.parse(store.get(subject))
    data, spec = found.dataset("evaluation"), found.spec.model.input
    if data is None or data.digest is None or spec is None:
        raise InvalidInputError("the bundle has no evaluation data to imitate honest clients with")
    tensors = safetensors.numpy.load(store.get(data.digest))
    inputs = tensors["inputs"].astype(np.float32)
    if inputs.shape[1:] != spec.shape:
        inputs = inputs.reshape(len(inputs), *spec.shape)
    low, high = spec.range
    return Pool(inputs, tensors["labels"].astype(np.int64), low, high)


def calibration_file(home: Path) -> Path:
    """Returns where a home keeps its calibration."""
    return gateway_folder(home) / "abuse.json"


def read_calibration(home: Path) -> Calibration | None:
    """Returns the calibration of a home, or None.

    Raises:
        InvalidInputError: It is damaged, or made by other monitors.
    """
    path = calibration_file(home)
    try:
        return Calibration.parse(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise InvalidInputError(
            f"{path} cannot be used: make it anew with `proofhouse gateway calibrate`"
        ) from error


def write_calibration(home: Path, calibration: Calibration) -> None:
    """Keeps a calibration for the next start."""
    path = calibration_file(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(calibration.model_dump(mode="json"), indent=1).encode())


def accounts_needed(budget: float) -> int:
    """Returns how many accounts must set the threshold before this budget can be promised."""
    return math.ceil(math.log(0.05) / math.log1p(-min(budget, 1 - 1e-9)))


def _calibrated(scores: list[Floats], unit: float, budget: float, source: str) -> Calibration:
    try:
        return calibrated(scores, unit=unit, budget=budget, source=source)
    except ValueError as error:
        raise InvalidInputError(f"the monitors cannot be calibrated: {error}") from error
