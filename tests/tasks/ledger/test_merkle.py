"""RFC 6962 trees against the definition, the published vectors, and forged proofs."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.ledger.merkle import (
    EMPTY_ROOT,
    Tree,
    add_leaf,
    consistency_proof,
    fold_peaks,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# Test data of the reference implementation of RFC 6962 (google/certificate-transparency,
# merkletree tests): eight inputs and the root after each.
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [leaf_hash(data) for data in INPUTS]
SIZES = st.integers(1, 70)


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word by word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(m: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962 section 2.1.1: PATH(m, D[n])."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_proof(m: int, leaves: list[bytes], *, whole: bool = True) -> list[bytes]:
    """RFC 6962 section 2.1.2: SUBPROOF(m, D[n], b)."""
    if m == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m <= k:
        return [*naive_proof(m, leaves[:k], whole=whole), naive_root(leaves[k:])]
    return [*naive_proof(m - k, leaves[k:], whole=False), naive_root(leaves[:k])]


def leaves_of(size: int) -> list[bytes]:
    return [leaf_hash(b"%d" % index) for index in range(size)]


def test_the_empty_tree_hashes_the_empty_string() -> None:
    assert root_of([]) == EMPTY_ROOT == Tree().root(0)
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", range(1, 9))
def test_published_roots(size: int) -> None:
    assert root_of(LEAVES[:size]).hex() == ROOTS[size - 1]
    assert Tree(LEAVES).root(size).hex() == ROOTS[size - 1]


@given(SIZES, st.data())
def test_proofs_equal_the_definition_and_verify(size: int, data: st.DataObject) -> None:
    leaves = leaves_of(size)
    tree = Tree(leaves)
    root = tree.root(size)
    assert root == naive_root(leaves)
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_proof(tree.node, index, size)
    assert list(path) == naive_path(index, leaves)
    assert verify_inclusion(leaves[index], index, size, path, root)
    old = data.draw(st.integers(1, size))
    proof = consistency_proof(tree.node, old, size)
    assert list(proof) == naive_proof(old, leaves)
    assert verify_consistency(old, size, proof, tree.root(old), root)


@given(SIZES, st.data())
def test_forged_inclusion_is_refused(size: int, data: st.DataObject) -> None:
    leaves = leaves_of(size)
    tree = Tree(leaves)
    index = data.draw(st.integers(0, size - 1))
    path, root = inclusion_proof(tree.node, index, size), tree.root(size)
    other = data.draw(st.integers(0, size - 1))
    assert not verify_inclusion(leaf_hash(b"other"), index, size, path, root)
    assert verify_inclusion(leaves[index], other, size, path, root) == (other == index)
    assert not verify_inclusion(leaves[index], index, size, (*path, root), root)
    assert not path or not verify_inclusion(leaves[index], index, size, path[:-1], root)
    assert not verify_inclusion(leaves[index], size, size, path, root)


@given(SIZES, st.data())
def test_a_changed_past_is_inconsistent(size: int, data: st.DataObject) -> None:
    leaves = leaves_of(size)
    old = data.draw(st.integers(1, size))
    changed = data.draw(st.integers(0, old - 1))
    forged = [*leaves]
    forged[changed] = leaf_hash(b"forged")
    before, after = Tree(leaves), Tree(forged)
    proof = consistency_proof(after.node, old, size)
    assert not verify_consistency(old, size, proof, before.root(old), after.root(size))
    assert not verify_consistency(old, size, (*proof, b"x" * 32), after.root(old), after.root(size))
    assert not verify_consistency(size + 1, size, proof, after.root(old), after.root(size))


@given(SIZES)
def test_peaks_grow_to_the_root(size: int) -> None:
    peaks: tuple[bytes, ...] = ()
    for index, leaf in enumerate(leaves_of(size)):
        peaks = add_leaf(peaks, index, leaf)
    assert len(peaks) == size.bit_count()
    assert fold_peaks(peaks) == naive_root(leaves_of(size))


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 3)])
def test_no_proof_for_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="not among"):
        inclusion_proof(Tree(leaves_of(3)).node, index, size)


@pytest.mark.parametrize(("old", "new"), [(0, 3), (4, 3)])
def test_no_proof_between_sizes_that_do_not_follow(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="no proof"):
        consistency_proof(Tree(leaves_of(3)).node, old, new)
