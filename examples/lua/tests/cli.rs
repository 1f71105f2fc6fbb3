//! The command line: bad input ends with a clear message on the standard error and
//! status 1, never in a panic or an abort.

mod support;

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use support::{errors, lua};

/// Runs a chunk of source.
fn chunk(options: &[&str], source: &str) -> Output {
    let mut arguments = options.to_vec();
    arguments.extend(["-e", source]);
    lua(".", &arguments)
}

#[track_caller]
fn assert_fails(output: &Output, message: &str) {
    let text = errors(output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(message), "expected {message:?} in {text:?}");
    assert!(!text.contains("panicked") && !text.contains("corruption"), "{text}");
}

/// Runs `lua OPTIONS...`, which gets `input` on its standard input after a pause.
fn with_input(options: &[&str], pause: Duration, input: &[u8]) -> Output {
    let mut child = processes::program(env!("CARGO_BIN_EXE_lua"))
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the interpreter starts");
    std::thread::sleep(pause);
    let mut stdin = child.stdin.take().expect("a pipe");
    // A script need not read it.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("the interpreter ends")
}

#[track_caller]
fn assert_prints(output: &Output, expected: &str) {
    assert!(output.status.success(), "{:?} {}", output.status, errors(output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn a_script_may_have_a_mark_and_a_line_for_the_shell() {
    let lines = "print(debug.getinfo(1).currentline)\nprint(...)";
    let path = std::env::temp_dir().join(format!("lua-header-{}.lua", std::process::id()));
    let file = path.to_str().expect("a readable path");
    for (mark, header, line) in [
        ("", "", 1),
        ("", "#!/usr/bin/env lua\n", 2),
        ("", "#\n", 2),
        ("\u{feff}", "", 1),
        ("\u{feff}", "# x\n", 2),
    ] {
        let source = format!("{mark}{header}{lines}");
        let expected = format!("{line}\na\n");
        let output = with_input(&["-", "a"], Duration::ZERO, source.as_bytes());
        assert_prints(&output, &expected);
        std::fs::write(&path, &source).unwrap();
        assert_prints(&lua(".", &[file, "a"]), &expected);
        for call in ["loadfile(FILE)('a')", "dofile(FILE)", "loadfile()('a')", "dofile()"] {
            let chunk = call.replace("FILE", &format!("[=[{file}]=]"));
            let expected = if call.contains("'a'") { &expected } else { &format!("{line}\n\n") };
            assert_prints(
                &with_input(&["-e", &chunk], Duration::ZERO, source.as_bytes()),
                expected,
            );
        }
    }
    // Nothing but that line, without an end.
    assert_prints(&with_input(&["-"], Duration::ZERO, b"# return 1"), "");
    std::fs::remove_file(&path).unwrap();
    // A chunk that is no file has no such line, whatever its name.
    let output = chunk(&[], "print(load('# x\\nreturn 1', '@file'))");
    assert_prints(&output, "nil\tfile:1: unexpected symbol near '#'\n");
}

/// The script waits for a second, and then works until its clock says that it has.
#[test]
fn the_clock_counts_the_processs_own_time() {
    let script = "local before = os.clock() io.read() local waited = os.clock() - before \
                  before = os.clock() repeat for _ = 1, 1e5 do end until os.clock() > before + 0.1 \
                  print(waited < 0.5)";
    assert_prints(&with_input(&["-e", script], Duration::from_secs(1), b"\n"), "true\n");
}

#[test]
fn a_missing_file_is_named() {
    assert_fails(&lua(".", &["no-such-file.lua"]), "lua: cannot open no-such-file.lua");
}

/// As since Lua 5.4.5. Before, the loop skipped such bytes.
#[test]
fn a_loop_over_characters_finds_bytes_that_belong_to_none() {
    let script =
        "for _, text in ipairs {'in\\x80valid', '\\xbfinvalid', 'é\\xbf', '\\u{fffff}\\x80'} do
            print(pcall(function() for _ in utf8.codes(text, true) do end end))
        end
        for at, code in utf8.codes('aé') do io.write(at, ' ', code, ' ') end";
    let wrong = "invalid UTF-8 code";
    let output = lua(".", &["-e", script]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches(wrong).count(), 4, "{text}");
    assert!(text.ends_with("1 97 2 233 "), "{text}");
}

/// A folder can be opened where a system allows it, but not read.
#[cfg(unix)]
#[test]
fn a_folder_is_no_script() {
    assert_fails(&lua(".", &["tests"]), "lua: cannot read tests: Is a directory");
    let script = "print(loadfile('tests')) print(pcall(dofile, 'tests'))";
    let message = "cannot read tests: Is a directory";
    let expected = format!("nil\t{message}\nfalse\t{message}\n");
    assert_prints(&lua(".", &["-e", script]), &expected);
}

#[test]
fn a_syntax_error_has_a_place() {
    assert_fails(&chunk(&[], "\n\nx = = 1"), ":3: unexpected symbol near '='");
}

#[test]
fn a_run_time_error_has_a_traceback() {
    let output = chunk(&[], "local function f(t) return t.x.y end f({})");
    assert_fails(&output, "attempt to index a nil value (field 'x')");
    assert_fails(&output, "stack traceback:");
}

#[test]
fn endless_recursion_is_an_error() {
    let output = chunk(&["--verify-heap"], "local function f() return 1 + f() end f()");
    assert_fails(&output, "stack overflow");
}

#[test]
fn deep_nesting_of_source_and_data_is_not_a_native_overflow() {
    for source in [
        format!("return {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("return {}1", "- ".repeat(100_000)),
        format!("return {}{}", "{".repeat(100_000), "}".repeat(100_000)),
        "do ".repeat(100_000),
    ] {
        let path = std::env::temp_dir().join(format!("lua-deep-{}.lua", std::process::id()));
        std::fs::write(&path, source).unwrap();
        let output = lua(".", &[path.to_str().unwrap()]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    }
    let deep = "local t = {} for _ = 1, 1e6 do t = {t} end print('built')";
    assert!(chunk(&["--verify-heap"], deep).status.success());
}

#[test]
fn a_heap_limit_that_is_too_small_is_a_catchable_error() {
    let greedy = "local t = {} for i = 1, 1e9 do t[i] = {i} end";
    assert_fails(&chunk(&["--max-heap", "4M", "--verify-heap"], greedy), "not enough memory");
    let caught = format!(
        "local ok, e = pcall(function() {greedy} end) print(ok, e) \
         local s = 0 for i = 1, 1e5 do local t = {{i}} s = s + t[1] end print(s)"
    );
    let output = chunk(&["--max-heap", "4M", "--verify-heap"], &caught);
    assert!(output.status.success(), "{}", errors(&output));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.starts_with("false\tnot enough memory\n"), "{printed}");
}

#[test]
fn tiny_limits_end_in_an_error_never_in_a_panic() {
    for limit in ["0", "1", "8K", "64K", "128K", "256K", "300K", "1M"] {
        let output = chunk(&["--max-heap", limit], "local t = {} for i = 1, 1e6 do t[i] = {} end");
        assert_fails(&output, "not enough memory");
    }
}

/// Each builds more than the system gives, outside the heap.
#[cfg(target_os = "linux")]
const TOO_LONG: &str = r#"
    local big, many = ("x"):rep(1 << 17), {}
    for i = 1, 2000 do many[i] = big end
    local function all() return table.unpack(many) end
    local indirect = setmetatable({}, { __index = many, __len = function() return #many end })
    local xs = ("x"):rep(2000)
    for name, attempt in pairs {
      concat = function() return table.concat(many) end,
      concat_slow = function() return table.concat(indirect) end,
      rep = function() return ("xy"):rep(1 << 29) end,
      format = function() return string.format(("%s"):rep(2000), all()) end,
      format_quoted = function() return string.format(("%q"):rep(2000), all()) end,
      format_padded = function() return string.format(("%99s"):rep(2000), all()) end,
      gsub = function() return xs:gsub("x", big) end,
      gsub_template = function() return xs:gsub("x", "%0" .. big) end,
      gsub_table = function() return xs:gsub("x", { x = big }) end,
      gsub_function = function() return xs:gsub("x", function() return big end) end,
      gsub_slow = function() return xs:gsub("x", setmetatable({}, { __index = all })) end,
      pack = function() return string.pack(("z"):rep(2000), all()) end,
      pack_zeros = function() return string.pack("c922337203", "x") end,
      load = function() assert(load(function() return big end)) end,
      operator = function() local s = big while true do s = s .. s end end,
      date = function() return os.date(("%c"):rep(1 << 23)) end,
    } do
      local ok, message = pcall(attempt)
      assert(not ok and message:find("not enough memory"), name)
    end
    -- The zeros are not written before the rest of the format is read.
    print(pcall(string.pack, "c922337203685477580", "x"))
    print(pcall(utf8.codepoint, ("x"):rep(1 << 21), 1, -1))
    print(pcall(string.unpack, ("b"):rep(1 << 21), ("x"):rep(1 << 21)))
    print(#table.concat(many, ",", 1, 20))
"#;

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_the_system_has_no_memory_for_is_an_error() {
    let output = Command::new("sh")
        .args(["-c", r#"ulimit -v 250000 && exec "$0" -e "$1""#])
        .args([env!("CARGO_BIN_EXE_lua"), TOO_LONG])
        .output()
        .expect("there is a shell");
    assert!(output.status.success(), "{:?} {}", output.status, errors(&output));
    let expected = "false\tinvalid format option '6'\n\
                    false\tstack overflow (string slice too long)\n\
                    false\tstack overflow (too many results)\n\
                    2621459\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

/// The order in which a traversal meets string keys follows from their hashes.
#[test]
fn hashes_differ_from_run_to_run_unless_a_seed_is_given() {
    let source = "local t = {} for i = 1, 100 do t['key' .. i] = i end \
                  for name in pairs(t) do io.write(name, ' ') end";
    let order = |options: &[&str]| {
        let output = chunk(options, source);
        assert!(output.status.success(), "{}", errors(&output));
        output.stdout
    };
    assert_eq!(order(&["--hash-seed", "17"]), order(&["--hash-seed", "17"]));
    assert_ne!(order(&["--hash-seed", "17"]), order(&["--hash-seed", "18"]));
    assert_ne!(order(&[]), order(&[]));
    assert_fails(&lua(".", &["--hash-seed", "x", "-e", ""]), "--hash-seed");
}

/// Runs a program's process, reads the first bytes from one of its outputs and closes that.
#[cfg(unix)]
fn assert_ends_with_its_pipe(source: &str, is_error: bool) {
    use std::io::Read;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    let mut command = processes::program(env!("CARGO_BIN_EXE_lua"));
    command.args(["-e", source]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if is_error {
        command.stderr(Stdio::piped());
    } else {
        command.stdout(Stdio::piped());
    }
    let mut process = command.spawn().expect("the interpreter starts");
    let mut bytes = [0; 2];
    let read = match (process.stdout.take(), process.stderr.take()) {
        (Some(mut output), _) => output.read_exact(&mut bytes),
        (None, Some(mut errors)) => errors.read_exact(&mut bytes),
        (None, None) => unreachable!("one of them is a pipe"),
    };
    read.expect("the program writes");
    assert_eq!(&bytes, b"1\n");
    // The pipe is closed now.
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = process.try_wait().expect("a child") {
            break status;
        }
        if begin.elapsed() > Duration::from_secs(60) {
            process.kill().expect("it still runs");
            panic!("{source} goes on without its reader");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    const SIGPIPE: i32 = 13;
    assert_eq!(status.signal(), Some(SIGPIPE), "{source}: {status}");
}

#[test]
#[cfg(unix)]
fn a_program_ends_when_nobody_reads_what_it_writes() {
    assert_ends_with_its_pipe("while true do print(1) end", false);
    assert_ends_with_its_pipe("while true do io.write('1\\n') end", false);
    assert_ends_with_its_pipe("local s = ('1\\n'):rep(1e5) while true do print(s) end", false);
    assert_ends_with_its_pipe("while true do pcall(print, 1) end", false);
    assert_ends_with_its_pipe("while true do io.stderr:write('1\\n') end", true);
}

/// CL1: memory that runs out closes each variable once, with the error.
#[test]
fn variables_are_closed_at_the_limit() {
    let source = r#"
        local closed = 0
        local function fill(depth)
          local x <close> = setmetatable({}, {__close = function(_, message)
            assert(message == "not enough memory")
            closed = closed + 1
            local list = {}
            for i = 1, 100 do list[i] = {} end
          end})
          if depth > 0 then return (fill(depth - 1)) end
          local list = {}
          for i = 1, 1e9 do list[i] = {i} end
        end
        for _ = 1, 10 do assert(not pcall(fill, 20)) end
        local co = coroutine.create(fill)
        assert(not coroutine.resume(co, 20))
        assert(closed == 210)
        collectgarbage()
        assert(not coroutine.close(co))
        print(closed)
    "#;
    for options in [&[][..], &["--background-sweep"], &["--gc-slice", "50"]] {
        let output = chunk(&[options, &["--max-heap", "3M", "--verify-heap"]].concat(), source);
        assert_eq!(output.stdout, b"231\n", "{options:?}: {}", errors(&output));
    }
}

/// Runs a chunk of source in a process that may have `limit` files open.
#[cfg(unix)]
fn with_descriptors(limit: u32, options: &[&str], source: &str) -> Output {
    processes::program("sh")
        .args(["-c", "ulimit -n \"$1\" && shift && exec \"$@\"", "sh", &limit.to_string()])
        .arg(env!("CARGO_BIN_EXE_lua"))
        .args(options)
        .args(["-e", source])
        .stdin(Stdio::null())
        .output()
        .expect("the shell starts")
}

/// Files that a script has forgotten are in the way of those that it opens until a collection finds
/// them. Too few are open for what they cost to make one due.
#[test]
#[cfg(unix)]
fn forgotten_files_make_room_for_others() {
    let source = r#"
        local name = os.tmpname()
        local writer <const> = assert(io.open(name, "w"))
        writer:write("return 1")
        writer:close()
        for _, open in ipairs {
          function() return io.open(name) end,
          function() return io.lines(name) end,
          function() return io.input(name) end,
          function() return io.output("/dev/null") end,
          io.tmpfile,
          -- Those that close what they open find no descriptor either.
          function() return io.open(name) and loadfile(name) end,
          function() return io.open(name) and dofile(name) end,
          function() local file = io.open(name) local temporary = os.tmpname() return file and os.remove(temporary) end,
        } do
          for i = 1, 200 do assert(open()) end
        end
        os.remove(name)
        io.stdout:write("done\n")
    "#;
    for options in [&[][..], &["--background-sweep"], &["--gc-slice", "50"]] {
        let output = with_descriptors(40, options, source);
        assert_eq!(output.stdout, b"done\n", "{options:?}: {}", errors(&output));
    }
    // Files that are in use stay open, and the system's error is reported.
    let source = r#"
        local files, file, message, code = {}, nil, nil, nil
        repeat
          file, message, code = io.open("/dev/null")
          files[#files + 1] = file
        until not file
        local loaded, reason = loadfile("/dev/null")
        local ok, lines = pcall(io.lines, "/dev/null")
        assert(#files > 20 and io.type(files[1]) == "file")
        files[1]:close()
        assert(io.open("/dev/null")):close()
        print(message, code, loaded, reason, ok, lines)
    "#;
    let output = with_descriptors(40, &["--background-sweep"], source);
    assert_prints(
        &output,
        "/dev/null: Too many open files\t24\tnil\tcannot open /dev/null: Too many open files\t\
         false\tcannot open file '/dev/null' (Too many open files)\n",
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_device_is_an_error_value_not_a_panic() {
    use std::process::Stdio;
    let run = |arguments: &[&str], is_error: bool| {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a device");
        let mut command = processes::program(env!("CARGO_BIN_EXE_lua"));
        command.args(arguments).stdin(Stdio::null());
        let command = if is_error { command.stderr(full) } else { command.stdout(full) };
        command.output().expect("the interpreter starts")
    };
    assert_eq!(run(&["-e", "error('x')"], true).status.code(), Some(1));
    assert_eq!(run(&["-e", "warn('@on') warn('x')"], true).status.code(), Some(0));
    assert_eq!(run(&["--gc-stats", "--gc-stress", "-e", ""], true).status.code(), Some(0));
    assert_eq!(run(&["--no-such-option"], true).status.code(), Some(1));
    assert_eq!(run(&["-v"], false).status.code(), Some(0));
    assert_eq!(run(&["-e", "for i = 1, 1e5 do print(i) end"], false).status.code(), Some(0));
    let source = "local s = ('x'):rep(1e6) local ok, message, number = io.write(s) \
                  io.stderr:write(tostring(ok), ' ', message, ' ', number)";
    let output = run(&["-e", source], false);
    assert_eq!(errors(&output), "nil No space left on device 28");
    let output = run(&["-e", "print(io.stderr:write('x'))"], true);
    assert_eq!(output.stdout, b"nil\tNo space left on device\t28\n");
}

/// Coroutines that are resumed while there is hardly any memory, or none: each goes on where it was,
/// or the resumption fails and it stays where it is (CO1, TH5).
const SWITCHES_WITHOUT_MEMORY: &str = r#"
    local list, expected, half = {}, {}, {}
    local function inner(x, y, z) return coroutine.yield(x) + y + z end
    for i = 1, 300 do
      list[i] = coroutine.create(function()
        local a, b, c, d, e, f, g, h = i, i, i, i, i, i, i, i
        while true do
          coroutine.yield(a)
          -- More slots are in use below this call.
          a = a + inner(a, 0, 0) * 0 + (b + c + d + e + f + g + h) // (7 * i)
        end
      end)
      coroutine.resume(list[i])
      expected[i], half[i] = i, false
    end
    local resumed, refused = 0, 0
    local function resume(i)
      local ok, value = coroutine.resume(list[i], 0)
      half[i] = not half[i]
      if not half[i] then expected[i] = expected[i] + 1 end
      if not ok or value ~= expected[i] then
        io.stderr:write(i, ": ", tostring(value), " instead of ", expected[i], "\n")
        os.exit(2)
      end
      resumed = resumed + 1
    end
    local function try(call, ...)
      local ok, message = pcall(call, ...)
      if not ok then
        -- With a position if it has come through `wrap`.
        assert(message:find("not enough memory$"), message)
        refused = refused + 1
      end
    end
    local chain
    local function fill(k) while true do chain = {chain, 1, 2, 3, 4, 5, 6, 7, k} end end
    -- One inside the other, so that more stacks are in use than there are spare ones.
    local function nest(n, i)
      if n == 0 then return resume(i) end
      return coroutine.wrap(nest)(n - 1, i)
    end
    for round = 0, 5 do
      chain = nil
      local reserve = ("x"):rep(round * 2500)
      pcall(fill, round)
      reserve = nil
      for i = 1, 300, 7 do
        try(resume, i)
        assert(coroutine.status(list[i]) == "suspended")
      end
      for i = 1, 5 do try(nest, 20, i) end
    end
    chain = nil
    for i = 1, 300 do resume(i) end
    print(resumed > 350, refused > 30)
"#;

#[test]
fn a_switch_without_memory_changes_nothing() {
    for options in
        [&["--max-heap", "1M", "--verify-heap"][..], &["--max-heap", "1500K", "--gc-slice", "50"]]
    {
        let output = chunk(options, SWITCHES_WITHOUT_MEMORY);
        assert!(output.status.success(), "{options:?}: {}", errors(&output));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "true\ttrue\n", "{options:?}");
    }
}

#[test]
fn a_suspended_coroutine_takes_little_memory() {
    let source = r#"
        local list = {}
        for i = 1, 1000 do list[i] = false end
        local function per_coroutine(make)
          collectgarbage()
          local before = collectgarbage("count")
          for i = 1, #list do list[i] = make(i) end
          collectgarbage()
          return (collectgarbage("count") - before) * 1024 / #list
        end
        local function body(a) local b = coroutine.yield(a) return a + b end
        local fresh = per_coroutine(function() return coroutine.create(body) end)
        local suspended = per_coroutine(function(i)
          local co = coroutine.create(body)
          coroutine.resume(co, i)
          return co
        end)
        for i = 1, #list do assert(select(2, coroutine.resume(list[i], 1)) == i + 1) end
        local ended = per_coroutine(function()
          local co = coroutine.create(body)
          coroutine.resume(co, 1)
          coroutine.resume(co, 1)
          return co
        end)
        print(fresh <= 600, suspended <= 600, ended <= 600, fresh, suspended, ended)
    "#;
    let output = chunk(&["--verify-heap"], source);
    assert!(output.status.success(), "{}", errors(&output));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.starts_with("true\ttrue\ttrue\t"), "{printed}");
}

/// TH6, TH8: what coroutines that are dead, or wait after deep calls, take and keep alive.
#[test]
fn coroutines_give_back_what_deep_calls_took() {
    let source = r#"
        local list = {}
        for i = 1, 500 do list[i] = false end
        local function per_coroutine(body, resumes)
          collectgarbage()
          local before = collectgarbage("count")
          for i = 1, #list do
            list[i] = coroutine.create(body)
            for _ = 1, resumes or 1 do coroutine.resume(list[i]) end
          end
          collectgarbage()
          local taken = (collectgarbage("count") - before) * 1024 / #list
          for i = 1, #list do list[i] = false end
          return taken
        end
        local function deep(n, last)
          if n == 0 then return last() end
          local got = deep(n - 1, last)
          return got
        end
        local function garbage()
          local t = {}
          for i = 1, 1000 do t[i] = i end
          return #t
        end
        local function check(what, limit, body, resumes)
          local taken = per_coroutine(body, resumes)
          assert(taken <= limit, what .. ": " .. taken .. " bytes each")
        end
        check("failed", 700, function() error("x", 0) end)
        check("failed with garbage", 700, function() local t = garbage() local x = {t, {}} error("x", 0) end)
        check("failed in the depth", 6000, function() deep(100, function() error("x", 0) end) end)
        check("waits after deep calls", 700, function() deep(300, garbage) coroutine.yield() end)
        check("waits in the depth, garbage above", 17000,
          function() deep(40, function() garbage() coroutine.yield() end) end)
        check("waits in the depth, was deeper", 17000,
          function() deep(40, function() deep(3000, garbage) coroutine.yield() end) end)
        check("waits with less than before", 1000, function()
          do
            local a, b, c, d, e, f = 1, 2, 3, 4, 5, ("x"):rep(9000)
            coroutine.yield()
          end
          coroutine.yield()
        end, 2)
        check("ended", 700, function() deep(300, garbage) end)
        print("done")
    "#;
    for options in [&["--verify-heap"][..], &["--verify-heap", "--gc-slice", "0"]] {
        let output = chunk(options, source);
        assert_eq!(output.stdout, b"done\n", "{options:?}: {}", errors(&output));
    }
}

/// A script in a file of its own, for as long as this lives.
struct Script(std::path::PathBuf);

impl Script {
    fn new(name: &str, source: &str) -> Script {
        let name = format!("lua-{name}-{}.lua", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, source).unwrap();
        Script(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a readable path")
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // The directory is one for temporary files.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn arguments_before_the_script_have_negative_indices() {
    let source = "print(arg[-4] ~= nil, arg[-3], arg[-2], arg[-1], #arg, arg[1], arg[2], ...)";
    let script = Script::new("arguments", source);
    let output = lua(".", &["-W", "-e", "print(#arg, arg[2], ...)", script.path(), "-x", "b"]);
    let expected = "2\tb\ntrue\t-W\t-e\tprint(#arg, arg[2], ...)\t2\t-x\tb\t-x\tb\n";
    assert_prints(&output, expected);
    let source = b"print(arg[0], arg[1], arg[-1] ~= nil, ...)";
    assert_prints(&with_input(&["-", "a"], Duration::ZERO, source), "-\ta\ttrue\ta\n");
    let output = with_input(&[], Duration::ZERO, b"print(arg[0] ~= nil, arg[1], ...)");
    assert_prints(&output, "true\tnil\n");
}

#[test]
fn chunks_modules_and_warnings_take_effect_in_order() {
    let script = Script::new("module", "print('loading', ...) return {answer = 42}");
    let path = format!("package.path = [=[{}]=]", script.path());
    let output = lua(
        ".",
        &[
            "-e",
            "warn('early')",
            "-W",
            "-e",
            &path,
            "-l",
            "name=a.module",
            "-l",
            "other",
            "-e",
            "warn('late') print(name.answer, other.answer)",
        ],
    );
    let file = script.path();
    let loading = format!("loading\ta.module\t{file}\nloading\tother\t{file}\n");
    assert_prints(&output, &format!("{loading}42\t42\n"));
    assert_eq!(errors(&output), "Lua warning: late\n");
    assert_fails(&lua(".", &["-l", "no-such-module"]), "lua: module 'no-such-module' not found:");
}

/// Runs `lua OPTIONS...` with these environment variables.
fn with_environment(variables: &[(&str, &str)], options: &[&str]) -> Output {
    processes::program(env!("CARGO_BIN_EXE_lua"))
        .args(options)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the interpreter starts")
}

#[test]
fn environment_variables_are_read_unless_told_otherwise() {
    let script = Script::new("init", "print('file', ...)");
    let file = format!("@{}", script.path());
    let run = ["-e", "print('chunk')"];
    let init = ("LUA_INIT", "print('init', ...)");
    assert_prints(&with_environment(&[init], &run), "init\nchunk\n");
    assert_prints(&with_environment(&[init], &["-E", run[0], run[1]]), "chunk\n");
    let newer = ("LUA_INIT_5_4", file.as_str());
    assert_prints(&with_environment(&[init, newer], &run), "file\nchunk\n");
    let output = with_environment(&[("LUA_INIT", "error('bad')")], &run);
    assert_fails(&output, "lua: LUA_INIT:1: bad");
    assert_eq!(output.stdout, b"");
    let path = ("LUA_PATH", "/a/?.lua;;");
    let show = "print(package.path:match('^/a/%?%.lua;.*%./%?%.lua;') ~= nil)";
    assert_prints(&with_environment(&[path], &["-e", show]), "true\n");
    assert_prints(&with_environment(&[path], &["-E", "-e", show]), "false\n");
}

#[test]
fn chunks_can_be_typed() {
    let input = b"1 + 1, 'x'\nlocal a = 5\n=a\nfor i = 1, 2 do\nprint(i)\nend\nx = 7 print(x)\n\
        error('wrong')\nnil\nio.read()\na line\n= =\nprint = nil\n1\n";
    let output = with_input(&["-i", "-e", "print('first')"], Duration::ZERO, input);
    assert_prints(
        &output,
        "Lua 5.4 (managed heap)\nfirst\n> 2\tx\n> > nil\n> >> >> 1\n2\n> 7\n> > nil\n\
         > a line\n> > > > \n",
    );
    assert_eq!(
        errors(&output),
        "stdin:1: wrong\nstack traceback:\n\t[C]: in function 'error'\n\tstdin:1: in main chunk\n\
         \t[C]: in ?\nstdin:1: unexpected symbol near '='\n\
         error calling 'print' (attempt to call a nil value)\n"
    );
}

#[test]
fn bad_options_are_explained() {
    assert_fails(&lua(".", &["--max-heap", "lots", "x.lua"]), "lots");
    assert_fails(&lua(".", &["--no-such-option"]), "--no-such-option");
}

#[test]
fn statistics_come_after_the_scripts_own_output() {
    let source = "local t = {} for i = 1, 2e5 do t[i % 100] = {i} end print('done')";
    let output = chunk(&["--gc-stats", "--max-heap", "8M"], source);
    assert_eq!(output.stdout, b"done\n");
    let text = errors(&output);
    for word in [
        "collections",
        "objects allocated",
        "bytes allocated",
        "live bytes",
        "heap size",
        "mark time",
        "sweep time",
        "pause",
        "by allocation",
        "by credit",
        "background",
        "peak resident memory",
    ] {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
}

/// What `debug.setlocal` puts into registers that have no names is not what the instructions expect there.
#[test]
fn registers_that_are_changed_from_outside_are_no_panic() {
    const POKE: &str = "
        local function poke(wanted, skip, value)
            for i = 1, 100 do
                local name = debug.getlocal(2, i)
                if not name then return end
                if name == wanted then
                    if skip == 0 then debug.setlocal(2, i, value) end
                    skip = skip - 1
                end
            end
        end
        local weak = setmetatable({}, { __mode = 'k' })
        local values = { 'x', 0, 2.5, false, {}, weak, poke }";
    let loops = format!(
        "{POKE}
        for skip = 0, 2 do
            for _, value in ipairs(values) do
                local rounds = 0
                pcall(function()
                    for _ = 1, 3 do
                        poke('(for state)', skip, value)
                        rounds = rounds + 1
                        if rounds > 10 then error() end
                    end
                end)
                rounds = 0
                pcall(function()
                    for _ in pairs({{ 1, 2, 3 }}) do
                        poke('(for state)', skip, value)
                        rounds = rounds + 1
                        if rounds > 10 then error() end
                    end
                end)
            end
        end
        print('done')"
    );
    assert_prints(&chunk(&["--verify-heap"], &loops), "done\n");
    let constructors = format!(
        "{POKE}
        for skip = 0, 3 do
            for _, value in ipairs(values) do
                pcall(function() return {{ 1, 2, poke('(temporary)', skip, value) }} end)
            end
        end
        print(pcall(function() return {{ 1, poke('(temporary)', 0, 'x') }} end))"
    );
    let expected = "false\t(command line):19: attempt to index a string value\n";
    let output = chunk(&["--verify-heap"], &constructors);
    assert_prints(&output, expected);
}
