"""A small sealed ledger, whole, for tests that tamper with a copy of it."""

from typing import NamedTuple

from securesystemslib.signer import Signer

from tasks.ledger.entry import Sealed
from tasks.ledger.verify import Verification
from tests.simulators.store import MemoryStore
from tests.tasks.ledger.evidence import (
    Case,
    new_signer,
    seal_case,
    trusting,
)

SIGNER = new_signer()
TRUST = trusting(SIGNER)
CASES = 3


class Ledger(NamedTuple):
    """A store with sealed runs, and what they are."""

    store: MemoryStore
    cases: list[Case]
    seals: list[Sealed]

    def run(self, number: int) -> str:
        return self.cases[number].record.run


def sealed_ledger(signer: Signer = SIGNER) -> Ledger:
    store = MemoryStore()
    made = [seal_case(store, signer, number) for number in range(CASES)]
    return Ledger(store, [case for case, _ in made], [sealed for _, sealed in made])


ORIGINAL = sealed_ledger()


def fresh() -> Ledger:
    store = MemoryStore()
    store.objects, store.named = dict(ORIGINAL.store.objects), dict(ORIGINAL.store.named)
    return Ledger(store, ORIGINAL.cases, ORIGINAL.seals)


def told(whole: Verification) -> str:
    return "\n".join((*whole.problems, *(p for run in whole.runs for p in run.problems)))


def swap(names: dict[str, bytes], left: str, right: str) -> None:
    names[left], names[right] = names[right], names[left]


def flipped(data: bytes, place: int = -1, mask: int = 1) -> bytes:
    changed = bytearray(data)
    changed[place] ^= mask
    return bytes(changed)
