"""The ground of a drill: a home of its own, a small real model in it, accounts, and a gateway.

Nothing of the user's is touched: keys, store, inventory, registry and accounts are made here and
go with the folder. The model reads real handwriting and is small enough to be trained in seconds;
the monitors are calibrated on imitated clients of it, like any gateway's.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy
import torch
from torch import nn

from tasks.demo.digits import Split, split_digits
from tasks.demo.onnx_file import onnx_bytes
from tasks.demo.training import train
from tasks.detectors.telemetry.traffic import Pool
from tasks.domain.bundle import BundleSpec, Dataset, FileEntry, Subject
from tasks.domain.digest import Digest
from tasks.domain.errors import ProofhouseError
from tasks.domain.promotion import Alias
from tasks.gateway.actions import gateway_folder
from tasks.gateway.calibrating import imitated, write_calibration
from tasks.gateway.keys import KeyRing
from tasks.gateway.parts import Parts
from tasks.gateway.policy import GatewayPolicy, Keeping, Watch
from tasks.gateway.starting import Surroundings, built_gateway, kept_features
from tasks.ledger.keys import make_key
from tasks.registry.place import RegistryPlace
from tasks.registry.registering import Why, promote, register
from tasks.registry.serving import AcceptedModel, accepted_model
from tasks.response.live.admitting import Assessor
from tasks.sandbox.protocol import Array, Sandbox
from tasks.store.local import LocalStore
from tasks.store.protocol import ObjectStore

VENDOR, MODEL = "Proving Ground", "digit-reader"
TRAINING, THIEVES, CLIENTS = 700, 300, 500
EPOCHS = 20
CLASSES = 10
IMITATED, BUDGET = 500, 200.0
"""Clients that calibrate the monitors, and false alarms for 10,000 accounts and week: many, because
a few hundred clients cannot promise fewer."""
ARTIFACT = "model/digits.onnx"
Say = Callable[[str], None]


class GroundError(ProofhouseError):
    """The ground of a drill could not be made, so nothing was drilled."""

    code = "response.no_ground"


class People(NamedTuple):
    """Who has which rows; nobody shares one."""

    training: Split
    thieves: Split
    clients: Split
    held: Split
    """On these a thief's copy is compared with the model."""


class Ground(NamedTuple):
    """Everything that a drill stands on."""

    home: Path
    place: RegistryPlace
    assessor: Assessor
    people: People
    network: nn.Sequential
    model: AcceptedModel
    policy: GatewayPolicy

    @property
    def store(self) -> ObjectStore:
        """The drill's own."""
        return self.place.store

    @property
    def pool(self) -> Pool:
        """What honest callers ask about."""
        return Pool(self.people.clients.images, self.people.clients.labels)

    def gateway(self, canary: AcceptedModel | None = None) -> Parts:
        """Returns the parts of a gateway in front of the model."""
        around = Surroundings(self.home, self.store, self.assessor.sandbox)
        return built_gateway(self.model, canary, self.policy, around)

    def key(self, account: str, role: str) -> str:
        """Makes a key for an account."""
        return KeyRing(gateway_folder(self.home)).add(account, role)[0]


def made_ground(
    home: Path, sandbox: Sandbox, *, code: Digest, faster: float, watched: bool, say: Say
) -> Ground:
    """Makes the ground in an empty folder: seconds of one core.

    Args:
        home: Of the drill; made here.
        sandbox: Opens models and data.
        code: Digest of the sources that run.
        faster: Seconds of the story in a real one.
        watched: Whether the gateway's monitors are calibrated, which takes most of the time.
        say: Is told what takes time.

    Raises:
        GroundError: The model is not accepted.
    """
    home.mkdir(parents=True, exist_ok=True)
    make_key(home)
    place = RegistryPlace(
        store=LocalStore(home / "store"), home=home.resolve(),
        database=f"sqlite:///{home.resolve() / 'inventory.sqlite'}",
    )  # fmt: skip
    assessor = Assessor(place, sandbox, code)
    people = split_people()
    say("training the drill's model on handwritten digits")
    network = train(people.training, epochs=EPOCHS, epsilon=0, seed=1)
    subject = subject_of(place.store, onnx_bytes(network), version="1.0", people=people)
    model = admitted(assessor, subject, alias="champion")
    ground = Ground(place.home, place, assessor, people, network, model, drill_policy(faster))
    if watched:
        say("calibrating the gateway's monitors on imitated clients")
        _calibrate(ground)
    return ground


