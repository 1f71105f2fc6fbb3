//! Labels, and gotos that wait for theirs, of a function under construction.
//!
//! Both are stacks with an index by name, so that a generated function may have any number of them.
//!
//! # Invariants
//! * Labels have different names, except for [`BREAK`], which is not in the index: nothing
//!   jumps back to the end of a loop.
//! * J2: A goto keeps its place in the stack until it is taken; the places above the last goto are
//!   given up.

use std::collections::HashMap;

use super::exp::JumpList;
use super::scope::Closing;

/// The name under which `break` looks for the end of its loop; no source label can have it.
pub(super) const BREAK: &[u8] = b"break";

/// A label that can be jumped to.
pub(super) struct Label<'s> {
    pub(super) name: &'s [u8],
    pub(super) line: u32,
    pub(super) pc: usize,
    pub(super) locals: usize,
}

/// The labels in scope.
#[derive(Default)]
pub(super) struct Labels<'s> {
    stack: Vec<Label<'s>>,
    by_name: HashMap<&'s [u8], usize>,
}

impl<'s> Labels<'s> {
    pub(super) fn len(&self) -> usize {
        self.stack.len()
    }

    pub(super) fn push(&mut self, label: Label<'s>) {
        if label.name != BREAK {
            self.by_name.insert(label.name, self.stack.len());
        }
        self.stack.push(label);
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<&Label<'s>> {
        self.by_name.get(name).map(|&place| &self.stack[place])
    }

    /// Takes the labels from place `length` on out of scope.
    pub(super) fn truncate(&mut self, length: usize) {
        for label in self.stack.drain(length.min(self.stack.len())..) {
            self.by_name.remove(label.name);
        }
    }
}

/// A goto whose label has not been seen.
pub(super) struct PendingGoto<'s> {
    pub(super) name: &'s [u8],
    pub(super) line: u32,
    pub(super) jumps: JumpList,
    pub(super) locals: usize,
    /// What has to be closed at its label because of the blocks that it leaves.
    pub(super) closing: Closing,
}

/// The gotos that wait, in the order of the source.
#[derive(Default)]
pub(super) struct Gotos<'s> {
    /// `None`: taken (J2).
    stack: Vec<Option<PendingGoto<'s>>>,
    /// Their places, in order.
    by_name: HashMap<&'s [u8], Vec<usize>>,
}

impl<'s> Gotos<'s> {
    /// The place of the next one.
    pub(super) fn len(&self) -> usize {
        self.stack.len()
    }

    pub(super) fn push(&mut self, goto: PendingGoto<'s>) {
        self.by_name.entry(goto.name).or_default().push(self.stack.len());
        self.stack.push(Some(goto));
    }

    /// The first one from place `first` on.
    pub(super) fn first_since(&self, first: usize) -> Option<&PendingGoto<'s>> {
        self.stack.get(first..)?.iter().flatten().next()
    }

    /// Those from place `first` on.
    pub(super) fn since_mut(
        &mut self,
        first: usize,
    ) -> impl Iterator<Item = &mut PendingGoto<'s>> + use<'_, 's> {
        self.stack.iter_mut().skip(first).flatten()
    }

    /// Takes those for `name` from place `first` on.
    pub(super) fn take(&mut self, name: &[u8], first: usize) -> Vec<PendingGoto<'s>> {
        let Some(places) = self.by_name.get_mut(name) else { return Vec::new() };
        let start = places.partition_point(|&place| place < first);
        let taken = places.drain(start..).filter_map(|place| self.stack[place].take()).collect();
        let left = self.stack.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.stack.truncate(left);
        taken
    }
}
