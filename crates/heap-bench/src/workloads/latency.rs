//! `latency`: a ring of N live messages of 1 KiB beside a live tree of depth 19.
//! A message is zeroed memory with its number in the first eight bytes and the
//! number's lowest byte in the last. 5 N pushes replace the oldest message each;
//! every push is timed, together with the safepoint poll behind it.

use std::cell::Cell;
use std::time::Instant;

use heap_api::{Cx, Gc, GcCell, Root};

use super::trees::{Node, bottom_up, checked};
use crate::args::RunArgs;
use crate::measure::Outcome;
use crate::session::{batches, poll};

const MESSAGE_BYTES: usize = 1024;
const TREE_DEPTH: usize = 19;

type Message = [Cell<u8>; MESSAGE_BYTES];
type Ring<'gc> = [GcCell<Option<Gc<'gc, Message>>>];

fn push(cx: &Cx, ring: &Root<Ring<'static>>, i: usize) {
    let message = cx.alloc_zeroed::<Message>();
    for (byte, number) in message.iter().zip((i as u64).to_le_bytes()) {
        byte.set(number);
    }
    message[MESSAGE_BYTES - 1].set(i as u8);
    let ring = ring.get(cx);
    ring[i % ring.len()].set(cx, Some(message));
}

pub(super) fn run(_: &RunArgs, size: usize, cx: &mut Cx) -> Outcome {
    let tree: Root<Node<'static>> = cx.root(bottom_up(cx, TREE_DEPTH));
    let empty: Gc<'_, Ring<'_>> = cx.alloc_slice_zeroed(size);
    let ring: Root<Ring<'static>> = cx.root(empty);
    for batch in batches(size) {
        for i in batch {
            push(cx, &ring, i);
        }
        poll(cx);
    }
    let start = Instant::now();
    let mut nanos: Vec<u64> = (0..5 * size)
        .map(|i| {
            let t = Instant::now();
            push(cx, &ring, size + i);
            poll(cx);
            t.elapsed().as_nanos() as u64
        })
        .collect();
    let wall = start.elapsed();
    let sum = check(&ring.get(cx)) + checked(&tree.get(cx), TREE_DEPTH);
    nanos.sort_unstable();
    let at = |per10000: usize| nanos[(nanos.len() - 1) * per10000 / 10_000] as f64 / 1e3;
    Outcome::of(sum)
        .timed(wall)
        .with("p50_us", format_args!("{:.2}", at(5000)))
        .with("p99.9_us", format_args!("{:.2}", at(9990)))
        .with("p99.99_us", format_args!("{:.2}", at(9999)))
        .with("max_us", format_args!("{:.2}", at(10_000)))
}

fn check(ring: &Ring<'_>) -> u64 {
    let mut sum = 0;
    for slot in ring {
        let message = slot.get().expect("every place has a message");
        let i = u64::from_le_bytes(std::array::from_fn(|k| message[k].get()));
        assert_eq!(message[MESSAGE_BYTES - 1].get(), i as u8, "message was overwritten");
        sum += i;
    }
    sum
}
