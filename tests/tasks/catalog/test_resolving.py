import pytest

from tasks.catalog.reading import Catalog
from tasks.catalog.resolving import plan_checks, resolve_parameters
from tasks.domain.bundle import BundleSpec, FileEntry, Subject
from tasks.domain.digest import digest_of
from tasks.domain.errors import CatalogError

ENTRY = Catalog().check("artifact.behaviour")


def subject(weights: bytes = b"weights", contact: str = "a@b.example") -> Subject:
    spec = BundleSpec.model_validate(
        {
            "schema": "proofhouse.bundle/1",
            "vendor": {"name": "Acme", "contact": contact},
            "model": {
                "name": "reader",
                "version": "1",
                "task": "classification",
                "artifact": "m.onnx",
                "input": {"shape": [1, 8, 8]},
                "output": {"kind": "logits", "classes": 10},
            },
        }
    )
    file = FileEntry(path="m.onnx", digest=digest_of(weights), size_bytes=len(weights))
    return Subject(spec=spec, files=(file,))


def behaviour_digest(of: Subject) -> str:
    specs = plan_checks(
        Catalog(), "onboarding.quick", of, code=digest_of(b"code"), sandbox="L3", seed=1
    )
    return next(spec.digest for spec in specs if spec.check == "artifact.behaviour")


def test_defaults_are_filled_in_and_choices_win() -> None:
    assert resolve_parameters(ENTRY, {}) == {"inputs": 32}
    assert resolve_parameters(ENTRY, {"inputs": 7}) == {"inputs": 7}


@pytest.mark.parametrize("chosen", [{"inputs": 0}, {"inputs": "all"}, {"nonsense": 1}])
def test_parameters_outside_their_range_are_refused(chosen: dict[str, int | str]) -> None:
    with pytest.raises(CatalogError):
        resolve_parameters(ENTRY, chosen)


def test_a_spec_changes_with_the_bytes_it_reads_and_with_nothing_else() -> None:
    assert behaviour_digest(subject()) == behaviour_digest(subject(contact="c@d.example"))
    assert behaviour_digest(subject()) != behaviour_digest(subject(weights=b"others"))
