//! Whole-system tests. This library holds what several of them use: values that
//! count their own lives, and ways to catch a panic.

pub mod programs;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use heap_api::{Cx, Trace};

/// `usual`, or `few` under Miri, which is some thousand times slower.
#[must_use]
pub const fn few_under_miri(usual: usize, few: usize) -> usize {
    if cfg!(miri) { few } else { usual }
}

/// Runs the verifier, but not under Miri: it looks at every page of every arena, which takes minutes
/// there.
///
/// # Panics
///
/// If an invariant is broken.
#[track_caller]
pub fn verify(cx: &mut Cx) {
    if !cfg!(miri) {
        cx.verify().unwrap();
    }
}

/// Steps until marking is under way: before it come steps that prepare it.
///
/// # Panics
///
/// If a step completes the collection.
#[track_caller]
pub fn begin_marking(cx: &mut Cx) {
    let heap = cx.heap();
    let steps = heap.stats().steps;
    while heap.stats().steps == steps {
        assert!(!cx.collect_step(), "marked in one step");
    }
}

/// How many [`Counted`] values were made and dropped.
#[derive(Debug, Default)]
pub struct Counter {
    made: AtomicU64,
    dropped: AtomicU64,
    broken: AtomicU64,
}

impl Counter {
    /// A new counter at zero.
    #[must_use]
    pub fn new() -> Arc<Counter> {
        Arc::default()
    }

    /// A value that counts here.
    #[must_use]
    pub fn value(self: &Arc<Self>, id: u64) -> Counted {
        self.made.fetch_add(1, Ordering::Relaxed);
        Counted { counter: Arc::clone(self), id, canary: CANARY ^ id }
    }

    /// Values made so far.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Values dropped so far.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Checks that all values are gone, each dropped once and intact.
    ///
    /// # Panics
    ///
    /// If not.
    #[track_caller]
    pub fn assert_balanced(&self) {
        assert_eq!(
            self.broken.load(Ordering::Relaxed),
            0,
            "a value was overwritten or dropped twice"
        );
        assert_eq!(self.dropped(), self.made(), "dropped and made");
    }
}

const CANARY: u64 = 0x5AFE_C0DE_0123_4567;

/// A value with a destructor, that notices when it is dropped twice or when
/// somebody writes over it.
#[derive(Debug, Trace)]
#[trace(leaf)]
pub struct Counted {
    counter: Arc<Counter>,
    id: u64,
    canary: u64,
}

impl Counted {
    /// Where it is counted.
    #[must_use]
    pub fn counter(&self) -> &Arc<Counter> {
        &self.counter
    }

    /// The number it was made with.
    ///
    /// # Panics
    ///
    /// If it was overwritten.
    #[must_use]
    #[track_caller]
    pub fn id(&self) -> u64 {
        assert_eq!(self.canary, CANARY ^ self.id, "the value was overwritten");
        self.id
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.canary != CANARY ^ self.id {
            self.counter.broken.fetch_add(1, Ordering::Relaxed);
        }
        self.canary = !self.canary;
        self.counter.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs `body`; the message of its panic, if it panics with one.
///
/// # Errors
///
/// The message.
pub fn catch<R>(body: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => payload.downcast::<&str>().map_or("?".into(), |message| (*message).into()),
    })
}

/// Unwinds without the noise of a panic message.
pub fn unwind() -> ! {
    resume_unwind(Box::new("unwinding on purpose"))
}

/// An object of a type of the standard library, made in this crate.
pub fn a_vector(cx: &heap_api::Cx) -> heap_api::AnyGc<'_> {
    cx.alloc(vec![1_u64, 2, 3]).erase()
}
