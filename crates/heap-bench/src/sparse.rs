//! `heap-bench sparse`: what zeroed objects cost of which the program uses one word each.
//!
//! One line of `key=value` pairs, with the resident size before and after. No time: it is about memory.

use heap_api::{Config, GcCell, Heap, Root};

use crate::args::SparseArgs;
use crate::measure::rss_mb;

pub(crate) fn run(args: &SparseArgs) {
    let heap = Heap::new(Config::new().huge_pages(!args.small_pages));
    let mut cx = heap.enter();
    let words = args.bytes.div_ceil(size_of::<u64>());
    let before = rss_mb();
    let mut kept: Vec<Root<[GcCell<u64>]>> = Vec::with_capacity(args.objects);
    for _ in 0..args.objects {
        let object = cx.alloc_slice_zeroed::<GcCell<u64>>(words);
        object[0].set(&cx, 1);
        kept.push(cx.root(object));
        cx.safepoint();
    }
    let after = rss_mb();
    let sum: u64 = kept.iter().map(|object| object.get(&cx)[0].get()).sum();
    println!(
        "case=sparse objects={} bytes={} small_pages={} rss_before_mb={before:.1} \
         rss_mb={after:.1} gcs={} sum={sum}",
        args.objects,
        words * size_of::<u64>(),
        args.small_pages,
        heap.stats().collections,
    );
}
