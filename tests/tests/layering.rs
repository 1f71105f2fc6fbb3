//! Dependencies point down, between crates and inside them.
//!
//! Each `lib.rs` (or `main.rs`) lists its modules bottom-up in lines that begin with
//! `//! layers:`; parentheses enclose modules that know each other. This test
//! reads every `crate::module` in the sources and compares.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

fn crates_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates")
}

/// Module name to layer number.
fn layers(crate_name: &str) -> HashMap<String, usize> {
    let src = crates_dir().join(crate_name).join("src");
    let lib = fs::read_to_string(src.join("lib.rs"));
    let lib = lib.or_else(|_| fs::read_to_string(src.join("main.rs"))).unwrap();
    let list: String = lib.lines().filter_map(|line| line.strip_prefix("//! layers:")).collect();
    let (mut layer, mut in_knot) = (0, false);
    let mut layers = HashMap::new();
    for word in list.split_whitespace() {
        in_knot |= word.starts_with('(');
        let name = word.trim_matches(['(', ')']);
        assert!(layers.insert(name.to_owned(), layer).is_none(), "{name} is listed twice");
        in_knot &= !word.ends_with(')');
        layer += usize::from(!in_knot);
    }
    assert!(!layers.is_empty(), "{crate_name} lists no layers");
    layers
}

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().unwrap() != "tests" {
                sources(&path, out);
            }
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
            out.push(path);
        }
    }
}

/// The modules named after `crate::` in the code of a file, tests left out.
fn uses(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]").next().unwrap();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
        .collect()
}

fn check(crate_name: &str) {
    let layers = layers(crate_name);
    let src = crates_dir().join(crate_name).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut upward = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&src).unwrap();
        let first = relative.components().next().unwrap();
        let module = Path::new(&first).file_stem().unwrap().to_str().unwrap().to_owned();
        if ["lib", "main", "bin", "tests"].contains(&&*module) {
            continue;
        }
        let own = *layers
            .get(&module)
            .unwrap_or_else(|| panic!("{crate_name}: module {module} is in no layer"));
        for used in uses(&fs::read_to_string(&file).unwrap()) {
            if let Some(layer) = layers.get(&used)
                && *layer > own
            {
                upward.push(format!("{crate_name}: {module} uses {used}, which is above it"));
            }
        }
    }
    assert!(upward.is_empty(), "{upward:#?}");
}

#[test]
fn modules_of_heap_core_use_only_what_is_below_them() {
    check("heap-core");
}

#[test]
fn modules_of_heap_gc_use_only_what_is_below_them() {
    check("heap-gc");
}

#[test]
fn modules_of_heap_api_use_only_what_is_below_them() {
    check("heap-api");
}

#[test]
fn modules_of_heap_observe_use_only_what_is_below_them() {
    check("heap-observe");
}

#[test]
fn modules_of_heap_sync_use_only_what_is_below_them() {
    check("heap-sync");
}

#[test]
fn modules_of_heap_bench_use_only_what_is_below_them() {
    check("heap-bench");
}

#[test]
fn modules_of_the_interpreter_use_only_what_is_below_them() {
    check("../examples/lua");
}

/// `heap-derive` is one file; a second one wants layers, too.
#[test]
fn heap_derive_is_one_file() {
    let mut files = Vec::new();
    sources(&crates_dir().join("heap-derive/src"), &mut files);
    assert_eq!(files.len(), 1, "{files:?}");
}

#[test]
fn crates_depend_only_on_crates_below_them() {
    let order = ["heap-sync", "heap-core", "heap-gc", "heap-derive", "heap-observe", "heap-api"];
    for (layer, name) in order.iter().enumerate() {
        let manifest = fs::read_to_string(crates_dir().join(name).join("Cargo.toml")).unwrap();
        for above in &order[layer..] {
            assert!(
                !manifest.lines().any(|line| line.starts_with(&format!("{above}."))),
                "{name} depends on {above}"
            );
        }
    }
}

#[test]
fn the_check_sees_upward_edges() {
    assert_eq!(uses("use crate::alpha::A;\nlet x = crate::beta::f();"), ["alpha", "beta"]);
    assert!(uses("// crate::gamma is fine in a comment\n").is_empty());
}
