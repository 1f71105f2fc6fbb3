//! The `io` library.
