"""How a model was trained, as its vendor declares it: read by audits, never trusted alone."""

from typing import Annotated, Literal

from pydantic import Field

from tasks.domain.frozen import Frozen

Positive = Annotated[float, Field(gt=0, le=1e6)]


class PrivacyRecipe(Frozen):
    """The settings of DP-SGD that a claimed epsilon rests on.

    ``sample_rate`` is the chance of each row to be in a step's batch; ``steps`` counts updates.
    ``clipping`` and ``sampling`` say what the training loop really does: only Poisson sampling
    has the amplification that the accountants compute, and only per-example clipping bounds what
    one row can change.
    """

    noise_multiplier: Annotated[float, Field(ge=0, le=1e3)]
    max_gradient_norm: Positive = 1.0
    sample_rate: Annotated[float, Field(gt=0, le=1)]
    steps: Annotated[int, Field(ge=1, le=10_000_000)]
    delta: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    sampling: Literal["poisson", "shuffle"] = "poisson"
    clipping: Literal["example", "batch", "none"] = "example"


class TrainingRecipe(Frozen):
    """Optimiser settings; shadow models are trained the same way."""

    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0, le=100)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 30
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    augmentation: Literal["none", "shift"] = Field(
        default="none", exclude_if=lambda kind: kind == "none"
    )
    """``shift``: pictures are moved by up to one pixel, anew in each step."""
    privacy: PrivacyRecipe | None = None
