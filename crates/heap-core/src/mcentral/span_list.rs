//! [`SpanList`]: a set of spans that takes every span, also where the system has no memory for the set.
//!
//! The spans that the set refuses are linked through their records, under a lock: whoever releases a
//! span cannot be told, and without a list its objects would be lost. They come out when the set is
//! empty.
//!
//! * N3: a span that is listed is in the set or in the chain, once. The chain changes under the lock, and
//!   so do the links of the spans in it.

use core::ptr::{self, NonNull};

use heap_sync::atomic::{AtomicPtr, Ordering};
use heap_sync::lock::Mutex;

use crate::mspan::Span;
use crate::span_set::SpanSet;

/// Spans of one list and partition.
#[derive(Debug, Default)]
pub(crate) struct SpanList {
    set: SpanSet<Span>,
    /// The first of the spans for which the set had no memory.
    chain: AtomicPtr<Span>,
    changing: Mutex<()>,
}

impl SpanList {
    /// Adds a span.
    ///
    /// # Safety
    ///
    /// It is a record of the heap that the list is of, and in no list.
    pub(crate) unsafe fn push(&self, span: NonNull<Span>) {
        // SAFETY: forwarded from the caller.
        unsafe { self.push_many(&[span]) };
    }

    /// Adds several spans, at about the cost of one.
    ///
    /// # Safety
    ///
    /// As [`SpanList::push`], for each.
    pub(crate) unsafe fn push_many(&self, spans: &[NonNull<Span>]) {
        let refused = self.set.try_push_many(spans);
        if !refused.is_empty() {
            // SAFETY: forwarded from the caller.
            unsafe { self.chain(refused) };
        }
    }

    /// # Safety
    ///
    /// As [`SpanList::push`], for each.
    #[cold]
    unsafe fn chain(&self, spans: &[NonNull<Span>]) {
        let _changing = self.changing.lock();
        for span in spans {
            // SAFETY: F1: records live as long as the heap, and with it its lists.
            let link = unsafe { span.as_ref() }.link();
            // ORDERING: Relaxed, here and in `unchain`: the lock orders them. Without it the chain is
            // only asked whether there is one.
            link.store(self.chain.load(Ordering::Relaxed), Ordering::Relaxed);
            self.chain.store(span.as_ptr(), Ordering::Relaxed);
        }
    }

    /// Takes a span out, or returns `None` if there is none.
    pub(crate) fn pop(&self) -> Option<NonNull<Span>> {
        let mut span = None;
        self.pop_many(1, |popped| span = Some(popped));
        span
    }

    /// Takes up to `most` spans out, and hands them to `sink`. Returns how many; zero only where
    /// [`SpanList::pop`] would have returned `None`.
    pub(crate) fn pop_many(&self, most: usize, mut sink: impl FnMut(NonNull<Span>)) -> usize {
        match self.set.pop_many(most, &mut sink) {
            // ORDERING: Relaxed: a thread that knows of a push knows of the chain that it made.
            0 if !self.chain.load(Ordering::Relaxed).is_null() => self.unchain(most, sink),
            found => found,
        }
    }

    #[cold]
    fn unchain(&self, most: usize, mut sink: impl FnMut(NonNull<Span>)) -> usize {
        for found in 0..most {
            let changing = self.changing.lock();
            let Some(span) = NonNull::new(self.chain.load(Ordering::Relaxed)) else { return found };
            // SAFETY: F1, as in `chain`.
            let next = unsafe { span.as_ref() }.link().swap(ptr::null_mut(), Ordering::Relaxed);
            self.chain.store(next, Ordering::Relaxed);
            drop(changing);
            sink(span);
        }
        most
    }

    /// Whether a pop would have found nothing at some moment during this call.
    pub(crate) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.chain.load(Ordering::Relaxed).is_null()
    }

    /// How many spans there are; exact only while no thread pushes or pops.
    #[cfg(all(test, not(heap_loom)))]
    pub(crate) fn len(&self) -> usize {
        let _changing = self.changing.lock();
        let first = NonNull::new(self.chain.load(Ordering::Relaxed));
        // SAFETY: F1, as in `chain`.
        let next = |span: &NonNull<Span>| unsafe { span.as_ref() }.link().load(Ordering::Relaxed);
        self.set.len() + core::iter::successors(first, |span| NonNull::new(next(span))).count()
    }
}

#[cfg(all(test, not(heap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn spans_without_a_place_in_the_set_come_out_once() {
        let spans: Vec<Span> = (0..10).map(|_| Span::dead()).collect();
        let all: Vec<_> = spans.iter().map(NonNull::from).collect();
        let list = SpanList::default();
        // SAFETY: they outlive the list, and are in none.
        unsafe {
            list.push_many(&all[..3]);
            list.chain(&all[3..]);
        }
        assert!(list.len() == 10 && !list.is_empty());
        let mut popped = Vec::new();
        while list.pop_many(4, |span| popped.push(span)) > 0 {}
        assert!(list.is_empty() && list.pop().is_none());
        popped.sort_unstable();
        assert_eq!(popped, all);
        // They may be listed again.
        // SAFETY: as above.
        unsafe { list.chain(&all) };
        assert_eq!(list.len(), 10);
    }
}
