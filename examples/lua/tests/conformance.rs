//! The conformance programs print what real Lua 5.4 prints, and programs that end
//! in an error end in the same error.

mod support;

use support::{assert_prints, errors, files, lua};

/// Programs that build so much that a collection at every safepoint would take
/// minutes.
const TOO_BIG_FOR_STRESS: [&str; 5] = [
    "coroutine_depth.lua",
    "collectgarbage_api.lua",
    "message_handlers.lua",
    "nesting_limits.lua",
    "stack_overflow.lua",
];

#[test]
fn programs_print_what_real_lua_prints() {
    let programs = files("conformance", "lua");
    assert!(programs.len() >= 25);
    for path in programs {
        let name = path.file_name().unwrap().to_str().unwrap();
        let golden = std::fs::read(path.with_extension("out")).unwrap();
        assert_prints(name, &lua("conformance", &["--verify-heap", name]), &golden);
    }
}

#[test]
fn programs_survive_a_collection_at_every_safepoint() {
    if cfg!(debug_assertions) {
        // Minutes in a debug build; CI runs this in release.
        return;
    }
    for path in files("conformance", "lua") {
        let name = path.file_name().unwrap().to_str().unwrap();
        if TOO_BIG_FOR_STRESS.contains(&name) {
            continue;
        }
        let golden = std::fs::read(path.with_extension("out")).unwrap();
        assert_prints(name, &lua("conformance", &["--gc-stress", name]), &golden);
    }
}

#[test]
fn errors_are_reported_like_real_lua_does_and_end_with_status_1() {
    let programs = files("conformance/errors", "lua");
    assert!(programs.len() >= 25);
    for path in programs {
        let name = path.file_name().unwrap().to_str().unwrap();
        let golden = std::fs::read_to_string(path.with_extension("err")).unwrap();
        let output = lua("conformance/errors", &["--verify-heap", name]);
        let ours = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{name}: {ours}");
        assert_eq!(ours.lines().next(), golden.lines().next(), "{name}: {ours}");
        assert!(!ours.contains("panicked"), "{name}: {ours}");
    }
}
