//! What a caller must see to stands in the signature of a function: it is `unsafe`, or takes
//! a token, or is not public.
//!
//! The compiler sees who calls an unsafe function, and nobody sees who reads a sentence in
//! the documentation of a safe one. So four rules, for the crates below the interface:
//!
//! * OB1: a safe function does not rest an `unsafe` block on its caller: a `SAFETY` comment
//!   that names the caller is in an `unsafe fn`.
//! * OB2: a safe public function takes no address on trust: each that takes a pointer, or the
//!   number of an address or page, is in a list that says why any value will do. So is each
//!   public field.
//! * OB3: no other safe function does what is unsafe with an address that it was given:
//!   each, public or not, that takes one and has an `unsafe` block is in a list as well.
//! * OB4: the documentation of a safe public function states no obligation.
//!
//! The sources are read as text, in the form that rustfmt gives them. What the programs in
//! `compile_fail/inner_*.rs` do is refused by the compiler.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The crates that the rules are for. Those of the last one are for its users to call.
const CRATES: [&str; 4] = ["heap-sync", "heap-core", "heap-gc", "heap-api"];

fn crates_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates")
}

/// The files of a crate, by their paths within `src`, without tests.
fn sources(crate_name: &str) -> BTreeMap<String, String> {
    fn collect(dir: &Path, root: &Path, out: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && name != "tests" {
                collect(&path, root, out);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                let code =
                    code.split("#[cfg(all(test, not(heap_loom)))]\nmod tests {").next().unwrap();
                let inside = path.strip_prefix(root).unwrap().to_str().unwrap();
                out.insert(inside.to_owned(), code.to_owned());
            }
        }
    }
    let src = crates_dir().join(crate_name).join("src");
    let mut out = BTreeMap::new();
    collect(&src, &src, &mut out);
    assert!(!out.is_empty(), "{crate_name} has no sources");
    out
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// A function, as its first lines say.
#[derive(Clone, Debug)]
struct Function {
    name: String,
    /// From `pub` or `fn` to the opening brace, on one line.
    signature: String,
    /// The text of the doc comment.
    doc: String,
    indent: usize,
}

impl Function {
    fn words_before_name(&self) -> impl Iterator<Item = &str> {
        self.signature.split_whitespace().take_while(|word| *word != "fn")
    }

    fn is_unsafe(&self) -> bool {
        self.words_before_name().any(|word| word == "unsafe")
    }

    fn is_public(&self) -> bool {
        self.words_before_name().any(|word| word == "pub")
    }

    /// The arguments.
    fn arguments(&self) -> &str {
        let rest = &self.signature[self.signature.find('(').map_or(0, |at| at + 1)..];
        // Where the result begins. (An argument may be a function with a result: then what
        // is behind it counts as an argument, which is on the safe side.)
        rest.rsplit_once(") -> ").map_or(rest, |(arguments, _)| arguments)
    }
}

/// Whether a line begins a function.
fn begins_function(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let qualifiers = ["pub", "pub(crate)", "pub(super)", "const", "unsafe", "extern", "\"C\""];
    words.find(|word| !qualifiers.contains(word) && !word.starts_with("pub(in")) == Some("fn")
}

/// Calls `see` with every line and the functions that it is in, outermost first. A function
/// is seen with its own first line.
fn walk(code: &str, mut see: impl FnMut(&str, &[Function])) {
    let lines: Vec<&str> = code.lines().collect();
    let mut stack: Vec<Function> = Vec::new();
    let mut doc = String::new();
    for (at, line) in lines.iter().enumerate() {
        let text = line.trim_start();
        if let Some(comment) = text.strip_prefix("///") {
            doc.push_str(comment);
            doc.push('\n');
        } else if begins_function(line) {
            let end =
                |line: &&&str| !(line.ends_with('{') || line.ends_with(';') || line.ends_with('}'));
            let mut signature: Vec<&str> =
                lines[at..].iter().take_while(end).map(|l| l.trim()).collect();
            signature.push(lines[at + signature.len()].trim());
            let whole = signature.join(" ");
            let name = whole.split("fn ").nth(1).unwrap_or("");
            let name = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let last = signature.last().unwrap();
            let function =
                Function { name, signature: whole.clone(), doc: doc.clone(), indent: indent(line) };
            stack.push(function);
            see(line, &stack);
            if !last.ends_with('{') {
                stack.pop();
            }
            continue;
        } else if !text.starts_with("#[") && !text.starts_with("//") {
            doc.clear();
        }
        if let Some(innermost) = stack.last()
            && text == "}"
            && indent(line) == innermost.indent
        {
            stack.pop();
        }
        see(line, &stack);
    }
}

