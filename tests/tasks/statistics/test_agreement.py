import numpy as np
import pytest

from tasks.statistics.agreement import Numbers, dawid_skene, krippendorff_alpha
from tasks.statistics.labelers import audit, consensus_without, suspicious

CLASSES = 3


def crowd(
    items: int, people: int, *, error: float, seed: int, votes: int = 3
) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Labels by people who err at random: truth, then item, labeler and label of each vote."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, CLASSES, items)
    who = np.stack([rng.permutation(people)[:votes] for _ in range(items)])
    at = np.repeat(np.arange(items), votes)
    labels = truth[at].copy()
    wrong = rng.random(len(labels)) < error
    labels[wrong] = (labels[wrong] + rng.integers(1, CLASSES, wrong.sum())) % CLASSES
    return truth, at, who.ravel(), labels


def test_the_published_example_of_alpha() -> None:
    """Krippendorff 2011, section C: four observers, nominal data with gaps, alpha 0.743."""
    table = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    given = [(at, one - 1) for row in table for at, one in enumerate(row) if one is not None]
    items, labels = (np.array(part) for part in zip(*given, strict=True))
    assert krippendorff_alpha(items, labels, 5) == pytest.approx(0.743, abs=0.0005)


def test_full_agreement_is_one_and_chance_is_nothing() -> None:
    items = np.repeat(np.arange(500), 2)
    same = np.repeat(np.arange(500) % 3, 2)
    assert krippendorff_alpha(items, same, 3) == 1
    guesses = np.random.default_rng(0).integers(0, 3, 1000)
    assert abs(krippendorff_alpha(items, guesses, 3)) < 0.1
    with pytest.raises(ValueError, match="no item"):
        krippendorff_alpha(np.arange(5), np.zeros(5, np.int64), 3)
    with pytest.raises(ValueError, match="only one class"):
        krippendorff_alpha(items, 0 * same, 3)


def test_dawid_skene_beats_the_majority_where_people_differ() -> None:
    truth, items, who, labels = crowd(1500, 6, error=0.05, seed=0)
    rng = np.random.default_rng(1)
    poor = (who < 3) & (rng.random(len(who)) < 0.6)
    labels[poor] = rng.integers(0, CLASSES, poor.sum())
    model = dawid_skene(items, who, labels, CLASSES)
    votes = np.zeros((1500, CLASSES))
    np.add.at(votes, (items, labels), 1)
    assert (model.truth.argmax(1) == truth).mean() > (votes.argmax(1) == truth).mean() + 0.02
    assert model.accuracy()[:3].max() < 0.7
    assert model.accuracy()[3:].min() > 0.9


def test_only_the_one_who_turns_a_class_stands_out() -> None:
    _, items, who, labels = crowd(1200, 8, error=0.05, seed=2)
    turned = (who == 5) & (labels == 1) & (np.random.default_rng(3).random(len(who)) < 0.5)
    labels[turned] = 2
    model = dawid_skene(items, who, labels, CLASSES)
    found = suspicious(consensus_without(model, items, who, labels), who, labels, classes=CLASSES)
    assert {each.labeler for each in found} == {5}
    assert (1, 2) in {each.pair for each in found}


def test_honest_crowds_are_rarely_accused() -> None:
    accused = 0
    for seed in range(40):
        _, items, who, labels = crowd(300, 8, error=0.1, seed=seed)
        model = dawid_skene(items, who, labels, CLASSES)
        truth = consensus_without(model, items, who, labels)
        accused += bool(suspicious(truth, who, labels, classes=CLASSES))
    assert accused <= 4


def test_an_audit_looks_where_errors_are_and_its_estimate_is_unbiased() -> None:
    truth, items, who, labels = crowd(2000, 8, error=0.05, seed=4)
    bad = (who == 2) & (np.random.default_rng(5).random(len(who)) < 0.4)
    labels[bad] = (labels[bad] + 1) % CLASSES
    wrong = labels != truth[items]
    model = dawid_skene(items, who, labels, CLASSES)
    estimates = []
    for seed in range(60):
        draw = audit(model, items, who, labels, most=300, seed=seed)
        estimates.append((wrong[draw.places] / draw.chances).sum() / len(labels))
    assert np.mean(estimates) == pytest.approx(wrong.mean(), rel=0.15)
    assert (who[draw.places] == 2).mean() > 1.3 / 8
    assert wrong[draw.places].mean() > 2 * wrong.mean()
    assert 150 < len(draw.places) < 450
