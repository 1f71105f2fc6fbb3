//! What the compiler must refuse: one file per misuse in `compile_fail/`, with
//! the errors it gets. `docs/design/handles.md` lists them by rule.
//!
//! The errors are those of the toolchain in `rust-version`; after a change of it
//! `TRYBUILD=overwrite cargo test --test compile_fail` writes them anew. Read
//! the difference: each file must go on failing for the reason in its first
//! line.

#[test]
fn misuse_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
