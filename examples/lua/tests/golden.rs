//! Every golden script prints the bytes of real Lua 5.4: plainly, with a
//! collection at every safepoint, with helper threads, with a background sweeper
//! and with a heap limit just above what it needs.
//!
//! Debug builds run the small sizes, and the normal ones once; release builds run
//! everything at both.

mod support;

use support::{assert_prints, collections_of_stress, lua, package};

struct Case {
    script: String,
    size: String,
    golden: Vec<u8>,
    limit_kib: String,
}

/// The cases of the manifest: the small ones, then the normal ones.
fn cases() -> (Vec<Case>, Vec<Case>) {
    let manifest = std::fs::read_to_string(package().join("golden/manifest.txt")).unwrap();
    let (mut small, mut normal) = (Vec::<Case>::new(), Vec::new());
    for line in manifest.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [script, size, golden, limit_kib] = columns[..] else { panic!("bad line: {line}") };
        let case = Case {
            script: format!("{script}.lua"),
            size: size.to_owned(),
            golden: std::fs::read(package().join("golden").join(golden)).unwrap(),
            limit_kib: limit_kib.to_owned(),
        };
        if small.iter().any(|c| c.script == case.script) {
            normal.push(case);
        } else {
            small.push(case);
        }
    }
    assert!(small.len() >= 12 && normal.len() == small.len());
    (small, normal)
}

/// The cases for a mode that would be slow in debug builds at the normal size.
fn cases_for_build() -> Vec<Case> {
    let (mut small, normal) = cases();
    if !cfg!(debug_assertions) {
        small.extend(normal);
    }
    small
}

fn run(case: &Case, options: &[&str]) {
    let mut arguments = options.to_vec();
    arguments.extend([case.script.as_str(), case.size.as_str()]);
    let output = lua("scripts", &arguments);
    assert_prints(&format!("{arguments:?}"), &output, &case.golden);
}

#[test]
fn scripts_print_what_real_lua_prints() {
    let (small, normal) = cases();
    small.iter().chain(&normal).for_each(|case| run(case, &["--verify-heap"]));
}

#[test]
fn with_a_collection_at_every_safepoint() {
    for case in cases().0 {
        let arguments = ["--gc-stress", "--verify-heap", &case.script, &case.size];
        let output = lua("scripts", &arguments);
        assert_prints(&format!("{arguments:?}"), &output, &case.golden);
        let collections = collections_of_stress(&output);
        assert!(collections > 100, "{}: stress mode idled: {collections}", case.script);
    }
}

/// Marking in many slices: one at every safepoint, and as they fall due.
#[test]
fn with_marking_in_slices() {
    for case in cases().0 {
        run(&case, &["--gc-stress", "--gc-slice", "0", "--verify-heap"]);
    }
    for case in cases_for_build() {
        run(&case, &["--gc-slice", "0", "--verify-heap"]);
        run(&case, &["--gc-slice", "50", "--mark-threads", "1", "--verify-heap"]);
    }
}

#[test]
fn with_helper_threads_for_marking() {
    for case in cases_for_build() {
        for mark_threads in ["1", "2"] {
            run(&case, &["--mark-threads", mark_threads, "--verify-heap"]);
        }
    }
}

#[test]
fn with_a_background_sweeper() {
    for case in cases_for_build() {
        run(&case, &["--background-sweep", "--mark-threads", "1", "--verify-heap"]);
    }
}

#[test]
fn with_a_heap_limit_just_above_the_need() {
    for case in cases_for_build() {
        assert_ne!(case.limit_kib, "0", "{}: no limit in the manifest", case.script);
        run(&case, &["--max-heap", &format!("{}K", case.limit_kib), "--verify-heap"]);
    }
}
