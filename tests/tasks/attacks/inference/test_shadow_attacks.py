from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from tasks.attacks.inference.bavaria import Predictive, bavaria, predictive
from tasks.attacks.inference.lira import moments, offline, online
from tasks.attacks.inference.rmia import rmia
from tasks.statistics.intervals import Floats
from tasks.statistics.roc import auc
from tests.tasks.attacks.inference.worlds import World, world

Attack = Callable[..., Floats]


def log_probability(confidences: Floats) -> Floats:
    logs: Floats = -np.logaddexp(0, -confidences)
    return logs


def run(attack: Attack, made: World) -> Floats:
    if attack is rmia:
        return rmia(log_probability(made.target), log_probability(made.shadows), made.members)
    return attack(made.target, made.shadows, made.members)


def area(attack: Attack, made: World) -> float:
    signal = run(attack, made)
    return auc(signal[made.inside], signal[~made.inside]).value


ATTACKS = [online, offline, bavaria, rmia]


@pytest.mark.parametrize("attack", ATTACKS)
def test_shadows_see_what_the_plain_confidence_does_not(attack: Attack) -> None:
    made = world(16)
    plain = auc(made.target[made.inside], made.target[~made.inside]).value
    assert area(attack, made) > plain + 0.1


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_is_found_where_learning_leaves_no_trace(attack: Attack) -> None:
    signal = run(attack, made := world(16, gain=0.0))
    found = auc(signal[made.inside], signal[~made.inside], 0.999)
    assert found.low < 0.5 < found.high


@pytest.mark.parametrize("models", [4, 8])
def test_a_prior_helps_where_models_are_few(models: int) -> None:
    worlds = [world(models, seed=seed) for seed in range(5)]
    gains = [area(bavaria, made) - area(online, made) for made in worlds]
    assert np.mean(gains) > 0


def test_with_many_models_the_prior_gives_way() -> None:
    made = world(256, items=300)
    agreed = stats.spearmanr(run(bavaria, made), run(online, made)).statistic
    assert agreed > 0.95


def test_the_predictive_is_the_published_density() -> None:
    centre, scale = np.array([1.0]), np.array([2.0])
    found = Predictive(centre, scale, 5.0)
    values = np.linspace(-4, 4, 9)
    wanted = stats.t.logpdf(values, 5, 1, 2)
    shift = found.log_density(values) - wanted
    np.testing.assert_allclose(shift, shift[0], rtol=1e-9)


def test_equal_variances_are_shared_by_all_items() -> None:
    rng = np.random.default_rng(0)
    shadows = rng.normal(0, 3, (8, 4000))
    counted = np.ones((8, 4000), dtype=np.bool_)
    found = predictive(shadows, counted)
    assert np.std(found.scale) / np.mean(found.scale) < 0.05
    assert np.mean(found.scale) == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_item_that_every_model_learnt_cannot_be_judged(attack: Attack) -> None:
    made = world(4, items=20)
    made.members[:, 3] = True
    with pytest.raises(ValueError, match="no shadow model"):
        run(attack, made)


def test_constant_answers_are_no_division_by_zero() -> None:
    shadows = np.zeros((4, 6))
    members = np.tile(np.array([[True], [False]]), (2, 6))
    for attack in (online, offline, bavaria):
        assert np.isfinite(attack(np.zeros(6), shadows, members)).all()
    assert moments(shadows, members)[1].max() == 0