// ---- OB1 ---------------------------------------------------------------------

/// The `SAFETY` comments of safe functions that name the caller.
fn leaning(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut comment = String::new();
    walk(code, |line, functions| {
        let text = line.trim_start();
        match text.strip_prefix("// ") {
            Some(rest) if text.starts_with("// SAFETY") => comment = rest.to_owned(),
            Some(rest) if !comment.is_empty() => {
                comment.push(' ');
                comment.push_str(rest);
            }
            _ => {
                let names_caller = comment.to_lowercase().contains("caller");
                if let Some(function) = functions.last()
                    && names_caller
                    && !functions.iter().any(Function::is_unsafe)
                {
                    found.push(format!("{}: {comment}", function.name));
                }
                comment.clear();
            }
        }
    });
    found
}

#[test]
fn no_safe_function_rests_on_its_caller() {
    for name in CRATES {
        for (file, code) in sources(name) {
            let found = leaning(&code);
            assert!(found.is_empty(), "OB1: {name}/{file}: {found:#?}");
        }
    }
}

// ---- OB2 ---------------------------------------------------------------------

/// Safe public functions and fields that take an address, and why any will do.
const ANY_ADDRESS: [(&str, &str, &str); 20] = [
    (
        "heap-core/mark_byte.rs",
        "prefetch_mark",
        "a prefetch of any address has no effect on memory",
    ),
    ("heap-core/partition.rs", "of_page", "computes with a number"),
    ("heap-core/mspan.rs", "base", "told, and followed with a contract: see `Span::inspect`"),
    ("heap-core/mspan.rs", "central", "told, and followed with a contract: see `Span::inspect`"),
    ("heap-core/mspan.rs", "may_start_at", "compared"),
    ("heap-core/prefetch.rs", "prefetch", "a prefetch of any address has no effect on memory"),
    (
        "heap-core/prefetch.rs",
        "prefetch_later",
        "a prefetch of any address has no effect on memory",
    ),
    ("heap-core/size_class.rs", "object_offset", "computes with a number"),
    ("heap-core/page_alloc.rs", "try_add_arena", "bookkeeping: no address is followed"),
    ("heap-core/tracer.rs", "object", "told; what is deferred comes through `Tracer::defer`"),
    ("heap-core/tracer.rs", "trace", "told; what is deferred comes through `Tracer::defer`"),
    ("heap-core/tracer.rs", "wake", "kept, as what is woken"),
    ("heap-core/tracer.rs", "new", "kept, and used as `EdgeBuffer::spill_to` says"),
    ("heap-core/tracer.rs", "key", "told; what waits comes through `Tracer::ephemeron`"),
    ("heap-core/tracer.rs", "value", "told; what waits comes through `Tracer::ephemeron`"),
    ("heap-core/tracer.rs", "woken", "told; what is woken comes through `Tracer::edge`"),
    ("heap-core/weak_handles.rs", "new", "given back as it is"),
    ("heap-core/tracer.rs", "push", "kept, and used by `EdgeBuffer::trace`, which has a contract"),
    ("heap-gc/mutator.rs", "shadow_holds", "compared"),
    ("heap-gc/mutator/weak.rs", "find_weak", "the argument of a function of the caller's"),
];

