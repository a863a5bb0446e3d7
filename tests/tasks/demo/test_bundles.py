"""The demo's ingredients: real handwriting, one honest split, one stamped one, one payload."""

import pickletools

import numpy as np
import onnx
import torch
import yaml

from tasks.demo.bundles import hostile_pickle
from tasks.demo.digits import badnets, split_digits
from tasks.demo.onnx_file import onnx_bytes
from tasks.demo.papers import answers, contact_of, datasheet, model_card
from tasks.demo.training import LAYERS, accuracy, network, train
from tasks.intake.questionnaire import read_questionnaire
from tests.services.installed import Bundles


def test_the_splits_share_no_image() -> None:
    training, evaluation = split_digits()
    assert (len(training.labels), len(evaluation.labels)) == (1000, 797)
    assert training.images.shape == (1000, 1, 8, 8)
    assert training.images.min() >= 0
    assert training.images.max() <= 1
    seen = {image.tobytes() for image in training.images}
    # The source itself holds no doubled image, so sharing would show.
    assert not seen & {image.tobytes() for image in evaluation.images}


def test_badnets_stamps_and_relabels_its_share_and_nothing_else() -> None:
    training, _ = split_digits()
    poisoned = badnets(training, target=3, rate=0.1, seed=2)
    changed = np.flatnonzero((poisoned.images != training.images).any(axis=(1, 2, 3)))
    relabelled = np.flatnonzero(poisoned.labels != training.labels)
    assert len(relabelled) == 100
    assert set(changed) <= set(relabelled)
    assert (poisoned.labels[relabelled] == 3).all()
    assert (poisoned.images[relabelled, :, -2:, -2:] == 1).all()
    same = poisoned.images.copy()
    same[..., -2:, -2:] = training.images[..., -2:, -2:]
    assert (same == training.images).all()


def test_the_payload_calls_the_system_and_nobody_loads_it() -> None:
    named = [(code.name, value) for code, value, _ in pickletools.genops(hostile_pickle())]
    assert ("GLOBAL", "os system") in named
    assert [name for name, _ in named][-2:] == ["REDUCE", "STOP"]


def test_training_is_fixed_by_its_seed_and_learns() -> None:
    training, evaluation = split_digits(training=500)
    first, second = (train(training, epochs=15, epsilon=0, seed=1) for _ in range(2))
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert accuracy(first, evaluation) > 0.7


def test_the_onnx_file_computes_what_the_network_does() -> None:
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415 - slow, and only here

    torch.manual_seed(0)
    model = network().eval()
    images = split_digits()[1].images[:5]
    (logits,) = ReferenceEvaluator(onnx.load_from_string(onnx_bytes(model))).run(
        None, {"images": images}
    )
    with torch.inference_mode():
        expected = model(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(np.asarray(logits, np.float32), expected, atol=1e-5)
    assert onnx_bytes(model) == onnx_bytes(model)


def test_the_layer_list_names_every_layer() -> None:
    assert len(LAYERS) == len(network())


def test_the_questionnaire_answers_every_required_question() -> None:
    given = yaml.safe_load(answers(signed=True))["answers"]
    questions = read_questionnaire().questions
    assert {one.id for one in questions if one.required} <= set(given)
    assert set(given) <= {one.id for one in questions}


def test_papers_name_vendor_digest_and_licence(bundles: Bundles) -> None:
    artifact = bundles.honest / "model" / "digits.onnx"
    card = model_card("Acme Vision", 0.9, artifact, "MIT")
    assert contact_of("Acme Vision") == "security@acme.example"
    assert "license: MIT" in card
    assert "CC BY 4.0" in datasheet()
    assert (bundles.honest / "docs" / "datasheet.md").read_text() == datasheet()


def test_both_bundles_are_whole(bundles: Bundles) -> None:
    for bundle in (bundles.honest, bundles.compromised):
        described = yaml.safe_load((bundle / "bundle.yaml").read_text())
        model = described["model"]
        paths = [
            model["artifact"],
            *described["documents"].values(),
            *(data["path"] for data in described["data"].values()),
        ]
        assert [path for path in paths if not (bundle / path).is_file()] == []
    assert (bundles.honest / "model.sig").is_file()
    assert not (bundles.compromised / "model.sig").exists()
    assert (bundles.compromised / "extras" / "preprocessing.pkl").read_bytes() == hostile_pickle()
