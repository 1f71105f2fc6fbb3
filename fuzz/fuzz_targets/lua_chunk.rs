//! The input becomes a binary chunk, which is loaded and, if the verifier lets it pass, run. Whatever it is,
//! nothing may panic, hang, touch freed memory or break the heap.
//!
//! An input whose first byte is even is what follows the header of a chunk. Otherwise it is a list of
//! changes, three bytes each (place and new byte), to a chunk that the compiler has made from one of the
//! programs in `chunks.lua`; changes of few bytes are what the verifier must see through.

#![no_main]

mod small;
mod watchdog;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use lua::{Config, Data, Interpreter};

const PRELUDE: &str = include_str!("prelude.lua");

/// Returns chunks.
const CHUNKS: &str = include_str!("chunks.lua");

/// The chunks of the programs, and how long their header is.
fn chunks() -> &'static (Vec<Vec<u8>>, usize) {
    static CHUNKS_ONCE: OnceLock<(Vec<Vec<u8>>, usize)> = OnceLock::new();
    CHUNKS_ONCE.get_or_init(|| {
        let mut lua = Interpreter::new(Config::new()).expect("a heap without a limit");
        let results = lua.eval(CHUNKS, "=chunks").expect("the programs compile");
        let chunks: Vec<Vec<u8>> = results
            .into_iter()
            .map(|result| match result {
                Data::Text(chunk) => chunk,
                other => panic!("{other:?} is no chunk"),
            })
            .collect();
        // Two functions that differ in their first line only.
        let [first, second] = [&chunks[0], &chunks[1]];
        let common = first.iter().zip(second).take_while(|(a, b)| a == b).count();
        (chunks, common.saturating_sub(1))
    })
}

fn chunk(input: &[u8]) -> Vec<u8> {
    let (chunks, header) = chunks();
    let Some((first, rest)) = input.split_first() else { return Vec::new() };
    if first % 2 == 0 {
        let mut chunk = chunks[0][..*header].to_vec();
        chunk.extend_from_slice(rest);
        return chunk;
    }
    let mut chunk = chunks[usize::from(first / 2) % chunks.len()].clone();
    for change in rest.chunks_exact(3) {
        let place = usize::from(u16::from_le_bytes([change[0], change[1]]));
        let body = chunk.len() - header;
        chunk[header + place % body] = change[2];
    }
    chunk
}

fuzz_target!(|input: &[u8]| {
    let mut lua = small::interpreter(input);
    lua.run_source(PRELUDE, "=prelude", &[]).expect("the prelude works");
    let chunk = chunk(input);
    watchdog::watched(&mut lua, |lua| {
        let _ = lua.run_bytes(&chunk, "=fuzz", &[]);
    });
});