/// Whether arguments have a pointer in them, or a function that follows one.
fn takes_pointer(arguments: &str) -> bool {
    ["NonNull<", "*const ", "*mut ", "BatchFn", "PieceFn", "DropFn"]
        .iter()
        .any(|kind| arguments.contains(kind))
}

/// Whether arguments or a field may be an address.
fn takes_address(arguments: &str) -> bool {
    takes_pointer(arguments)
        || ["address", "object", "base", "page", "granule", "cursor", "slot"]
            .iter()
            .any(|name| arguments.contains(&format!("{name}: usize")))
}

/// The public fields and safe public functions that take an address.
fn trusting(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    walk(code, |line, functions| {
        let text = line.trim();
        if begins_function(line) {
            let function = functions.last().expect("it was pushed");
            if function.is_public() && !function.is_unsafe() && takes_address(function.arguments())
            {
                found.push(function.name.clone());
            }
        } else if functions.is_empty()
            && let Some((name, kind)) = text.strip_prefix("pub ").and_then(|f| f.split_once(": "))
            && name.chars().all(|c| c.is_alphanumeric() || c == '_')
            && takes_address(kind)
        {
            found.push(name.to_owned());
        }
    });
    found
}

#[test]
fn no_safe_public_function_takes_an_address_on_trust() {
    compare(trusting, &CRATES[..3], &ANY_ADDRESS);
}

/// Asserts that `find` finds in the crates what is listed, no more and no less.
#[track_caller]
fn compare(find: fn(&str) -> Vec<String>, crates: &[&str], list: &[(&str, &str, &str)]) {
    let mut listed: Vec<_> = list.iter().map(|(file, name, _)| (*file, *name)).collect();
    let mut found = Vec::new();
    for name in crates {
        for (file, code) in sources(name) {
            let place = format!("{name}/{file}");
            for function in find(&code) {
                match listed.iter().position(|entry| *entry == (&*place, &*function)) {
                    Some(at) => _ = listed.remove(at),
                    None => found.push((place.clone(), function)),
                }
            }
        }
    }
    assert!(found.is_empty(), "these take an address, and are safe: {found:#?}");
    assert!(listed.is_empty(), "these do not: {listed:#?}");
}

// ---- OB3 ---------------------------------------------------------------------

/// Safe functions that take an address and have an `unsafe` block that is not about it.
const NOT_ABOUT_IT: [(&str, &str, &str); 20] = [
    ("heap-core/prefetch.rs", "prefetch", "a prefetch of any address has no effect on memory"),
    (
        "heap-core/prefetch.rs",
        "prefetch_later",
        "a prefetch of any address has no effect on memory",
    ),
    ("heap-core/asan.rs", "poison", "what the sanitizer is told has no effect on memory"),
    ("heap-core/asan.rs", "unpoison", "what the sanitizer is told has no effect on memory"),
    ("heap-core/asan.rs", "mapped", "what the sanitizer is told has no effect on memory"),
    ("heap-core/asan.rs", "unmapping", "what the sanitizer is told has no effect on memory"),
    ("heap-core/gcbits.rs", "add_chunk", "compared"),
    ("heap-core/mcentral/span_list.rs", "unchain", "the argument of a function that is given"),
    ("heap-core/span_set.rs", "try_push_many", "stored, and never followed"),
    ("heap-core/span_set.rs", "push_first", "stored, and never followed"),
    ("heap-core/span_set.rs", "push_in_new_block", "stored, and compared"),
    ("heap-core/span_set.rs", "pop_many", "the argument of a function that is given"),
    ("heap-gc/cycle.rs", "shadow_stacks", "the argument of a function that is given"),
    ("heap-gc/mutator.rs", "shadow_holds", "compared"),
    ("heap-gc/roots.rs", "add", "stored, and never followed"),
    ("heap-gc/roots.rs", "grow", "stored, and never followed"),
    ("heap-gc/roots.rs", "each", "the argument of a function that is given"),
    ("heap-gc/roots.rs", "visit_some", "the argument of a function that is given"),
    ("heap-gc/weak.rs", "each", "the argument of a function that is given"),
    ("heap-gc/mutator/weak.rs", "find_weak", "the argument of a function that is given"),
];

