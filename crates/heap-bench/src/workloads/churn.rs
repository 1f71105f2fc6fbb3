//! `churn`: N short-lived cells of a handle and a word. Sixty-four hang together
//! in a chain; of each chain the last two are read back, then all is dropped. The
//! mutators take the chains [`JOB`] at a time.

use std::ops::Range;

use heap_api::{Cx, Gc, Trace};

use crate::args::RunArgs;
use crate::measure::Outcome;
use crate::session::{Jobs, on_mutators, poll};

const CHAIN_LENGTH: usize = 64;
/// Chains in a job: a megabyte.
const JOB: usize = 1024;

#[derive(Trace)]
struct Cell<'gc> {
    next: Option<Gc<'gc, Cell<'gc>>>,
    value: i64,
}

fn chain(cx: &Cx, values: Range<usize>) -> u64 {
    let mut last = None;
    for i in values {
        last = Some(cx.alloc(Cell { next: last, value: i as i64 }));
    }
    last.map_or(0, |last: Gc<'_, Cell<'_>>| {
        (last.value as u64).wrapping_add(last.next.map_or(0, |next| next.value as u64))
    })
}

pub(super) fn run(args: &RunArgs, size: usize, cx: &mut Cx) -> Outcome {
    let chains = size.div_ceil(CHAIN_LENGTH);
    let jobs = Jobs::default();
    Outcome::of(on_mutators(cx, args.mutators, |_, cx| {
        let mut sum = 0_u64;
        while let first = jobs.take() * JOB
            && first < chains
        {
            for c in first..(first + JOB).min(chains) {
                let values = c * CHAIN_LENGTH..((c + 1) * CHAIN_LENGTH).min(size);
                sum = sum.wrapping_add(chain(cx, values));
                poll(cx);
            }
        }
        sum
    }))
}
