//! What a decision is given reaches no connection, no transaction and no printable secret, because it does not compile.
