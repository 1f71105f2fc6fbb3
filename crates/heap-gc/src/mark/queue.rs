//! [`Queue`]: where a worker keeps the pages that it has to scan.

use std::collections::VecDeque;

use crossbeam_deque::Worker as Deque;
use heap_core::location::Location;
use heap_core::page_flag::{MarkMode, Parallel, Serial};
use heap_core::prefetch::prefetch_later;

/// A page with grey objects: its first byte.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page(Location);

impl Page {
    /// The page that an object of the heap being marked lies on.
    #[inline(always)]
    pub(crate) fn of(object: Location) -> Page {
        Page(object.page())
    }

    /// Its first byte.
    #[inline(always)]
    pub(super) fn location(self) -> Location {
        self.0
    }
}

/// The pages of a worker.
pub(super) trait Queue {
    /// Whether other workers mark at the same time.
    type MarkMode: MarkMode;
    fn push(&mut self, page: Page);
    fn pop(&mut self) -> Option<Page>;
    fn is_empty(&self) -> bool;
}

impl Queue for VecDeque<Page> {
    type MarkMode = Serial;
    #[inline(always)]
    fn push(&mut self, page: Page) {
        self.push_back(page);
    }
    #[inline(always)]
    fn pop(&mut self) -> Option<Page> {
        let page = self.pop_front()?;
        // The marks of the page after next will be there when it is its turn.
        if let Some(soon) = self.get(1) {
            for line in soon.0.page_marks().chunks_exact(64) {
                prefetch_later(line.as_ptr().cast());
            }
        }
        Some(page)
    }
    #[inline(always)]
    fn is_empty(&self) -> bool {
        VecDeque::is_empty(self)
    }
}

impl Queue for Deque<Page> {
    type MarkMode = Parallel;
    #[inline(always)]
    fn push(&mut self, page: Page) {
        Deque::push(self, page);
    }
    #[inline(always)]
    fn pop(&mut self) -> Option<Page> {
        Deque::pop(self)
    }
    #[inline(always)]
    fn is_empty(&self) -> bool {
        Deque::is_empty(self)
    }
}
