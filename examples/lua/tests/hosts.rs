//! What hosts do with scripts that are not trusted: libraries, limits, functions and types of their own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lua::host::{HostType, Methods};
use lua::{Access, Config, Data, Interpreter, Libraries, Library, Limit, OnLimit, ScriptError};

fn safe() -> Config {
    Config::new().libraries(Libraries::safe()).output(Box::new(std::io::sink()))
}

fn run(config: Config, source: &str) -> (Interpreter, Result<(), ScriptError>) {
    let mut lua = Interpreter::new(config).unwrap();
    let result = lua.run_source(source, "=script", &[]);
    (lua, result)
}

/// The limit that has stopped a script.
#[track_caller]
fn stopped(result: Result<(), ScriptError>) -> Limit {
    match result {
        Err(ScriptError::Stopped { limit, .. }) => limit,
        other => panic!("not stopped: {other:?}"),
    }
}

// ---- libraries ----

#[test]
fn the_safe_libraries_reach_nothing_outside() {
    let source = r#"
        local names = {}
        for name, value in pairs(_G) do
          if type(value) == "table" and value ~= _G then
            for field in pairs(value) do names[#names + 1] = name .. "." .. field end
          else
            names[#names + 1] = name
          end
        end
        table.sort(names)
        return table.concat(names, " ")
    "#;
    let mut lua = Interpreter::new(safe()).unwrap();
    let names = lua.eval(source, "=names").unwrap();
    let [Data::Text(names)] = names.as_slice() else { panic!("{names:?}") };
    let names = String::from_utf8(names.clone()).unwrap();
    let names: Vec<&str> = names.split(' ').collect();
    for absent in [
        "dofile",
        "loadfile",
        "require",
        "string.dump",
        "os.execute",
        "os.exit",
        "os.getenv",
        "os.remove",
        "os.rename",
        "os.tmpname",
        "os.setlocale",
    ] {
        assert!(!names.contains(&absent), "{absent}");
    }
    assert!(!names.iter().any(|name| name.starts_with("io.") || name.starts_with("package.")));
    let of = |library: &str| names.iter().filter(|name| name.starts_with(library)).count();
    assert_eq!((of("os."), of("debug.")), (4, 1));
    for present in
        ["load", "pcall", "os.time", "string.rep", "coroutine.wrap", "utf8.char", "print"]
    {
        assert!(names.contains(&present), "{present}");
    }
}

#[test]
fn what_is_taken_away_is_not_left_elsewhere() {
    let source = r#"
        local loaded, message = load("\27Lua", "x", "b")
        assert(not loaded and message:find("binary chunk"))
        assert(("").dump == nil)
        assert(getmetatable("").__index == string)
        -- Nothing leads to the registry, to other threads' stacks or to other functions' variables.
        assert(debug.getregistry == nil and debug.getupvalue == nil and debug.sethook == nil)
        assert(collectgarbage("count") > 0)
    "#;
    run(safe(), source).1.unwrap();
    let (mut lua, _) = run(Config::new().libraries(Libraries::none()), "");
    assert_eq!(lua.eval("return _G, print, string", "=none").unwrap(), vec![Data::Nil; 3]);
    let error = lua.eval("return ('x').rep", "=none").unwrap_err();
    assert!(error.to_string().starts_with("none:1: attempt to index a string value"), "{error}");
    let libraries =
        Libraries::none().with(Library::Base, Access::Safe).with(Library::Math, Access::Full);
    run(Config::new().libraries(libraries), "assert(math.pi > 3 and not table and not loadfile)")
        .1
        .unwrap();
}

// ---- memory ----

const HOARDERS: [&str; 6] = [
    "local t = {} while true do t[#t + 1] = {} end",
    "local s = 'x' while true do s = s .. s end",
    "local t = {} for i = 1, math.huge do t[i] = ('x'):rep(i) end",
    "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
    "local s = ('x'):rep(1 << 30)",
    "local t = {} for i = 1, math.huge do t[i] = function() return i, t end end",
];

#[test]
fn a_script_that_hoards_can_catch_the_error_or_cannot() {
    for hoarder in HOARDERS {
        let caught = format!(
            "local ok, message = pcall(function() {hoarder} end) assert(not ok) caught = true"
        );
        let (mut lua, result) = run(safe().max_heap_bytes(8 << 20), &caught);
        result.unwrap_or_else(|error| panic!("{hoarder}: {error}"));
        assert_eq!(lua.global("caught").unwrap(), Data::Bool(true));
        lua.heap().verify().unwrap();

        let stubborn = format!(
            "while true do
               pcall(function() {hoarder} end)
               xpcall(function() {hoarder} end, function(m) tries = (tries or 0) + 1 return m end)
               coroutine.wrap(function() pcall(function() {hoarder} end) end)()
             end"
        );
        let config = safe()
            .max_heap_bytes(8 << 20)
            .time_limit(Duration::from_secs(60))
            .on_limit(Limit::Memory, OnLimit::Uncatchable)
            .on_limit(Limit::Time, OnLimit::Uncatchable);
        let (mut lua, result) = run(config, &stubborn);
        assert_eq!(stopped(result), Limit::Memory, "{hoarder}");
        assert_eq!(lua.global("tries").unwrap(), Data::Nil, "{hoarder}");
        lua.heap().verify().unwrap();
        assert_eq!(lua.eval("return 1", "=after").unwrap(), [Data::Int(1)]);
    }
}

// ---- instructions and time ----

const ENDLESS: [&str; 8] = [
    "while true do end",
    "local function f() return f() end f()",
    "while true do pcall(function() while true do end end) end",
    "for i = 1, math.huge do local ok = pcall(error, 'x') end",
    "while true do coroutine.wrap(function() while true do end end)() end",
    "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) while true do pcall(function() return t[1] end) end",
    "local t = setmetatable({}, {__close = function() while true do end end}) while true do pcall(function() local x <close> = t error('x') end) end",
    "while true do setmetatable({}, {__gc = function() while true do end end}) collectgarbage() end",
];

#[test]
fn an_endless_script_ends_with_its_instructions() {
    for endless in ENDLESS {
        let config =
            safe().instruction_limit(200_000).on_limit(Limit::Instructions, OnLimit::Uncatchable);
        let (mut lua, result) = run(config, endless);
        assert_eq!(stopped(result), Limit::Instructions, "{endless}");
        assert_eq!(lua.eval("return 1", "=after").unwrap(), [Data::Int(1)]);
        lua.heap().verify().unwrap();
    }
}

#[test]
fn an_endless_script_ends_with_its_time() {
    for endless in ENDLESS {
        let config = safe()
            .time_limit(Duration::from_millis(50))
            .on_limit(Limit::Time, OnLimit::Uncatchable);
        let begin = Instant::now();
        let (mut lua, result) = run(config, endless);
        assert_eq!(stopped(result), Limit::Time, "{endless}");
        assert!(begin.elapsed() < Duration::from_secs(20), "{endless}");
        assert_eq!(lua.eval("return 1", "=after").unwrap(), [Data::Int(1)]);
    }
}

#[test]
fn a_limit_that_can_be_caught_lets_the_script_get_no_further() {
    let source = "local ok, message = pcall(function() while true do end end)
                  after = message
                  while true do end";
    let (mut lua, result) = run(safe().instruction_limit(10_000), source);
    assert!(matches!(result, Err(ScriptError::Runtime { .. })), "{result:?}");
    assert_eq!(lua.global("after").unwrap(), Data::Nil);
    // The limit is for each call.
    lua.set_instruction_limit(Some(100));
    lua.run_source("for i = 1, 20 do end", "=short", &[]).unwrap();
    lua.run_source("for i = 1, 200 do end", "=long", &[]).unwrap_err();
    lua.set_instruction_limit(None);
    lua.run_source("for i = 1, 20000 do end", "=long", &[]).unwrap();
}

#[test]
fn a_script_in_time_does_not_notice() {
    let (mut lua, result) = run(safe().time_limit(Duration::from_secs(3600)), "x = 1");
    result.unwrap();
    lua.set_time_limit(Some(Duration::ZERO));
    let error = lua.run_source("while true do end", "=late", &[]).unwrap_err();
    assert!(error.to_string().contains("out of time"), "{error}");
    lua.set_time_limit(None);
    lua.run_source("for i = 1, 1e6 do end", "=in time", &[]).unwrap();
}

#[test]
fn variables_are_closed_on_the_way_of_an_error_that_cannot_be_caught() {
    let source = r#"
        log = {}
        local function closing(name)
          return setmetatable({}, {__close = function(_, e)
            -- An error of its own can be caught, and its own failure changes nothing.
            local ok, message = pcall(error, "inner")
            log[#log + 1] = name .. ":" .. tostring(ok) .. ":" .. tostring(message)
            if name == "b" then error("outer") end
          end})
        end
        local a <close> = closing("a")
        pcall(function()
          local b <close> = closing("b")
          coroutine.wrap(function()
            local c <close> = closing("c")
            pcall(function() stop() end)
            log[#log + 1] = "not reached"
          end)()
        end)
        log[#log + 1] = "not reached"
    "#;
    let config =
        Config::new().max_heap_bytes(16 << 20).on_limit(Limit::Memory, OnLimit::Uncatchable);
    let mut lua = Interpreter::new(config).unwrap();
    lua.register("stop", |_| Err(Box::new(lua::error::Fail::MemoryFinal))).unwrap();
    assert_eq!(stopped(lua.run_source(source, "=script", &[])), Limit::Memory);
    let log = lua.eval("return table.concat(log, ' ')", "=log").unwrap();
    assert_eq!(log, ["c:false:inner b:false:inner a:false:inner".into()]);
    // As for the end that a script makes itself.
    lua.run_source("function stop() os.exit(7, true) end", "=exit", &[]).unwrap();
    assert_eq!(lua.run_source(source, "=script", &[]), Err(ScriptError::Exit(7)));
    let log = lua.eval("return table.concat(log, ' ')", "=log").unwrap();
    assert_eq!(log, ["c:false:inner b:false:inner a:false:inner".into()]);
}

// ---- functions and types ----

static DROPPED: AtomicUsize = AtomicUsize::new(0);

struct Counter(i64);

impl Drop for Counter {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

impl HostType for Counter {
    const NAME: &'static str = "Counter";

    fn methods(methods: &mut Methods<Counter>) {
        methods.add("add", |counter, call| {
            counter.0 += call.int(1)?;
            call.ret(counter.0)
        });
        methods.add("take", |counter, call| {
            let other = call.userdata::<Counter>(1)?;
            counter.0 += other.0;
            call.ret(counter.0)
        });
        methods.add("__len", |counter, call| call.ret(counter.0));
    }
}

#[test]
fn scripts_hold_objects_of_the_host() {
    let mut lua = Interpreter::new(Config::new()).unwrap();
    lua.register("counter", |call| call.ret(call.new_userdata(Counter(call.opt_int(0, 0)?))?))
        .unwrap();
    let error = lua.eval("counter()", "=early").unwrap_err();
    assert!(error.to_string().contains("the type Counter is not registered"), "{error}");
    lua.register_type::<Counter>().unwrap();
    let dropped = DROPPED.load(Ordering::Relaxed);
    let source = r#"
        local c, d = counter(3), counter(4)
        assert(c:add(2) == 5 and c:take(d) == 9 and #c == 9)
        assert(tostring(c):find("^Counter: ") and type(c) == "userdata")
        local function fails(message, f, ...)
          local ok, m = pcall(f, ...)
          assert(not ok and m:find(message, 1, true), m)
        end
        fails("this Counter is in use", c.take, c, c)
        fails("Counter expected, got FILE*", c.add, io.stdout, 1)
        fails("FILE* expected, got Counter", io.type and io.stdout.write, c)
        fails("number expected, got no value", c.add, c)
        fails("Counter expected, got nil", c.take, c, nil)
        assert(getmetatable(c) == false and io.type(c) == nil)
        c.add(c, 1)
        assert(#c == 10)
        for i = 1, 1000 do counter(i) end
    "#;
    lua.run_source(source, "=script", &[]).unwrap();
    lua.heap().enter().collect();
    lua.heap().enter().collect();
    drop(lua);
    assert_eq!(DROPPED.load(Ordering::Relaxed) - dropped, 1002);
}

#[test]
fn values_go_in_and_come_out() {
    let mut lua = Interpreter::new(Config::new()).unwrap();
    let values = [
        Data::Nil,
        true.into(),
        Data::Int(i64::MIN),
        1.5.into(),
        Data::Text(vec![0, 255]),
        "text".into(),
    ];
    lua.run_source("function same(...) return ... end", "=script", &[]).unwrap();
    assert_eq!(lua.call("same", &values).unwrap(), values);
    lua.set_global("x", &values[4]).unwrap();
    assert_eq!(lua.global("x").unwrap(), values[4]);
    assert_eq!(lua.eval("return {}, print", "=script").unwrap().len(), 2);
    assert_eq!(lua.global("math.huge").unwrap(), f64::INFINITY.into());
    for (path, message) in [
        ("none", "attempt to call a nil value"),
        ("a.b", "no field 'b' (in 'a.b')"),
        ("error", "nil"),
    ] {
        assert!(lua.call(path, &[]).unwrap_err().to_string().contains(message), "{path}");
    }
    assert!(lua.eval("return (", "=script").is_err());
    // Many arguments and results.
    let many: Vec<Data> = (0..100_000).map(Data::Int).collect();
    assert_eq!(lua.call("same", &many).unwrap(), many);
}

// ---- the language, where real Lua 5.4.4 is no reference ----

#[test]
fn a_comparison_can_be_the_index_of_an_upvalue() {
    // A fault of PUC-Rio Lua up to 5.4.7: its code for the table came between branch and value.
    let mut lua = Interpreter::new(Config::new()).unwrap();
    let source = "_ENV[true] = 'yes'; _ENV[false] = 'no'
                  local a, t = 1, {[true] = 'yes', [false] = 'no'}
                  local function f(x) return _ENV[x < 2], _ENV[x > 2], t[not (x == a)], t[x < 2 or x] end
                  return f(1)";
    let yes_no = |yes: bool| Data::from(if yes { "yes" } else { "no" });
    assert_eq!(lua.eval(source, "=script").unwrap(), [true, false, false, true].map(yes_no));
}