/// The safe functions that take an address and have an `unsafe` block.
fn following(code: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    walk(code, |line, functions| {
        let is_block = line.contains("unsafe {") && !line.trim_start().starts_with("//");
        if is_block
            && let Some(function) = functions.last()
            && !functions.iter().any(Function::is_unsafe)
            && takes_pointer(function.arguments())
            && found.last() != Some(&function.name)
        {
            found.push(function.name.clone());
        }
    });
    found
}

#[test]
fn no_safe_function_follows_an_address_that_it_was_given() {
    compare(following, &CRATES, &NOT_ABOUT_IT);
}

// ---- OB4 ---------------------------------------------------------------------

/// How an obligation sounds.
const OBLIGATIONS: [&str; 12] = [
    "the caller has ",
    "the caller holds ",
    "the caller is ",
    "the caller writes ",
    "the caller keeps ",
    "callers have ",
    "only with ",
    "only when ",
    "only before ",
    "only after ",
    "world is stopped",
    "with the world stopped",
];

/// The safe public functions whose documentation states an obligation.
fn obliging(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    walk(code, |line, functions| {
        let Some(function) = functions.last().filter(|_| begins_function(line)) else { return };
        let doc = function.doc.replace('\n', " ").to_lowercase();
        if function.is_public()
            && !function.is_unsafe()
            && let Some(phrase) = OBLIGATIONS.iter().find(|phrase| doc.contains(**phrase))
        {
            found.push(format!("{}: \"{phrase}\"", function.name));
        }
    });
    found
}

#[test]
fn no_safe_public_function_states_an_obligation() {
    let mut found = Vec::new();
    for name in CRATES {
        for (file, code) in sources(name) {
            found.extend(obliging(&code).into_iter().map(|at| format!("{name}/{file}: {at}")));
        }
    }
    assert!(found.is_empty(), "OB4: {found:#?}");
}

// ---- the reader ----------------------------------------------------------------

#[test]
fn the_reader_sees_what_it_is_for() {
    let code = r#"
/// Roots an object. The caller holds it alive.
pub fn root(&self, object: NonNull<u8>) -> Entry {
    // SAFETY: the caller
    // says so.
    unsafe { add(object) }
}

/// # Safety
///
/// The caller holds it alive.
pub unsafe fn push(
    &self,
    object: NonNull<u8>,
) {
    let add = || {
        // SAFETY: forwarded from the caller.
        unsafe { add(object) }
    };
}

impl Table {
    pub(crate) fn get(&self, page: usize) -> NonNull<u8> {
        // SAFETY: a page of the table.
        unsafe { self.at(page) }
    }
}

pub struct Piece {
    /// Starts here.
    pub object: NonNull<u8>,
    pub from: usize,
}

/// The object. Only with the world stopped.
pub const fn mark(page: usize) -> bool;
"#;
    assert_eq!(leaning(code), ["root: SAFETY: the caller says so."]);
    assert_eq!(trusting(code), ["root", "object", "mark"]);
    assert_eq!(following(code), ["root"]);
    assert_eq!(obliging(code), ["root: \"the caller holds \"", "mark: \"only with \""]);
}

#[test]
fn the_reader_reads_the_sources() {
    let counts = CRATES.map(|name| {
        let (mut all, mut public, mut with_contract) = (0, 0, 0);
        for code in sources(name).values() {
            walk(code, |line, functions| {
                if let Some(function) = functions.last().filter(|_| begins_function(line)) {
                    all += 1;
                    public += usize::from(function.is_public());
                    with_contract += usize::from(function.is_unsafe());
                }
            });
        }
        (all, public, with_contract)
    });
    let [sync, core, gc, api] = counts;
    assert!(sync.1 >= 10 && core.1 >= 150 && gc.1 >= 30 && api.1 >= 80, "{counts:?}");
    assert!(core.2 >= 40 && gc.2 >= 20 && api.2 >= 15, "{counts:?}");
}
