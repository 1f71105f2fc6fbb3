//! The `string` library.
