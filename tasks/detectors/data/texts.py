"""Which texts nearly repeat others: MinHash signatures of their words. Runs in the sandbox child.

Source: Broder 1997 (resemblance and MinHash); Leskovec, Rajaraman and Ullman, Mining of Massive
Datasets, chapter 3 (bands).
"""

import hashlib
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.detectors.data.identifier_scan import rows_of
from tasks.detectors.data.near import Pairs
from tasks.sandbox.protocol import Array, Reply

HASHES, BANDS = 128, 32
NEIGHBOURS = 4
SHINGLE, FEW_WORDS, LETTERS = 3, 8, 5
LONG = 20
"""Letters that a column's values must have on average to be texts and not names."""
LONGEST = 20_000
CONTROLS = 100
_MIXER = np.uint64(0x94D049BB133111EB)
"""A multiplier of SplitMix64 (Steele, Lea and Flood 2014)."""
_WORDS = re.compile(r"\w+")
Signatures = NDArray[np.uint32]


class Text(NamedTuple):
    """One row: 64 bits of all it holds but the label, its free text, and 64 bits of its label."""

    mark: int
    text: str
    label: int


def text_marks(*, path: str, label: str, most_rows: int, seed: int) -> Reply:
    """Reads a table or JSON lines as text.

    Args:
        path: CSV, TSV, Parquet, JSON lines or plain text.
        label: Column of the labels; all others are the input.
        most_rows: Rows looked at.
        seed: Seeds the controls.

    Returns:
        Arrays ``marks`` (n,) uint64 of each row's input after canonical form, ``labels`` (n,)
        int64, and, where the rows hold texts of 20 letters or more on average, ``signatures``,
        ``planted`` (some of the texts, a little longer) and ``innocent`` (their words drawn
        anew), (…, 128) uint32. ``values``: ``rows``, ``unseen`` (answers whether there were more),
        ``problem``.
    """
    try:
        rows = list(_texts(Path(path), label, most_rows + 1))
    except Exception as error:  # noqa: BLE001 - parsers of hostile files raise anything
        return Reply({}, {"problem": type(error).__name__, "rows": 0, "unseen": False})
    unseen, rows = len(rows) > most_rows, rows[:most_rows]
    arrays: dict[str, Array] = {
        "marks": np.array([row.mark for row in rows], dtype=np.uint64),
        "labels": np.array([row.label for row in rows], dtype=np.int64),
    }
    texts = [row.text for row in rows]
    if rows and sum(map(len, texts)) >= LONG * len(rows):
        rng = np.random.default_rng(seed)
        chosen = [texts[at] for at in rng.permutation(len(texts))[:CONTROLS]]
        arrays |= {
            "signatures": signatures(texts),
            "planted": signatures([_lengthened(text) for text in chosen]),
            "innocent": signatures(_mixed(chosen, rng)),
        }
    return Reply(arrays, {"problem": "", "rows": len(rows), "unseen": unseen})


def signatures(texts: list[str]) -> Signatures:
    """Returns the smallest hashes of each text's shingles (n, 128); equal shares estimate overlap.

    Texts without any word get random signatures: nothing resembles them.
    """
    rng = np.random.default_rng(1997)
    factors, shifts = rng.integers(0, 1 << 63, (2, HASHES), dtype=np.uint64) | np.uint64(1)
    found = np.empty((len(texts), HASHES), dtype=np.uint32)
    for at, text in enumerate(texts):
        hashes = np.array([*_shingles(text)], dtype=np.uint64)
        if not len(hashes):
            found[at] = rng.integers(0, 1 << 32, HASHES, dtype=np.uint32)
            continue
        # Overflow is wanted: this is arithmetic modulo 2 to the 64th, whose high bits are mixed.
        mixed = (hashes[:, None] + shifts) * factors
        mixed = (mixed ^ (mixed >> np.uint64(29))) * _MIXER
        found[at] = (mixed.min(axis=0) >> np.uint64(32)).astype(np.uint32)
    return found


def resembling(signed: Signatures, *, least: float) -> Pairs:
    """Returns pairs of texts (pairs, 2), the lower first, of which at least ``least`` is shared."""
    width = HASHES // BANDS
    found = [np.zeros((0, 2), dtype=np.int64)]
    for band in range(BANDS):
        keys = np.ascontiguousarray(signed[:, band * width : (band + 1) * width])
        marks = keys.view(np.dtype((np.void, keys.dtype.itemsize * width))).ravel()
        _, key = np.unique(marks, return_inverse=True)
        order = np.argsort(key, kind="stable")
        for step in range(1, NEIGHBOURS + 1):
            one, two = order[:-step], order[step:]
            same = key[one] == key[two]
            found.append(np.stack([one[same], two[same]], axis=1))
    pairs = np.unique(np.sort(np.concatenate(found), axis=1), axis=0)
    shared = (signed[pairs[:, 0]] == signed[pairs[:, 1]]).mean(axis=1)
    found_pairs: Pairs = pairs[shared >= least]
    return found_pairs


def canonical(text: str) -> str:
    """Returns a value without what copies change: case and white space."""
    return " ".join(text.casefold().split())


def _texts(path: Path, label: str, most: int) -> Iterator[Text]:
    for row in rows_of(path, most):
        cells = {name: canonical(cell[:LONGEST]) for name, cell in row.items() if name != label}
        told = "\x1f".join(f"{name}\x1e{cells[name]}" for name in sorted(cells))
        yield Text(_mark(told), " ".join(cells.values()), _mark(canonical(row.get(label, ""))) >> 1)


def _mark(text: str) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def _shingles(text: str) -> set[int]:
    words = _WORDS.findall(text)
    if len(words) >= FEW_WORDS:
        parts = {" ".join(words[at : at + SHINGLE]) for at in range(len(words) - SHINGLE + 1)}
    else:
        whole = " ".join(words)
        parts = {whole[at : at + LETTERS] for at in range(max(1, len(whole) - LETTERS + 1))}
    return {zlib.crc32(part.encode("utf-8", "surrogatepass")) for part in parts if part}


def _lengthened(text: str) -> str:
    """Returns a text with its first word said again at the end; a letter where words are few."""
    words = _WORDS.findall(text)
    return f"{text} {words[0]}" if len(words) >= FEW_WORDS else f"{text}s"


def _mixed(texts: list[str], rng: np.random.Generator) -> list[str]:
    """Returns texts as long as these, of words drawn from all of them."""
    pool = [word for text in texts for word in text.split()] or [""]
    return [" ".join(rng.choice(pool, size=max(1, len(text.split())))) for text in texts]
