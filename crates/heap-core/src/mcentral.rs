//! [`Central`]: the spans of one kind and size class that no mutator caches.
//! (Go: `mcentral.go`.)
//!
//! Two lists, spans with free slots and spans without, each in two halves: the
//! swept and the unswept ones. When the clock advances the halves swap roles.
//! Lock-free, but where memory was refused: the lists are [`SpanSet`](crate::span_set::SpanSet)s, each
//! with a chain for spans that find no place ([`SpanList`]). A mutator takes what a list gives, in
//! about the order in which the spans were swept: fullest, emptiest and lowest
//! first were measured, see `docs/decisions/006-span-choice.md`.
//!
//! Each list is in shards, one for each [`Partition`]. A span is in the shard that its pages
//! belong to, or belonged to when it was listed; a mutator looks in the shard of its own
//! partition first.
//!
//! * N1: a span in a swept half has phase `Swept`; in an unswept half it has
//!   phase `NeedsSweep`.
//! * N2: a thread that pops a span does not own it yet; a claim or a cache token is
//!   ownership.

#[allow(unsafe_code, reason = "links span records")]
mod span_list;

use core::ptr::NonNull;

use crossbeam_utils::CachePadded;

pub(crate) use span_list::SpanList;

use crate::kind::ObjectKind;
use crate::mspan::Span;
use crate::partition::{PARTITIONS_MAX, Partition};
use crate::size_class::SizeClass;
use crate::stats::ClassCounts;
use crate::sweep_gen::SweepGen;

/// A list in shards. They lie side by side, because a search for spans often finds the first
/// ones empty.
#[derive(Debug)]
pub(crate) struct Shards([SpanList; PARTITIONS_MAX]);

impl Shards {
    fn new() -> Shards {
        Shards(core::array::from_fn(|_| SpanList::default()))
    }

    /// One of the shards.
    pub(crate) fn at(&self, partition: Partition) -> &SpanList {
        &self.0[partition.index()]
    }

    /// Takes up to `most` spans out of the first shard that has any, beginning at
    /// `partition`, and hands them to `sink`. Returns how many.
    pub(crate) fn pop_many(
        &self,
        partition: Partition,
        most: usize,
        mut sink: impl FnMut(NonNull<Span>),
    ) -> usize {
        let (before, from_partition) = self.0.split_at(partition.index());
        let mut shards = from_partition.iter().chain(before);
        shards
            .find_map(|shard| Some(shard.pop_many(most, &mut sink)).filter(|n| *n > 0))
            .unwrap_or(0)
    }

    /// The shards.
    pub(crate) fn all(&self) -> impl Iterator<Item = &SpanList> {
        self.0.iter()
    }
}

/// The lists of one kind and size class.
#[derive(Debug)]
pub struct Central {
    kind: &'static ObjectKind,
    class: SizeClass,
    partial: [Shards; 2],
    full: [Shards; 2],
    counts: CachePadded<ClassCounts>,
}

impl Central {
    pub(crate) fn new(kind: &'static ObjectKind, class: SizeClass) -> Central {
        Central {
            kind,
            class,
            partial: [Shards::new(), Shards::new()],
            full: [Shards::new(), Shards::new()],
            counts: CachePadded::default(),
        }
    }

    /// Kind of the objects.
    #[must_use]
    pub(crate) fn kind(&self) -> &'static ObjectKind {
        self.kind
    }

    /// Size class of the slots.
    #[must_use]
    pub(crate) fn class(&self) -> SizeClass {
        self.class
    }

    /// The objects, spans and pages of the kind and class.
    #[must_use]
    pub(crate) fn counts(&self) -> &ClassCounts {
        &self.counts
    }

    /// Swept spans with free slots.
    pub(crate) fn partial_swept(&self, now: SweepGen) -> &Shards {
        &self.partial[now.swept_half()]
    }

    /// Swept spans without free slots.
    pub(crate) fn full_swept(&self, now: SweepGen) -> &Shards {
        &self.full[now.swept_half()]
    }

    /// Unswept spans that had free slots.
    pub(crate) fn partial_unswept(&self, now: SweepGen) -> &Shards {
        &self.partial[now.unswept_half()]
    }

    /// Unswept spans that had no free slots.
    pub(crate) fn full_unswept(&self, now: SweepGen) -> &Shards {
        &self.full[now.unswept_half()]
    }
}
