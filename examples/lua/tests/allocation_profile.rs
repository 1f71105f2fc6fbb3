//! Allocation profiles of scripts: the stacks, the line that holds the memory, the file.

mod support;

use std::collections::BTreeMap;

use heap_api::{AllocationProfile, AllocationSite};
use lua::{Config, Interpreter};
use support::{errors, lua, package};

fn leak_script() -> String {
    std::fs::read_to_string(package().join("scripts/leak.lua")).unwrap()
}

/// Runs a source, collects, and returns the interpreter and the profile.
fn profile(config: Config, source: &str) -> (Interpreter, AllocationProfile) {
    let mut interpreter = Interpreter::new(config.output(Box::new(std::io::sink()))).unwrap();
    interpreter.run_source(source, "@script.lua", &["300".to_owned()]).unwrap();
    interpreter.heap().enter().collect();
    let profile = interpreter.heap().allocation_profile().expect("it samples");
    (interpreter, profile)
}

/// "function file:line" of each frame, the innermost first.
fn stack(site: &AllocationSite) -> Vec<String> {
    let text = |frame: &heap_api::Frame| match frame.line {
        0 => format!("{} {}", frame.function, frame.file),
        line => format!("{} {}:{line}", frame.function, frame.file),
    };
    site.frames.iter().map(text).collect()
}

/// Live bytes by innermost frame.
fn live_by_place(profile: &AllocationProfile) -> Vec<(u64, String)> {
    let mut places = BTreeMap::<String, u64>::new();
    for site in &profile.sites {
        let place = stack(site).first().cloned().unwrap_or_default();
        *places.entry(place).or_default() += site.live.bytes;
    }
    let mut places: Vec<_> = places.into_iter().map(|(place, bytes)| (bytes, place)).collect();
    places.sort_by(|a, b| b.cmp(a));
    places
}

#[test]
fn the_line_that_holds_the_memory_is_the_first() {
    for sample_bytes in [1, 2048] {
        let (_, profile) = profile(Config::new().sample_bytes(sample_bytes), &leak_script());
        let places = live_by_place(&profile);
        let [(most, text), (second, record), ..] = &places[..] else { panic!("{places:?}") };
        assert_eq!(text, "table.concat [C]", "{places:?}");
        assert_eq!(record, "remember script.lua:7", "{places:?}");
        assert!(most > second && *second > 300 * 64, "{places:?}");
        // The strings of which the pages are made are allocated, and do not live.
        let formatted = profile
            .sites
            .iter()
            .filter(|site| stack(site).first().is_some_and(|place| place == "string.format [C]"));
        let (allocated, live) = formatted.fold((0, 0), |(allocated, live), site| {
            (allocated + site.allocated.bytes, live + site.live.bytes)
        });
        assert!(allocated > 300 * 20 * 16 && live < allocated / 10, "{allocated} {live}");
    }
}

#[test]
fn stacks_go_through_coroutines_and_native_functions() {
    let (_, profile) = profile(Config::new().sample_bytes(1), &leak_script());
    let stacks: Vec<_> = profile.sites.iter().map(stack).collect();
    let has = |wanted: &[&str]| stacks.iter().any(|stack| stack == wanted);
    assert!(
        has(&[
            "string.format [C]",
            "render script.lua:13",
            "function <script.lua:18> script.lua:20",
            "pages [C]",
            "main chunk script.lua:26",
        ]) || has(&[
            "string.format [C]",
            "render script.lua:13",
            "function <script.lua:18> script.lua:20",
            "wrap [C]",
            "main chunk script.lua:26",
        ]),
        "{stacks:#?}"
    );
    assert!(has(&["remember script.lua:7", "main chunk script.lua:27"]), "{stacks:#?}");
    assert!(has(&["main chunk script.lua:27"]), "the concatenation: {stacks:#?}");
    let first_lines: Vec<_> = profile
        .sites
        .iter()
        .flat_map(|site| &site.frames)
        .filter(|frame| &*frame.function == "remember")
        .map(|frame| frame.first_line)
        .collect();
    assert!(first_lines.iter().all(|line| *line == 6), "{first_lines:?}");
}

#[test]
fn with_every_object_sampled_nothing_is_missing() {
    for config in [Config::new(), Config::new().stress(true)] {
        let (interpreter, profile) = profile(config.sample_bytes(1), &leak_script());
        let histogram = interpreter.heap().class_histogram().unwrap();
        let bytes: usize = histogram.iter().map(|row| row.bytes).sum();
        assert_eq!(profile.live_bytes(), bytes as u64);
        interpreter.heap().verify().unwrap();
    }
}

