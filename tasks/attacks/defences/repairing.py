"""Takes a backdoor out of a copy of an opened model. In the sandbox child only.

Sources: Liu et al. 2018, Fine-Pruning, arXiv 1805.12185 (channels that clean inputs leave asleep
are cut, then the rest is trained on); Wang et al. 2019, Neural Cleanse, section 6.2, doi
10.1109/SP.2019.00031 (unlearning: the rebuilt trigger with the right labels).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from tasks.attacks.defences.adversarial_training import trainable_copy
from tasks.attacks.defences.training import written_down
from tasks.domain.errors import TargetError
from tasks.sandbox.protocol import Array, Reply
from tasks.targets.protocol import Images, Labels, Target

BATCH, LEARNING_RATE = 64, 1e-3
STAMPED = 0.2
"""Part of each batch that carries the trigger, as in the source."""
MOST_LOST = 0.02
"""Clean accuracy that cutting channels may cost before the rest is trained on."""


class Lesson(NamedTuple):
    """Clean rows to repair with: inputs (n, *item), labels (n,); and the trigger, both (*item)."""

    inputs: torch.Tensor
    labels: torch.Tensor
    mask: torch.Tensor
    pattern: torch.Tensor
    epochs: int
    seed: int


def repairing(
    target: Target,
    *,
    inputs: Images,
    labels: Labels,
    mask: Array,
    pattern: Array,
    repair: str,
    artifact: str,
    architecture: str | None,
    model: dict[str, Any],
    epochs: int,
    seed: int,
) -> Reply:
    """Repairs a copy of the delivered weights; the target stays as it was.

    Args:
        target: The delivered model; must reveal gradients.
        inputs: Clean rows (n, *item), raw.
        labels: Their true classes (n,).
        mask: Of the rebuilt trigger, 0..1, broadcast over ``item``.
        pattern: Its pattern (*item), raw.
        repair: A key of ``REPAIRS``.
        artifact: Path of the model file, whose tensor names the copy takes.
        architecture: Path of the layer list, for weights without a graph.
        model: ``ModelSpec`` as JSON values.
        epochs: How long to train on.
        seed: Equal seeds give equal copies on one thread.

    Returns:
        The copy, as :func:`tasks.attacks.defences.training.training` returns it.

    Raises:
        TargetError: There is no such repair, or the copy cannot be made, cut or written down.
    """
    if repair not in REPAIRS:
        raise TargetError(f"there is no repair {repair}; known are {', '.join(REPAIRS)}")
    before = target.meter.forwards, target.meter.backwards
    rows = torch.from_numpy(inputs)
    lesson = Lesson(
        rows,
        torch.from_numpy(labels),
        torch.from_numpy(mask).expand(rows.shape[1:]),
        torch.from_numpy(pattern),
        epochs,
        seed,
    )
    copy = trainable_copy(target)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        REPAIRS[repair](copy, lesson)
    copy.requires_grad_(requires_grad=False)
    return written_down(
        copy, target, before=before, artifact=artifact, architecture=architecture, model=model
    )


def fine_tuned(model: nn.Module, lesson: Lesson) -> None:
    """Trains on with clean rows: what the other repairs have to beat."""
    _train(model, lesson)


def unlearnt(model: nn.Module, lesson: Lesson) -> None:
    """Trains on with the trigger on some rows, under their right labels."""
    _train(model, lesson, stamped=STAMPED)


def fine_pruned(model: nn.Module, lesson: Lesson) -> None:
    """Cuts the channels of the last hidden layer that clean rows wake least, then trains on.

    Raises:
        TargetError: The network has no hidden layer of ours whose channels could be cut.
    """
    layer = _last_hidden(model)
    asleep = _activity(model, layer, lesson.inputs).argsort()
    weight, bias = layer.weight.data, None if layer.bias is None else layer.bias.data
    whole = weight.clone(), None if bias is None else bias.clone()
    least = _accuracy(model, lesson) - MOST_LOST
    cut = 0
    for count in range(1, len(asleep)):
        _silence(layer, asleep[:count])
        if _accuracy(model, lesson) < least:
            break
        cut = count
    weight.copy_(whole[0])
    if bias is not None and whole[1] is not None:
        bias.copy_(whole[1])
    _train(model, lesson, after=lambda: _silence(layer, asleep[:cut]))


REPAIRS: dict[str, Callable[[nn.Module, Lesson], None]] = {
    "unlearning": unlearnt,
    "fine_pruning": fine_pruned,
    "fine_tuning": fine_tuned,
}


def _train(
    model: nn.Module,
    lesson: Lesson,
    *,
    stamped: float = 0.0,
    after: Callable[[], None] = lambda: None,
) -> None:
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(weights, LEARNING_RATE)
    after()
    for _ in range(lesson.epochs):
        for rows in torch.randperm(len(lesson.labels)).split(BATCH):
            inputs = lesson.inputs[rows]
            marked = round(stamped * len(rows))
            if marked:
                first = (1 - lesson.mask) * inputs[:marked] + lesson.mask * lesson.pattern
                inputs = torch.cat([first, inputs[marked:]])
            optimizer.zero_grad()
            functional.cross_entropy(model(inputs), lesson.labels[rows]).backward()
            optimizer.step()
            after()


def _last_hidden(model: nn.Module) -> nn.Linear | nn.Conv2d:
    layers = [one for one in model.modules() if isinstance(one, nn.Linear | nn.Conv2d)]
    if len(layers) < 2:
        raise TargetError("the network has no hidden layer whose channels could be cut")
    return layers[-2]


def _activity(model: nn.Module, layer: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """Returns how strongly clean rows wake each channel on the mean (channels,)."""
    seen: list[torch.Tensor] = []

    def keep(_layer: nn.Module, _inputs: object, answer: torch.Tensor) -> None:
        by_channel = answer.detach().transpose(0, 1).flatten(1)
        seen.append(by_channel.clamp_min(0).mean(1).cpu() * len(answer))

    handle = layer.register_forward_hook(keep)
    with torch.no_grad():
        for part in inputs.split(256):
            model(part)
    handle.remove()
    return torch.stack(seen).sum(0)


def _accuracy(model: nn.Module, lesson: Lesson) -> float:
    with torch.no_grad():
        parts = [model(part).argmax(1) for part in lesson.inputs.split(256)]
    return float((torch.cat(parts) == lesson.labels).float().mean())


def _silence(layer: nn.Linear | nn.Conv2d, channels: torch.Tensor) -> None:
    layer.weight.data[channels] = 0
    if layer.bias is not None:
        layer.bias.data[channels] = 0
