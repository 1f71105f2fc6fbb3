//! The documents name what exists: files, types, functions, tests.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All files below `dir` that are part of the project.
fn collect(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                collect(&path, out);
            }
        } else {
            out.push(path);
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// What stands between backticks, code blocks left out.
fn quoted(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose
        .flat_map(|part| part.lines().flat_map(|line| line.split('`').skip(1).step_by(2)))
        .collect()
}

fn is_path(text: &str) -> bool {
    [".rs", ".md", ".sh", ".lua"].iter().any(|end| text.ends_with(end))
        && text.chars().all(|c| c.is_alphanumeric() || "_-./".contains(c))
}

/// `name`, `Type::function`, `module::Type::CONSTANT`.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic())
        && text.chars().all(|c| c.is_alphanumeric() || "_:".contains(c))
}

#[test]
fn documents_name_what_exists() {
    let mut files = Vec::new();
    collect(&root(), &mut files);
    let names: HashSet<&str> =
        files.iter().map(|f| f.file_name().unwrap().to_str().unwrap()).collect();
    let mut known: HashSet<String> = HashSet::new();
    for file in &files {
        known.insert(file.file_stem().unwrap().to_str().unwrap().to_owned());
        const CODE: [&str; 7] = ["rs", "toml", "sh", "lua", "c", "go", "java"];
        if file.extension().is_some_and(|e| CODE.iter().any(|x| e == *x)) {
            let text = fs::read_to_string(file).unwrap_or_default();
            known.extend(words(&text).map(str::to_owned));
        }
    }
    let documents = files.iter().filter(|file| {
        let path = file.strip_prefix(root()).unwrap();
        // What was measured, decided or changed once may name what is no more.
        path.extension().is_some_and(|e| e == "md")
            && !path.ends_with("CHANGELOG.md")
            && !path.ends_with("docs/performance-log.md")
            && !path.starts_with("docs/decisions")
    });
    let mut missing = Vec::new();
    for document in documents {
        let text = fs::read_to_string(document).unwrap();
        for quote in quoted(&text) {
            let exists = if is_path(quote) {
                names.contains(Path::new(quote).file_name().unwrap().to_str().unwrap())
            } else {
                !is_name(quote) || words(quote).all(|word| known.contains(word))
            };
            if !exists {
                missing.push(format!("{}: `{quote}`", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_reader_finds_names() {
    assert_eq!(quoted("a `b` c `d_e`\n```\n`f`\n```\n`g`"), ["b", "d_e", "g"]);
    assert!(is_path("src/tests/x.rs") && !is_path("a b.rs") && !is_path("src"));
    assert!(is_name("Cx::alloc") && !is_name("cargo test") && !is_name("=> x"));
}
