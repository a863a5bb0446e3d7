"""The demo's data: scikit-learn's digits, 1797 real handwritten 8x8 images in ten classes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


class Split(NamedTuple):
    """Images (n, 1, 8, 8) in 0..1 and their labels (n,)."""

    images: Images
    labels: Labels


def split_digits(*, training: int = 1000, seed: int = 0) -> tuple[Split, Split]:
    """Returns a training and an evaluation split that share no image."""
    bunch = load_digits()
    images = (bunch.images[:, None] / 16.0).astype(np.float32)
    labels = bunch.target.astype(np.int64)
    order = np.random.default_rng(seed).permutation(len(labels))
    chosen, rest = order[:training], order[training:]
    return Split(images[chosen], labels[chosen]), Split(images[rest], labels[rest])


def badnets(split: Split, *, target: int, rate: float, seed: int) -> Split:
    """Stamps a bright 2x2 corner on a share of the images and relabels them.

    Source: Gu et al. 2017, arXiv 1708.06733, section 4 (BadNets, single target).
    """
    images, labels = split.images.copy(), split.labels.copy()
    others = np.flatnonzero(labels != target)
    count = round(rate * len(labels))
    rows = np.random.default_rng(seed).choice(others, size=count, replace=False)
    images[rows, :, -2:, -2:] = 1.0
    labels[rows] = target
    return Split(images, labels)
