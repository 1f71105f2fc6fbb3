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
                    .workers(usize::from(seed % 2 == 0))
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