def _calibrate(ground: Ground) -> None:
    write_calibration(
        ground.home,
        imitated(
            ground.pool, lambda inputs: answers_of(ground.network, inputs),
            kept_features(ground.model, ground.policy, ground.home),
            accounts=IMITATED, budget=BUDGET / 10_000, seed=1,
        ),
    )  # fmt: skip


def admitted(assessor: Assessor, subject: Subject, *, alias: Alias) -> AcceptedModel:
    """Assesses, registers and promotes a model.

    Raises:
        GroundError: The static checks refuse it.
    """
    record = assessor.assess(subject, "drill.admission")
    why = Why(f"a live-fire drill takes place; {record.decision.verdict}", by="proofhouse drill")
    if register(record.run, assessor.place, why) is None:
        reasons = "; ".join(record.decision.reasons)
        raise GroundError(f"the drill's model {record.asset} was not accepted: {reasons}")
    promote(record.asset, alias, assessor.place, why)
    return accepted_model(record.asset, assessor.place)


def split_people() -> People:
    """Deals the digits out."""
    first, rest = split_digits(training=TRAINING + THIEVES)
    return People(
        training=_part(first, slice(0, TRAINING)),
        thieves=_part(first, slice(TRAINING, None)),
        clients=_part(rest, slice(0, CLIENTS)),
        held=_part(rest, slice(CLIENTS, None)),
    )


def subject_of(
    store: ObjectStore, artifact: bytes, *, version: str, people: People,
    training: Split | None = None,
) -> Subject:  # fmt: skip
    """Returns the drill's bundle as intake would describe it: a model and its data."""
    ref = store.put(artifact)
    datasets = [_dataset(store, "evaluation", people.clients)]
    datasets += [] if training is None else [_dataset(store, "training", training)]
    spec = BundleSpec.model_validate(
        {
            "schema": "proofhouse.bundle/1",
            "vendor": {"name": VENDOR, "contact": "security@proving-ground.example"},
            "model": {
                "name": MODEL, "version": version, "task": "classification",
                "artifact": ARTIFACT,
                "input": {"shape": [1, 8, 8]},
                "output": {"kind": "logits", "classes": CLASSES},
            },
        }
    )  # fmt: skip
    file = FileEntry(path=ARTIFACT, digest=ref.digest, size_bytes=ref.size_bytes)
    return Subject(spec=spec, files=(file,), datasets=tuple(datasets))


def drill_policy(faster: float) -> GatewayPolicy:
    """Returns the gateway's policy: the product's own roles, their rates on the story's clock."""
    roles = {
        name: role.model_copy(
            update={
                "rate_per_second": role.rate_per_second * faster,
                "burst": math.ceil(role.burst * faster),
            }
        )
        for name, role in GatewayPolicy().roles.items()
    }
    keeping = Keeping(batch_seconds=5)
    watch = Watch(alarms_per_10k_accounts_week=BUDGET)
    return GatewayPolicy(roles=roles, keeping=keeping, watch=watch, canary_percent=30)


def answers_of(network: nn.Module, inputs: Array) -> Array:
    """Asks the network in this process: it was made here."""
    with torch.inference_mode():
        answers = network(torch.from_numpy(np.ascontiguousarray(inputs, np.float32)))
    found: Array = answers.numpy()
    return found


def _dataset(store: ObjectStore, role: str, split: Split) -> Dataset:
    data = safetensors.numpy.save({"inputs": split.images, "labels": split.labels})
    digest = store.put(data).digest
    return Dataset.model_validate(
        {"role": role, "path": f"data/{role}.npz", "source": digest, "digest": digest,
         "rows": len(split.labels)}
    )  # fmt: skip


def _part(split: Split, rows: slice | Sequence[int]) -> Split:
    return Split(split.images[rows], split.labels[rows])
