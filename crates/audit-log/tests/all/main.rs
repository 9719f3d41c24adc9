//! The audit log against its specifications, against independent implementations, and against damage.
mod bundle;
mod damage;
mod example;
mod fixture;
mod gaps;
mod note;
mod record;
mod tree;
mod wycheproof;
