//! Proofs over the tree (RFC 6962 sections 2.1.1 and 2.1.2): that a record is in it, and that an older tree is its
//! beginning. They are made from leaf hashes and checked (RFC 9162 sections 2.1.3.2 and 2.1.4.2) from roots alone.
//!
//! Invariant: a proof of the wrong length is refused, so that a proof has one spelling.

use crate::tree::{Frontier, Hash, node_hash};

/// The root over these leaves.
#[must_use]
pub fn root_of(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::new();
    leaves.iter().for_each(|leaf| frontier.push(*leaf));
    frontier.root()
}

/// Proves that the leaf at `index` is under the root over `leaves`; `None` when there is no such leaf.
#[must_use]
pub fn inclusion_proof(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    if leaves.len() == 1 {
        return Some(Vec::new());
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut proof, sibling) = match index.checked_sub(left.len()) {
        None => (inclusion_proof(left, index)?, right),
        Some(index) => (inclusion_proof(right, index)?, left),
    };
    proof.push(root_of(sibling));
    Some(proof)
}

/// Proves that the tree over the first `old_size` leaves is the beginning of the tree over all of them; `None` when
/// `old_size` is 0 or past the end.
#[must_use]
pub fn consistency_proof(leaves: &[Hash], old_size: usize) -> Option<Vec<Hash>> {
    (1..=leaves.len()).contains(&old_size).then(|| {
        let mut proof = Vec::new();
        consistency(leaves, old_size, true, &mut proof);
        proof
    })
}

/// Whether the proof shows that `leaf` is record number `index` of the tree of that size and root.
#[must_use]
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, root: &Hash, proof: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut node) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            node = node_hash(sibling, &node);
            climb_right(&mut at, &mut last);
        } else {
            node = node_hash(&node, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && node == *root
}

/// Whether the proof shows that the old tree is the beginning of the new one.
#[must_use]
pub fn verify_consistency(
    old_size: u64,
    old_root: &Hash,
    new_size: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> bool {
    if old_size == 0 || old_size > new_size {
        return false;
    }
    if old_size == new_size {
        return proof.is_empty() && old_root == new_root;
    }
    // An old tree that is one full subtree is its own first node, which the proof leaves out.
    let (first, rest) = match proof.split_first() {
        _ if old_size.is_power_of_two() => (old_root, proof),
        Some(parts) => parts,
        None => return false,
    };
    let (mut at, mut last) = (old_size - 1, new_size - 1);
    while at & 1 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    let (mut old, mut new) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            climb_right(&mut at, &mut last);
        } else {
            new = node_hash(&new, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && old == *old_root && new == *new_root
}

/// Skips the levels at which a node on the right edge has no sibling.
fn climb_right(at: &mut u64, last: &mut u64) {
    while *at & 1 == 0 && *at != 0 {
        (*at, *last) = (*at >> 1, *last >> 1);
    }
}

/// SUBPROOF of RFC 6962: `whole` while the old tree is a subtree the verifier knows.
fn consistency(leaves: &[Hash], old_size: usize, whole: bool, proof: &mut Vec<Hash>) {
    if old_size == leaves.len() {
        if !whole {
            proof.push(root_of(leaves));
        }
        return;
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    if old_size <= left.len() {
        consistency(left, old_size, whole, proof);
        proof.push(root_of(right));
    } else {
        consistency(right, old_size - left.len(), false, proof);
        proof.push(root_of(left));
    }
}

/// The largest power of two below a length of at least two.
fn split(length: usize) -> usize {
    1 << (length - 1).ilog2()
}
