//! The phases of a collection, caches and spans have contracts.
#![forbid(unsafe_code)]
use heap_core::gcbits::PartitionBits;
use heap_core::kind::NOSCAN;
use heap_core::mcache::Cache;
use heap_core::mheap::{CoreConfig, Fill, MHeap};
use heap_core::os::SystemOs;
use heap_core::partition::Partition;

fn main() {
    let config = CoreConfig { max_bytes: None, huge_pages: heap_core::mheap::HugePages::Never, poison: false };
    let heap = MHeap::new(config, Box::new(SystemOs));
    let _ = Cache::at(Partition::default());
    let _ = heap.alloc_large(&NOSCAN, 8, Fill::Whole);
    heap.before_mark();
    heap.begin_allocate_black();
    heap.end_allocate_black();
    heap.start_sweep();
    PartitionBits::default().rotate();
}
