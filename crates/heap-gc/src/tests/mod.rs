//! Models of this crate's protocols.
