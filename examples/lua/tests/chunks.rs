//! Binary chunks that are not what a compiler made: errors, whatever they are, and never a panic or a
//! broken heap.

mod support;

use lua::{Config, Data, Interpreter, ScriptError};
use support::files;

/// What precedes the main function of a chunk, in bytes.
const HEADER: usize = 59;

/// Small numbers that look random: xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// The chunk of a source text.
fn dumped(lua: &mut Interpreter, source: &[u8], strip: bool) -> Option<Vec<u8>> {
    lua.set_global("source", &Data::Text(source.to_vec())).unwrap();
    lua.set_global("strip", &strip.into()).unwrap();
    let chunk = "local f = load(source, '=source', 't') return f and string.dump(f, strip)";
    match lua.eval(chunk, "=dump").unwrap().pop() {
        Some(Data::Text(chunk)) => Some(chunk),
        _ => None,
    }
}

#[test]
fn what_the_compiler_makes_passes_and_comes_back_the_same() {
    let mut lua = Interpreter::new(Config::new()).unwrap();
    let mut chunks = 0;
    for folder in ["conformance", "scripts"] {
        for path in files(folder, "lua") {
            let source = std::fs::read(&path).unwrap();
            for strip in [false, true] {
                let Some(chunk) = dumped(&mut lua, &source, strip) else { continue };
                lua.set_global("chunk", &Data::Text(chunk.clone())).unwrap();
                let again = "return string.dump(assert(load(chunk, '=chunk', 'b')), strip)";
                let again = lua.eval(again, "=again").unwrap_or_else(|error| {
                    panic!("{}: {error}", path.display());
                });
                assert!(again == [Data::Text(chunk)], "{} differs", path.display());
                chunks += 1;
            }
        }
    }
    assert!(chunks > 100, "{chunks} chunks");
}

#[test]
fn a_chunk_that_is_cut_off_is_no_chunk() {
    let mut lua = Interpreter::new(Config::new()).unwrap();
    let source =
        b"local c <close> = nil local t for i = 1, 3 do t = {i, f = function() return i end} end";
    let chunk = dumped(&mut lua, source, false).unwrap();
    for length in 1..chunk.len() {
        let result = lua.run_bytes(&chunk[..length], "=cut", &[]);
        let Err(ScriptError::Syntax(message)) = result else { panic!("{length}: {result:?}") };
        assert_eq!(message, "cut: bad binary format (truncated chunk)", "{length}");
    }
}

#[test]
fn spoilt_chunks_break_nothing() {
    let seed = std::env::var("LUA_CHUNKS_SEED")
        .map_or(0x9e37_79b9_7f4a_7c15, |seed| seed.parse().expect("LUA_CHUNKS_SEED is a number"));
    println!("LUA_CHUNKS_SEED={seed}");
    let mut random = Random(seed);
    let mut compiler = Interpreter::new(Config::new()).unwrap();
    let chunks: Vec<Vec<u8>> = files("conformance", "lua")
        .iter()
        .filter_map(|path| dumped(&mut compiler, &std::fs::read(path).unwrap(), false))
        .filter(|chunk| chunk.len() < 20_000)
        .collect();
    let (mut refused, mut run) = (0, 0);
    let rounds = if cfg!(debug_assertions) { 500 } else { 3000 };
    for round in 0..rounds {
        let mut chunk = chunks[random.below(chunks.len())].clone();
        for _ in 0..=random.below(3) {
            let (at, bit) = (HEADER + random.below(chunk.len() - HEADER), random.below(8));
            chunk[at] ^= 1 << bit;
        }
        let config = Config::new()
            .libraries(lua::Libraries::safe().with(lua::Library::Base, lua::Access::Full))
            .max_heap_bytes(8 << 20)
            .instruction_limit(20_000)
            .on_limit(lua::Limit::Instructions, lua::OnLimit::Uncatchable)
            .stress(round % 16 == 0)
            .output(Box::new(std::io::sink()));
        let mut lua = Interpreter::new(config).unwrap();
        match lua.run_bytes(&chunk, "=spoilt", &[]) {
            Err(ScriptError::Syntax(_)) => refused += 1,
            _ => run += 1,
        }
        if round % 8 == 0 {
            lua.heap().verify().unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
    }
    println!("{refused} refused, {run} run");
    assert!(refused > rounds / 4 && run > rounds / 20, "{refused} refused, {run} run");
}
