"""A checkpoint is believed only when it is signed and its numbers follow from one another."""

import base64

import pytest

from tasks.ledger.checkpoint import Checkpoint, read_checkpoint, sign_checkpoint
from tasks.ledger.merkle import Tree, add_leaf, leaf_hash
from tasks.ledger.rejections import MalformedError
from tests.tasks.ledger.evidence import new_signer, trusting

SIGNER = new_signer()
LEAVES = [leaf_hash(b"%d" % index) for index in range(12)]


def checkpoint(size: int) -> Checkpoint:
    peaks: tuple[bytes, ...] = ()
    for index, leaf in enumerate(LEAVES[: size - 1]):
        peaks = add_leaf(peaks, index, leaf)
    dated = "2026-01-02T03:04:05Z"
    return Checkpoint.after(peaks, size - 1, LEAVES[size - 1], origin="log", dated=dated)


def read(head: Checkpoint) -> Checkpoint:
    data = sign_checkpoint(head, SIGNER)
    return read_checkpoint(data, size=head.size, trust=trusting(SIGNER), place="head")


@pytest.mark.parametrize("size", range(1, 13))
def test_a_checkpoint_reads_back_and_knows_the_subtrees_that_end_there(size: int) -> None:
    head, tree = read(checkpoint(size)), Tree(LEAVES)
    assert head == checkpoint(size)
    assert head.root_hash == tree.root(size)
    for level in range(4):
        if size % (1 << level):
            with pytest.raises(ValueError, match="no subtree"):
                head.subtree(level)
        else:
            assert head.subtree(level) == tree.node(level, (size >> level) - 1)


OTHER = base64.b64encode(leaf_hash(b"other")).decode()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"root": OTHER}, "does not follow"),
        ({"leaf": OTHER}, "does not follow"),
        ({"peaks": (OTHER, OTHER)}, "does not follow"),
        ({"peaks": (OTHER,)}, "6 entries have 2 peaks"),
        ({"root": "AAAA"}, "mistakes"),
        ({"dated": "today"}, "RFC 3339"),
    ],
)
def test_a_signed_checkpoint_that_contradicts_itself_is_refused(
    change: dict[str, object], told: str
) -> None:
    with pytest.raises(MalformedError, match=told):
        read(checkpoint(7).model_copy(update=change))
