//! Every call that a heap makes to the system fails in turn, and at random: each time
//! the caller gets an error with its value, the heap is whole, and work goes on when
//! memory returns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use heap_api::os::{Failure, SimOs};
use heap_api::{Config, Cx, Gc, Heap, Opaque, OutOfMemory, Root, Trace};
use heap_tests::{Counted, Counter};

const MIB: usize = 1 << 20;
/// Room for one arena of eight megabytes and one of six, which no smaller one can
/// stand in for.
const CAP: usize = 14 * MIB;

/// Aligned to a page of the heap.
#[derive(Trace)]
#[repr(align(8192))]
struct Page<'gc> {
    counted: Opaque<Counted>,
    next: Option<Gc<'gc, Any<'gc>>>,
}

#[derive(Trace)]
struct Node<'gc> {
    counted: Opaque<Counted>,
    next: Option<Gc<'gc, Any<'gc>>>,
}

/// No bytes, and all the same an object.
#[derive(Trace, Clone, Copy, Debug, PartialEq)]
struct Nothing;

#[derive(Trace, Clone, Copy)]
enum Any<'gc> {
    Node(Gc<'gc, Node<'gc>>),
    Page(Gc<'gc, Page<'gc>>),
}

impl Any<'_> {
    fn id(&self) -> u64 {
        match self {
            Any::Node(node) => node.counted.0.id(),
            Any::Page(page) => page.counted.0.id(),
        }
    }
}

/// A program, and what it has been refused.
struct Program {
    heap: Heap,
    os: SimOs,
    counter: Arc<Counter>,
    kept: Vec<(Root<Any<'static>>, u64)>,
    refused: usize,
    id: u64,
}

impl Program {
    fn new(failure: Failure, config: Config) -> Program {
        let os = SimOs::new();
        os.set_cap(Some(CAP));
        os.set_failure(failure);
        let heap = Heap::with_os(config, Box::new(os.clone()));
        Program { heap, os, counter: Counter::new(), kept: Vec::new(), refused: 0, id: 0 }
    }

    /// A refusal, seen by the caller: the heap is whole, and may be asked again.
    fn refused(&mut self, cx: &mut Cx, reason: OutOfMemory) {
        assert_eq!(reason, OutOfMemory::System);
        self.refused += 1;
        cx.verify().unwrap();
        self.check(cx);
    }

    fn check(&self, cx: &Cx) {
        for (root, id) in &self.kept {
            assert_eq!(root.get(cx).id(), *id);
        }
    }

    fn node(&mut self, cx: &mut Cx) {
        self.id += 1;
        let counted = Opaque(self.counter.value(self.id));
        let node = cx.try_alloc(Node { counted, next: None });
        let node = node.map(Any::Node).map_err(|e| (e.value.counted.0.id(), e.reason));
        if let Some(reason) = self.keep(cx, node) {
            self.refused(cx, reason);
        }
    }

    fn page(&mut self, cx: &mut Cx) {
        self.id += 1;
        let counted = Opaque(self.counter.value(self.id));
        let page = cx.try_alloc(Page { counted, next: None });
        let page = page.map(|page| {
            assert_eq!(page.addr() % 8192, 0);
            Any::Page(page)
        });
        let page = page.map_err(|e| (e.value.counted.0.id(), e.reason));
        if let Some(reason) = self.keep(cx, page) {
            self.refused(cx, reason);
        }
    }

    /// One object in four is kept. A value that was refused has come back; the reason
    /// is returned, for when nobody borrows the context.
    fn keep(
        &mut self,
        cx: &Cx,
        object: Result<Any<'_>, (u64, OutOfMemory)>,
    ) -> Option<OutOfMemory> {
        let object = match object {
            Ok(object) => object,
            Err((id, reason)) => {
                assert_eq!(id, self.id, "the value comes back");
                return Some(reason);
            }
        };
        if self.id.is_multiple_of(4)
            && let Ok(boxed) = cx.try_alloc(object)
        {
            self.kept.push((cx.root(boxed), self.id));
        }
        None
    }

