//! Procedural macros of an attacker, for the tests of `derive(Trace)` and `derive(Share)`: what a
//! derive sees of a type is not what the compiler makes of it.

use proc_macro::{TokenStream, TokenTree};
use std::collections::HashSet;
use std::sync::Mutex;

/// `#[item_becomes { item }]` puts another item in the place of the one that it stands on. A derive
/// above it has seen the first one.
#[proc_macro_attribute]
pub fn item_becomes(instead: TokenStream, _seen_by_the_derive: TokenStream) -> TokenStream {
    instead
}

/// `first_then!(A; B)` is `A` when it is expanded for the first time, and `B` after that.
#[proc_macro]
pub fn first_then(input: TokenStream) -> TokenStream {
    static SEEN: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let text = input.to_string();
    let is_first = SEEN.lock().unwrap().get_or_insert_default().insert(text);
    let mut first = Vec::new();
    let mut tokens = input.into_iter();
    for token in tokens.by_ref() {
        match &token {
            TokenTree::Punct(p) if p.as_char() == ';' => break,
            _ => first.push(token),
        }
    }
    if is_first { first.into_iter().collect() } else { tokens.collect() }
}
