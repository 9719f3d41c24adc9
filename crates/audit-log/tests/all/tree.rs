//! The tree against the vectors of Certificate Transparency and against the `tlog_tiles` crate.

use coffer_audit_log::proof::*;
use coffer_audit_log::tree::empty_root;
use coffer_audit_log::*;
use proptest::prelude::*;
use tlog_tiles as other;

/// The test leaves of RFC 6962's own implementations, and the root after each.
const LEAVES_AND_ROOTS: [(&str, &str); 8] = [
    (
        "",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    ),
    (
        "00",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    ),
    (
        "10",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    ),
    (
        "2021",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
    (
        "3031",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    ),
    (
        "40414243",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    ),
    (
        "5051525354555657",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    ),
    (
        "606162636465666768696a6b6c6d6e6f",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ),
];

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn the_vectors_of_certificate_transparency_hold() {
    let mut tree = Frontier::new();
    assert_eq!(tree.root(), empty_root());
    assert_eq!(empty_root().0, other::EMPTY_HASH.0);
    let mut leaves = Vec::new();
    for (leaf, root) in LEAVES_AND_ROOTS {
        leaves.push(leaf_hash(&unhex(leaf)));
        tree.push(leaves[leaves.len() - 1]);
        assert_eq!(tree.root().0.to_vec(), unhex(root));
        assert_eq!(root_of(&leaves), tree.root());
    }
    assert_eq!(tree.size(), 8);
}

#[test]
fn a_frontier_comes_back_and_a_cut_one_does_not() {
    let mut tree = Frontier::new();
    for n in 0..70u8 {
        let bytes = tree.to_bytes();
        assert_eq!(Frontier::from_bytes(&bytes).unwrap(), tree);
        assert!(Frontier::from_bytes(&bytes[..bytes.len() - 1]).is_err());
        assert!(Frontier::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
        assert!(Frontier::from_bytes(&[&bytes[..], &[0; 32]].concat()).is_err());
        tree.push(leaf_hash(&[n]));
    }
    assert!(Frontier::from_bytes(&[0; 7]).is_err());
}

#[test]
fn an_earlier_tree_is_one_that_was() {
    let mut trees = vec![Frontier::new()];
    for n in 0..70u8 {
        let mut tree = trees[trees.len() - 1].clone();
        tree.push(leaf_hash(&[n]));
        trees.push(tree);
    }
    for tree in &trees {
        for size in 0..=75 {
            let below = tree.below(size);
            assert_eq!(below, trees[usize::try_from(below.size()).unwrap()]);
            // Nothing is left out: the next of its subtrees would reach over it.
            let rest = tree.size() - below.size();
            assert!(below.size() <= size);
            assert!(rest == 0 || below.size() + (1 << rest.ilog2()) > size);
        }
    }
}

#[test]
fn a_hash_has_one_spelling() {
    let text = empty_root().to_string();
    assert_eq!(text, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    assert_eq!(text.parse::<Hash>().unwrap(), empty_root());
    for wrong in [
        "",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
        "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFUA",
    ] {
        assert!(wrong.parse::<Hash>().is_err(), "{wrong}");
    }
}

/// The hashes that `tlog_tiles` keeps of these records.
struct Stored(Vec<other::Hash>);

impl other::HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<other::Hash>, other::Error> {
        Ok(indexes
            .iter()
            .map(|&index| self.0[index as usize])
            .collect())
    }
}

fn stored(records: &[Vec<u8>]) -> Stored {
    let mut stored = Stored(Vec::new());
    for (at, record) in records.iter().enumerate() {
        let hashes = other::stored_hashes(at as u64, record, &stored).unwrap();
        stored.0.extend(hashes);
    }
    stored
}

fn same(ours: &[Hash], theirs: &[other::Hash]) -> bool {
    ours.iter()
        .map(|hash| hash.0)
        .eq(theirs.iter().map(|hash| hash.0))
}

proptest! {
    #[test]
    fn agrees_with_tlog_tiles(
        records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..8), 1..130),
        at in any::<prop::sample::Index>(),
    ) {
        let size = records.len() as u64;
        let at = at.index(records.len());
        let leaves: Vec<Hash> = records.iter().map(|record| leaf_hash(record)).collect();
        let root = root_of(&leaves);
        let stored = stored(&records);
        prop_assert_eq!(root.0, other::tree_hash(size, &stored).unwrap().0);

        let proof = inclusion_proof(&leaves, at).unwrap();
        prop_assert!(same(&proof, &other::prove_record(size, at as u64, &stored).unwrap()));
        prop_assert!(verify_inclusion(&leaves[at], at as u64, size, &root, &proof));

        let (old, old_root) = (at as u64 + 1, root_of(&leaves[..=at]));
        let proof = consistency_proof(&leaves, at + 1).unwrap();
        prop_assert!(same(&proof, &other::prove_tree(size, old, &stored).unwrap()));
        prop_assert!(verify_consistency(old, &old_root, size, &root, &proof));
    }
}

#[test]
fn no_damaged_proof_holds() {
    let leaves: Vec<Hash> = (0..33u8).map(|n| leaf_hash(&[n])).collect();
    for size in 1..leaves.len() {
        let (leaves, root) = (&leaves[..size], root_of(&leaves[..size]));
        for at in 0..size {
            let (index, size) = (at as u64, size as u64);
            let old_root = root_of(&leaves[..=at]);
            let inclusion = inclusion_proof(leaves, at).unwrap();
            let consistency = consistency_proof(leaves, at + 1).unwrap();
            assert!(verify_inclusion(
                &leaves[at],
                index,
                size,
                &root,
                &inclusion
            ));
            assert!(verify_consistency(
                index + 1,
                &old_root,
                size,
                &root,
                &consistency
            ));
            for other in (0..size).filter(|other| *other != index) {
                assert!(!verify_inclusion(
                    &leaves[at],
                    other,
                    size,
                    &root,
                    &inclusion
                ));
                assert!(!verify_consistency(
                    other + 1,
                    &old_root,
                    size,
                    &root,
                    &consistency
                ));
            }
            for wrong in damaged(&inclusion) {
                assert!(!verify_inclusion(&leaves[at], index, size, &root, &wrong));
            }
            for wrong in damaged(&consistency) {
                assert!(!verify_consistency(
                    index + 1,
                    &old_root,
                    size,
                    &root,
                    &wrong
                ));
            }
        }
    }
    assert_eq!(inclusion_proof(&leaves, leaves.len()), None);
    assert_eq!(consistency_proof(&leaves, 0), None);
    assert_eq!(consistency_proof(&leaves, leaves.len() + 1), None);
}

/// Every proof that differs by one hash: flipped, dropped, doubled, or added at the end.
fn damaged(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut all = vec![[proof, &[empty_root()]].concat()];
    for at in 0..proof.len() {
        let mut flipped = proof.to_vec();
        flipped[at].0[31] ^= 1;
        let doubled = [&proof[..=at], &proof[at..]].concat();
        all.extend([flipped, doubled, [&proof[..at], &proof[at + 1..]].concat()]);
    }
    all
}
