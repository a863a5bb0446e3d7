import numpy as np

from tasks.attacks.inference.shadow_scores import shadow_scores
from tasks.sandbox.protocol import Array


def trained(members: Array, *, seed: int = 0, width: int = 300) -> Array:
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(60, 1, width)).astype(np.float32)
    labels = rng.integers(0, 4, 60)
    reply = shadow_scores(
        None,
        inputs=inputs,
        labels=labels,
        members=members,
        classes=4,
        hidden=64,
        steps=60,
        seed=seed,
    )
    right: Array = reply.arrays["scores"].argmax(axis=2) == labels
    assert reply.arrays["scores"].dtype == np.float32
    return right


def test_each_model_knows_its_own_items_and_no_others() -> None:
    members = np.zeros((3, 60), dtype=np.bool_)
    members[0, :30] = members[1, 30:] = members[2, :15] = True
    right = trained(members)
    assert right.shape == (3, 60)
    assert right[members].mean() == 1
    for model in range(3):
        assert right[model, ~members[model]].mean() < 0.4


def test_equal_seeds_give_equal_answers() -> None:
    members = np.arange(60)[None] < 20
    np.testing.assert_array_equal(trained(members), trained(members))
    assert not np.array_equal(trained(members), trained(members, seed=1))


def test_constant_columns_do_no_harm() -> None:
    reply = shadow_scores(
        None,
        inputs=np.ones((4, 2), np.float32),
        labels=np.array([0, 1, 0, 1]),
        members=np.ones((1, 4), np.bool_),
        classes=2,
        hidden=4,
        steps=2,
        seed=0,
    )
    assert np.isfinite(reply.arrays["scores"]).all()
