//! Compares the statistics by kind and size class with a recount. Part of
//! [`super::verify`].

use std::collections::HashMap;

use super::{Caches, VerifyError, ensure};
use crate::mheap::MHeap;
use crate::mspan::Body;

/// Spans, pages, objects and bytes of a kind and class.
type Row = (usize, usize, u64, u64);

/// Z3, Z4: the statistics by kind and class equal a recount, and add up.
pub(super) fn check<'b>(
    heap: &MHeap,
    bodies: impl Iterator<Item = &'b Body>,
    caches: Caches,
) -> Result<(), VerifyError> {
    let mut recount = HashMap::<(usize, usize), Row>::new();
    for body in bodies {
        ensure(body.counted <= body.allocated, "Z3", || {
            format!("more objects are counted than there are: {body:?}")
        })?;
        ensure(caches == Caches::InUse || body.counted == body.allocated, "Z3", || {
            format!("the span is in no cache, and some of its objects are not counted: {body:?}")
        })?;
        let key = (body.kind.address(), body.class.index());
        let row = recount.entry(key).or_default();
        row.0 += 1;
        row.1 += body.npages;
        row.2 += body.counted as u64;
        row.3 += (body.counted * body.slot_bytes) as u64;
    }
    let usage = heap.usage();
    for row in &usage.rows {
        let key = (row.kind.address(), row.class.index());
        let counted = recount.remove(&key).unwrap_or_default();
        let live = (row.objects.allocated_objects.wrapping_sub(row.objects.freed_objects))
            == counted.2
            && row.objects.allocated_bytes.wrapping_sub(row.objects.freed_bytes) == counted.3;
        ensure(live && (row.spans, row.pages) == (counted.0, counted.1), "Z3", || {
            format!("spans, pages, objects and bytes are {counted:?}, not {row:?}")
        })?;
    }
    ensure(recount.is_empty(), "Z3", || format!("spans of no list: {recount:?}"))?;
    ensure(usage.adds_up(), "Z4", || format!("{usage:?}"))
}
