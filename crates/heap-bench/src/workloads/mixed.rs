//! `mixed`: N arrays of 8 bytes to 64 KiB whose sizes follow a power law (each
//! octave half as frequent as the one below), half of words, half of handles.
//! One in twenty replaces a survivor in a table; a handle array's first slot
//! goes to the words of a survivor. Every mutator has a table of its own.

use std::cell::Cell;

use heap_api::{Cx, Gc, GcCell, Root, Trace};

use crate::args::RunArgs;
use crate::measure::Outcome;
use crate::rng::{SEED, Xorshift64};
use crate::session::{on_mutators, poll, share};

/// Places for survivors, over all mutators.
const SURVIVORS: usize = 32_768;
const LONGEST: usize = 8192;

type Words = [Cell<u64>];
type Refs<'gc> = [GcCell<Option<Gc<'gc, Words>>>];

/// A survivor, of which at most one is there.
#[derive(Trace)]
struct Place<'gc> {
    words: GcCell<Option<Gc<'gc, Words>>>,
    refs: GcCell<Option<Gc<'gc, Refs<'gc>>>>,
}

/// One step, drawn from one random number.
struct Step {
    kind: ArrayKind,
    length: usize,
    place: usize,
    survives: bool,
}

enum ArrayKind {
    Words,
    Refs,
}

impl Step {
    fn draw(rng: &mut Xorshift64, places: usize) -> Step {
        let r = rng.draw();
        let octave = (r | 1 << 13).trailing_zeros();
        Step {
            kind: if r >> 63 == 0 { ArrayKind::Words } else { ArrayKind::Refs },
            length: ((1 << octave) + ((r >> 32) as usize & ((1 << octave) - 1))).min(LONGEST),
            place: (r >> 20 & 0xfffff) as usize % places,
            survives: (r >> 16).is_multiple_of(20),
        }
    }
}

pub(super) fn run(args: &RunArgs, size: usize, cx: &mut Cx) -> Outcome {
    Outcome::of(on_mutators(cx, args.mutators, |mutator, cx| {
        let places = SURVIVORS / args.mutators;
        let table: Root<[Place<'static>]> = cx.root(cx.alloc_slice_fn(places, |_| Place {
            words: GcCell::new(None),
            refs: GcCell::new(None),
        }));
        let mut rng = Xorshift64(SEED + mutator as u64);
        for i in 0..share(size, mutator, args.mutators).len() {
            let step = Step::draw(&mut rng, places);
            allocate(cx, &table.get(cx)[step.place], &step, i as u64);
            poll(cx);
        }
        table.get(cx).iter().map(check).sum()
    }))
}

fn allocate<'gc>(cx: &'gc Cx, place: &Place<'gc>, step: &Step, i: u64) {
    match step.kind {
        ArrayKind::Words => {
            let words = cx.alloc_slice_zeroed::<Cell<u64>>(step.length);
            words[0].set(i);
            words[step.length - 1].set(i);
            if step.survives {
                place.words.set(cx, Some(words));
                place.refs.set(cx, None);
            }
        }
        ArrayKind::Refs => {
            let refs = cx.alloc_slice_zeroed::<GcCell<Option<Gc<'_, Words>>>>(step.length);
            if let Some(words) = place.words.get() {
                refs[0].set(cx, Some(words));
            }
            if step.survives {
                place.words.set(cx, None);
                place.refs.set(cx, Some(refs));
            }
        }
    }
}

fn check(place: &Place<'_>) -> u64 {
    let mut sum = 0;
    if let Some(words) = place.words.get() {
        assert_eq!(words[0], words[words.len() - 1], "words were overwritten");
        sum += words[0].get() + words.len() as u64;
    }
    if let Some(refs) = place.refs.get() {
        sum += refs.len() as u64 + refs[0].get().map_or(0, |words| words[0].get());
    }
    sum
}
