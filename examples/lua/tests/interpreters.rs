//! Several independent interpreters in one process, each on its own heap, in
//! several threads.

use std::io::Write;
use std::sync::{Arc, Mutex};

use lua::{Config, Interpreter};

/// Output that the test can read afterwards.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

const SCRIPT: &str = r"
    shared = (shared or 0) + 1          -- a global: other interpreters have their own
    local list, sum = nil, 0
    for i = 1, 200000 do
      list = { value = i * seed, next = i % 1000 ~= 0 and list or nil }
      sum = sum + list.value
    end
    print(seed, shared, sum)
";

#[test]
fn four_interpreters_in_four_threads_do_not_know_each_other() {
    let threads: Vec<_> = (1..=4_i64)
        .map(|seed| {
            std::thread::spawn(move || {
                let output = Captured::default();
                let config = Config::new()
                    .mark_threads(usize::from(seed % 2 == 0))
                    .output(Box::new(output.clone()));
                let mut interpreter = Interpreter::new(config).unwrap();
                for _ in 0..3 {
                    let source = format!("seed = {seed}\n{SCRIPT}");
                    interpreter.run_source(&source, "=script", &[]).unwrap();
                }
                let stats = interpreter.heap().stats();
                drop(interpreter);
                let printed = output.0.lock().unwrap().clone();
                (seed, printed, stats.collections)
            })
        })
        .collect();
    for thread in threads {
        let (seed, printed, collections) = thread.join().unwrap();
        let sum = seed * (200_000 * 200_001 / 2);
        let expected: String = (1..=3).map(|round| format!("{seed}\t{round}\t{sum}\n")).collect();
        assert_eq!(String::from_utf8(printed).unwrap(), expected);
        assert!(collections > 0, "the scripts allocate more than the first trigger");
    }
}

#[test]
fn interpreters_take_turns_on_one_thread() {
    let outputs: Vec<Captured> = (0..3).map(|_| Captured::default()).collect();
    let mut interpreters: Vec<Interpreter> = outputs
        .iter()
        .map(|output| Interpreter::new(Config::new().output(Box::new(output.clone()))).unwrap())
        .collect();
    for round in 1..=3 {
        for interpreter in &mut interpreters {
            interpreter.run_source("n = (n or 0) + 1 print(n)", "=script", &[]).unwrap();
        }
        for output in &outputs {
            let printed = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
            assert_eq!(printed.lines().count(), round);
        }
    }
}

/// Each of these would run for ever, and clings to life.
const ENDLESS: [&str; 22] = [
    "while true do end",
    "while true do pcall(function() while true do end end) end",
    "local function f() return f() end f()",
    "while true do xpcall(function() while true do end end, function() while true do end end) end",
    // Calls without number, though never many at a time.
    "local function f() pcall(f) pcall(f) end while true do f() end",
    "local function f() return pcall(f) end while true do f() end",
    "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
    "table.sort({1, 2, 3}, function() while true do end end)",
    // Collects nearly all the time.
    "local t = {} for i = 1, 1e4 do t[i] = {} end while true do collectgarbage() end",
    "collectgarbage() while true do end",
    // Loops of the library, without a call.
    "table.move({}, 1, 1 << 40, 2)",
    "table.move({}, 1, 1 << 40, 2, {})",
    "table.move(setmetatable({}, {__index = {}}), 1, 1 << 40, 2)",
    "table.insert(setmetatable({}, {__len = function() return 1 << 40 end}), 1, 1)",
    "table.remove(setmetatable({}, {__len = function() return 1 << 40 end}), 1)",
    // Patterns that can match in many ways, and do not.
    "(('a'):rep(1 << 16)):find('.-.-.-.-b')",
    "(('a'):rep(1 << 16)):match('a*a*a*a*b')",
    "for _ in (('a'):rep(1 << 16)):gmatch('a?.-[a]-%a-b') do end",
    "(('a'):rep(1 << 16)):gsub('(.-)%1%1%1b', '')",
    "(('a'):rep(1 << 16)):gsub('.-.-.-.-b', print)",
    "(('('):rep(1 << 22)):find('%b()')",
    // Neither a loop nor a call but those of the library.
    "local many = { __len = function() return 1 << 30 end, __index = function(_, i) return i end }
     many.__newindex = function() end table.insert(setmetatable({}, many), 1, 1)",
];

#[test]
fn an_endless_script_can_be_stopped_and_the_interpreter_goes_on() {
    let output = Captured::default();
    let config = Config::new().output(Box::new(output.clone()));
    let mut interpreter = Interpreter::new(config).unwrap();
    let interrupter = interpreter.interrupter();
    for source in ENDLESS {
        let watchdog = std::thread::spawn({
            let interrupter = interrupter.clone();
            move || {
                std::thread::sleep(std::time::Duration::from_millis(20));
                interrupter.interrupt();
            }
        });
        let error = interpreter.run_source(source, "=script", &[]).unwrap_err();
        assert!(error.to_string().contains("interrupted!"), "{source}: {error}");
        watchdog.join().unwrap();
        interrupter.clear();
        interpreter.run_source("for i = 1, 1e5 do local t = {i} end", "=script", &[]).unwrap();
    }
    interpreter.heap().verify().unwrap();
}

#[test]
fn calls_back_from_the_library_nest_within_the_stack_of_a_thread() {
    // A message handler may go a little deeper than the function that has failed.
    let source = "
        local function sort() table.sort({1, 2, 3}, function(a, b) sort() return a < b end) end
        local function gsub() return (('x'):gsub('x', gsub)) end
        local function reader() return load(reader) end
        local meta = {} meta.__tostring = function(t) return ('%s'):format(t) end
        local function format() return ('%s'):format(setmetatable({}, meta)) end
        for _, f in ipairs {sort, gsub, reader, format} do
          local ok, message = xpcall(f, function(m) f() return m end)
          assert(f == reader or not ok, message)
        end";
    let mut interpreter = Interpreter::new(Config::new()).unwrap();
    interpreter.run_source(source, "=script", &[]).unwrap();
}

/// Files bring collections nearer by what they own outside of the heap, as long as they are open.
#[test]
fn files_are_charged() {
    let mut lua = Interpreter::new(Config::new()).unwrap();
    let mut charged_after = |source: &str| {
        lua.run_source(source, "=files", &[]).unwrap();
        lua.heap().stats().external_bytes
    };
    let before = charged_after("");
    let open = charged_after("file = io.tmpfile()") - before;
    assert!(open >= 1024, "{open}");
    let written = charged_after("file:write(('x'):rep(10000))") - before;
    assert!(written >= open + 10_000, "{written}");
    let read = charged_after("file:seek('set') assert(#file:read('a') == 10000)") - before;
    assert!(read >= written + 10_000, "{read}");
    assert_eq!(charged_after("file:close()"), before);
    charged_after("file = io.tmpfile()");
    assert_eq!(charged_after("file = nil collectgarbage()"), before);
}
