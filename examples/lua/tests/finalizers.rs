//! Finalizers at the end of a program, their errors, and weak tables, finalizers and coroutines under a
//! heap limit: what a script lets go of it gets back.

mod support;

use support::{assert_prints, errors, lua};

/// Makes garbage with finalizers, weak keys and weak values, in coroutines, as often as it is told.
const SCRIPT: &str = r"
local finalized, made = 0, 0
local by_key, cache = setmetatable({}, {__mode = 'k'}), setmetatable({}, {__mode = 'v'})
local mt = {__gc = function(o) finalized = finalized + 1; by_key[o] = nil end}
for turn = 1, tonumber(arg[1]) do
  for i = 1, 100 do
    local o = setmetatable({i}, mt)
    made = made + 1
    by_key[o] = {o, i}
    cache[i], cache['s' .. turn * 100 + i] = o, {o}
    coroutine.wrap(function(x) local y = {x} coroutine.yield(y) end)(o)
  end
end
collectgarbage() collectgarbage()
print(finalized == made, next(by_key), next(cache))
";

#[test]
fn what_weak_tables_and_finalizers_let_go_of_comes_back() {
    let turns = if cfg!(debug_assertions) { "300" } else { "5000" };
    let script = std::env::temp_dir().join(format!("lua_closed_loop_{}.lua", std::process::id()));
    std::fs::write(&script, SCRIPT).unwrap();
    for options in [&[][..], &["--mark-threads", "1"], &["--gc-slice", "50"]] {
        let limits = ["--max-heap", "64M", "--verify-heap"];
        let arguments = [&limits[..], options, &[script.to_str().unwrap(), turns]].concat();
        assert_prints(&format!("{options:?}"), &lua("scripts", &arguments), b"true\tnil\tnil\n");
    }
    std::fs::remove_file(&script).unwrap();
}

#[test]
fn errors_in_finalizers_are_warnings_in_the_order_of_calls() {
    let chunk = "u1 = setmetatable({}, {__gc = function() error('XYZ') end}) \
                 u2 = setmetatable({}, {__gc = function() error({}) end}) \
                 print(pcall(error))";
    let output = lua("scripts", &["-W", "-e", chunk]);
    assert_prints("errors at the end", &output, b"false\tnil\n");
    let expected = "Lua warning: error in __gc (error object is not a string)\n\
                    Lua warning: error in __gc ((command line):1: XYZ)\n";
    assert_eq!(errors(&output), expected);
    assert_eq!(errors(&lua("scripts", &["-e", chunk])), "", "warnings are off by default");
}

#[test]
fn a_closed_state_runs_each_finalizer_once_and_registers_none() {
    let chunk = "setmetatable({}, {__gc = function() print(1) end}) \
                 setmetatable({}, {__gc = function() \
                   print(2) \
                   setmetatable({}, {__gc = function() print(3) end}) \
                   print(collectgarbage()) \
                   os.exit(0, true) \
                 end})";
    for ending in ["", " os.exit(true, true)", " coroutine.wrap(function() os.exit(0, true) end)()"]
    {
        let output = lua("scripts", &["-e", &format!("{chunk}{ending}")]);
        assert_prints(ending, &output, b"2\nnil\n1\n");
    }
    let unclosed = lua("scripts", &["-e", &format!("{chunk} os.exit(0)")]);
    assert_prints("os.exit(0)", &unclosed, b"");
}

#[test]
fn a_script_that_fails_is_finalized_after_its_error_is_told() {
    let chunk =
        "setmetatable({}, {__gc = function() io.stderr:write('finalized\\n') end}) error('E', 0)";
    let output = lua("scripts", &["-e", chunk]);
    assert_eq!(output.status.code(), Some(1));
    let text = errors(&output);
    assert!(text.starts_with("lua: E\n") && text.ends_with("\nfinalized\n"), "{text}");
}
