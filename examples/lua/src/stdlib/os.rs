//! The `os` library.
