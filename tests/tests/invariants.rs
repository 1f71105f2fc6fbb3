//! Every invariant that a verifier checks has a definition, a row in the
//! documentation, and a test that breaks it: so that no check is vacuous and no id
//! leads nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn sources(dir: &Path, out: &mut String) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// Where checks return ids.
const CHECKS: [&str; 8] = [
    "crates/heap-core/src/verify.rs",
    "crates/heap-core/src/verify/slots.rs",
    "crates/heap-core/src/verify/counts.rs",
    "crates/heap-core/src/mheap/check.rs",
    "crates/heap-core/src/mheap/stacks.rs",
    "crates/heap-core/src/page_alloc/check.rs",
    "crates/heap-core/src/page_alloc/index.rs",
    "crates/heap-gc/src/verify.rs",
];

/// Where invariants are broken.
const BREAKERS: [&str; 4] = [
    "crates/heap-core/src/mheap/tests.rs",
    "crates/heap-core/src/mheap/stacks/tests.rs",
    "crates/heap-core/src/page_alloc/tests.rs",
    "crates/heap-gc/src/verify/tests.rs",
];

/// The ids that string literals begin with: capital letters, then a digit.
fn ids(source: &str) -> BTreeSet<String> {
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split('"').skip(1).step_by(2))
        .filter_map(|literal| {
            let letters = literal.chars().take_while(char::is_ascii_uppercase).count();
            let digits = literal[letters..].chars().take_while(char::is_ascii_digit).count();
            let rest = &literal[letters + digits..];
            let is_id = (1..=2).contains(&letters)
                && digits == 1
                && (rest.is_empty() || rest.starts_with(": "));
            is_id.then(|| literal[..letters + digits].to_owned())
        })
        .collect()
}

fn checked() -> BTreeSet<String> {
    CHECKS.iter().flat_map(|path| ids(&read(path))).collect()
}

#[test]
fn the_reader_finds_ids() {
    let source = r#"ensure(x, "S1", || "no"); Err("P4: the tree") // "T9" "#;
    assert_eq!(Vec::from_iter(ids(source)), ["P4", "S1", "T9"]);
    assert!(ids("/// \"Q7\"\nlet a = \"UTF8 \"; \"S1x\"").is_empty());
    assert!(checked().len() > 25, "{:?}", checked());
}

#[test]
fn every_id_is_defined_in_a_header() {
    let mut all = String::new();
    sources(&root().join("crates"), &mut all);
    for id in checked() {
        let defined = all.lines().any(|line| defined_in(line).is_some_and(|found| found == id));
        assert!(defined, "{id} is defined nowhere");
    }
}

/// The id that a line of a header defines.
fn defined_in(line: &str) -> Option<&str> {
    let (id, _) = line.strip_prefix("//! * ")?.split_once(": ")?;
    let digits = id.trim_start_matches(|c: char| c.is_ascii_uppercase());
    let is_id = digits != id && digits.len() == 1 && digits.chars().all(|c| c.is_ascii_digit());
    is_id.then_some(id)
}

/// Whether the text names the id, as a word of its own.
fn cites(text: &str, id: &str) -> bool {
    text.match_indices(id).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + id.len()..].chars().next();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
            && !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

/// The files with code, of all crates.
fn code() -> Vec<(PathBuf, String)> {
    fn collect(dir: &Path, out: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != "target") {
                    collect(&path, out);
                }
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                out.push((path, text));
            }
        }
    }
    let mut out = Vec::new();
    for dir in ["crates", "examples", "tests"] {
        collect(&root().join(dir), &mut out);
    }
    out
}

/// An id leads to one place, and other places lead there.
#[test]
fn every_id_is_defined_once_and_cited() {
    let code = code();
    let mut places: BTreeMap<&str, Vec<&Path>> = BTreeMap::new();
    for (path, text) in &code {
        for id in text.lines().filter_map(defined_in) {
            places.entry(id).or_default().push(path);
        }
    }
    assert!(places.len() > 100, "{places:?}");
    let twice: Vec<_> = places.iter().filter(|(_, paths)| paths.len() > 1).collect();
    assert!(twice.is_empty(), "defined more than once: {twice:#?}");
    let mut documents = String::new();
    for entry in fs::read_dir(root().join("docs/design")).unwrap() {
        documents.push_str(&fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    documents.push_str(&read("docs/verification.md"));
    let is_cited = |id: &str, home: &Path| {
        cites(&documents, id)
            || code.iter().any(|(path, text)| {
                // The header that defines it does not count.
                let lines = text.lines().filter(|line| path != home || !line.starts_with("//!"));
                lines.into_iter().any(|line| cites(line, id))
            })
    };
    let uncited: Vec<_> = places.iter().filter(|(id, paths)| !is_cited(id, paths[0])).collect();
    assert!(uncited.is_empty(), "cited nowhere: {uncited:#?}");
}

#[test]
fn the_reader_finds_definitions_and_citations() {
    assert_eq!(defined_in("//! * GA3: what a mutator wrote"), Some("GA3"));
    assert_eq!(defined_in("//! * GA: no number"), None);
    assert_eq!(defined_in("//! * loop: no id"), None);
    assert!(cites("see (GA3), and", "GA3") && !cites("GA34 or XGA3", "GA3"));
}

#[test]
fn every_check_has_been_seen_to_fail() {
    let broken: BTreeSet<String> = BREAKERS.iter().flat_map(|path| ids(&read(path))).collect();
    let missing: Vec<_> = checked().difference(&broken).cloned().collect();
    assert!(missing.is_empty(), "no test breaks {missing:?}");
}

/// The rows of the two tables: ids and names of tests.
fn rows() -> Vec<(Vec<String>, Vec<String>)> {
    let text = read("docs/verification.md");
    let section = text.split("## Invariants").nth(1).unwrap().split("\n## ").next().unwrap();
    section
        .lines()
        .filter_map(|line| {
            let cells: Vec<_> = line.strip_prefix('|')?.split('|').collect();
            let ids: Vec<_> = cells[1].split(',').map(|id| id.trim().to_owned()).collect();
            let tests = cells[3].split('`').skip(1).step_by(2).map(str::to_owned).collect();
            (!["id", "---"].contains(&ids[0].as_str())).then_some((ids, tests))
        })
        .collect()
}

#[test]
fn the_tables_are_complete_and_name_tests_that_exist() {
    let rows = rows();
    let listed: BTreeSet<&String> = rows.iter().flat_map(|(ids, _)| ids).collect();
    for id in checked() {
        assert!(listed.contains(&id), "{id} is in no table of docs/verification.md");
    }
    let mut all = String::new();
    sources(&root().join("crates"), &mut all);
    for (ids, tests) in rows {
        assert!(!tests.is_empty(), "{ids:?} is shown by nothing");
        for test in tests {
            let exists =
                all.contains(&format!("fn {test}(")) || all.contains(&format!("mod {test};"));
            assert!(exists, "{ids:?}: there is no test {test}");
        }
    }
}
