//! Attacks on others, replayed.