    fn others(&mut self, cx: &mut Cx, bytes: usize) {
        let reasons = [
            cx.try_alloc(Nothing).map(drop).map_err(|e| {
                assert_eq!(e.value, Nothing);
                e.reason
            }),
            cx.try_alloc_str("some text").map(drop).map_err(|e| e.reason),
            cx.try_alloc_slice_fn(bytes, |i| i as u8).map(drop).map_err(|e| e.reason),
        ];
        for reason in reasons.into_iter().filter_map(Result::err) {
            self.refused(cx, reason);
        }
    }

    fn run(&mut self) {
        let heap = self.heap.clone();
        let mut cx = heap.enter();
        for round in 0..3 {
            for i in 0..200 {
                self.node(&mut cx);
                if i % 20 == 0 {
                    self.page(&mut cx);
                }
            }
            for bytes in [100_000, 3 * MIB, MIB] {
                self.others(&mut cx, bytes + round);
            }
            cx.collect();
            self.check(&cx);
            heap.release_idle();
            cx.verify().unwrap();
            let half = self.kept.len() / 2;
            self.kept.truncate(half);
        }
        self.kept.clear();
        cx.collect();
        heap.release_idle();
        cx.verify().unwrap();
    }

    /// Memory has returned: everything can be had.
    fn goes_on(mut self) {
        self.os.set_failure(Failure::Never);
        self.os.set_cap(None);
        let before = self.refused;
        self.run();
        assert_eq!(self.refused, before, "memory has returned");
        let heap = self.heap.clone();
        let mut cx = heap.enter();
        // Dropped with roots into it.
        (0..100).for_each(|_| self.node(&mut cx));
        assert!(!self.kept.is_empty());
        drop(cx);
        let Program { heap: last, os, counter, kept, .. } = self;
        drop(heap);
        drop(last);
        // The background sweeper may be at a batch: then it drops the heap after it.
        let start = Instant::now();
        while os.reserved() > 0 && start.elapsed() < Duration::from_secs(60) {
            std::thread::yield_now();
        }
        assert_eq!(os.reserved(), 0);
        counter.assert_balanced();
        drop(kept);
    }
}

fn configs() -> [Config; 3] {
    let config = Config::new().huge_pages(false);
    [
        config.clone(),
        config.clone().huge_pages(true).background_sweep(true),
        config.min_heap_bytes(0).mark_threads(1),
    ]
}

#[test]
fn any_one_call_to_the_system_may_fail() {
    let mut refused = 0;
    for config in configs() {
        let mut program = Program::new(Failure::Never, config.clone());
        program.run();
        assert_eq!(program.refused, 0);
        let calls = program.os.calls();
        program.goes_on();
        assert!(calls > 20, "the program makes {calls} calls only");
        for n in 0..calls {
            let mut program = Program::new(Failure::Nth(n), config.clone());
            program.run();
            refused += program.refused;
            program.goes_on();
        }
    }
    assert!(refused > 0, "no allocation noticed");
}

#[test]
fn calls_to_the_system_may_fail_at_random() {
    let mut refused = 0;
    for (seed, config) in (0..100).zip(configs().into_iter().cycle()) {
        let per_mille = [50, 300, 700, 950][seed as usize % 4];
        let mut program = Program::new(Failure::Random { seed, per_mille }, config);
        program.run();
        refused += program.refused;
        program.goes_on();
    }
    assert!(refused > 100, "{refused}");
}

/// From the first object on there is no memory; then there is.
#[test]
fn a_heap_that_never_had_memory_is_whole() {
    for config in configs() {
        let mut program = Program::new(Failure::Always, config);
        program.run();
        assert_eq!(program.refused as u64, program.id + 27);
        program.goes_on();
    }
}

#[test]
fn a_heap_full_of_garbage_is_swept_before_the_system_is_believed() {
    let os = SimOs::new();
    os.set_cap(Some(CAP));
    let config = Config::new().min_heap_bytes(usize::MAX);
    let heap = Heap::with_os(config, Box::new(os.clone()));
    let mut cx = heap.enter();
    while cx.try_alloc([0_u64; 4]).is_ok() {}
    cx.collect();
    // Of another class: what the search for a span sweeps is of no use.
    cx.try_alloc([0_u64; 100]).expect("all of the heap is garbage");
    cx.verify().unwrap();
}
