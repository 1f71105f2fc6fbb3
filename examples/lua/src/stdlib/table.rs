//! The `table` library.