#[test]
fn metamethods_iterators_and_protected_calls_have_frames() {
    let source = "
        local made = {}
        local meta = {__index = function(_, key) made[#made + 1] = {key} return key end}
        local proxy = setmetatable({}, meta)
        local function each(n) for i = 1, n do local _ = proxy[i] end end
        local function walk()
          for k in (function() return next, {each, each} end)() do pcall(each, 40) end
        end
        walk()
        table.sort({5, 4, 3, 2, 1}, function(a, b) made[#made + 1] = {a} return a < b end)
        keep = made";
    let (_, profile) = profile(Config::new().sample_bytes(1), source);
    let stacks: Vec<_> = profile.sites.iter().map(stack).collect();
    let has = |wanted: &[&str]| stacks.iter().any(|stack| stack == wanted);
    assert!(
        has(&[
            "index script.lua:3",
            "function <script.lua:5> script.lua:5",
            "pcall [C]",
            "walk script.lua:7",
            "main chunk script.lua:9",
        ]),
        "{stacks:#?}"
    );
    assert!(
        stacks.iter().any(|stack| {
            stack.len() == 3
                && stack[0].ends_with(" script.lua:10")
                && stack[1] == "table.sort [C]"
                && stack[2] == "main chunk script.lua:10"
        }),
        "{stacks:#?}"
    );
}

#[test]
fn a_script_at_its_limit_is_sampled_as_well() {
    let source = "
        local kept = {}
        local ok, message = pcall(function()
          while true do kept[#kept + 1] = string.rep('x', 1000) .. #kept end
        end)
        assert(not ok and message == 'not enough memory', message)";
    let config = Config::new().sample_bytes(1).max_heap_bytes(4 << 20);
    let (interpreter, profile) = profile(config, source);
    assert!(profile.allocated_bytes() > 3 << 20);
    interpreter.heap().verify().unwrap();
}

#[test]
fn the_program_writes_a_file_or_says_why_not() {
    let dir = std::env::temp_dir().join(format!("allocation-profile-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("heap.pprof");
    let path = file.to_str().unwrap();
    let output = lua("scripts", &["--alloc-profile", path, "leak.lua", "500"]);
    assert_eq!((&*output.stdout, errors(&output).as_str()), (&b"500\n"[..], ""));
    let default_rate = std::fs::read(&file).unwrap();
    let options = ["--alloc-profile", path, "--alloc-profile-rate", "1K", "leak.lua", "500"];
    assert!(lua("scripts", &options).status.success());
    let written = std::fs::read(&file).unwrap();
    for text in ["inuse_space", "alloc_objects", "remember", "leak.lua", "table.concat"] {
        assert!(written.windows(text.len()).any(|part| part == text.as_bytes()), "{text}");
    }
    assert!(written.len() > default_rate.len());

    // A script that fails has a profile, too.
    let output = lua(".", &["--alloc-profile", path, "-e", "x = ('y'):rep(1000000) error('no')"]);
    assert!(errors(&output).contains("no") && output.status.code() == Some(1));
    assert!(std::fs::read(&file).unwrap().windows(10).any(|part| part == b"string.rep"));

    // So has one that ends the process, wherever it does, and nothing else is done at its end.
    let closing = "local closing <close> = setmetatable({}, {__close = print, __gc = print})
        coroutine.wrap(function() io.write('x') local y = ('y'):rep(1000000) os.exit(7) end)()";
    for script in
        [closing, "x = ('y'):rep(1000000) setmetatable({}, {__gc = function() os.exit(7) end})"]
    {
        std::fs::remove_file(&file).unwrap();
        let output = lua(".", &["--alloc-profile", path, "--gc-stats", "-e", script]);
        assert_eq!(output.status.code(), Some(7), "{}", errors(&output));
        assert!(output.stdout.len() < 2, "{output:?}");
        assert!(errors(&output).contains("collections"), "{}", errors(&output));
        assert!(std::fs::read(&file).unwrap().windows(10).any(|part| part == b"string.rep"));
    }

    let missing = dir.join("missing").join("heap.pprof");
    let output = lua(".", &["--alloc-profile", missing.to_str().unwrap(), "-e", "os.exit(true)"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("cannot write"), "{}", errors(&output));
    let output = lua("scripts", &["--alloc-profile", missing.to_str().unwrap(), "leak.lua", "5"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("cannot write"), "{}", errors(&output));
    let output = lua("scripts", &["--alloc-profile-rate", "1K", "leak.lua", "5"]);
    assert!(!output.status.success() && errors(&output).contains("--alloc-profile"));
    std::fs::remove_dir_all(&dir).unwrap();
}
