//! [`MarkJob`]: what the workers of a step of marking share.

use std::collections::VecDeque;

use crossbeam_deque::Stealer;
use heap_core::marks::Isa;
use heap_sync::atomic::AtomicBool;
use heap_sync::lock::Mutex;

use super::deadline::Deadline;
use super::ephemerons::Ephemerons;
use super::pieces::{Pieces, SharedPiece};
use super::queue::Page;
use super::termination::Termination;

/// What the workers of a step share.
#[derive(Debug)]
pub(super) struct MarkJob<'p> {
    pub(super) isa: Isa,
    pub(super) stealers: &'p [Stealer<Page>],
    pub(super) termination: Termination,
    pub(super) pieces: Pieces,
    /// When to leave the work for later.
    pub(super) deadline: Deadline,
    /// Pages that were left for later.
    pub(super) left: Mutex<VecDeque<Page>>,
    /// Whether a page was lost (MK5).
    pub(super) pages_lost: AtomicBool,
    /// Changed by a worker that is alone, and read by all (EP2); besides, workers that end leave here
    /// what they have found.
    pub(super) ephemerons: Mutex<Ephemerons>,
}

impl<'p> MarkJob<'p> {
    pub(super) fn new(
        isa: Isa,
        stealers: &'p [Stealer<Page>],
        pieces: Vec<SharedPiece>,
        ephemerons: Ephemerons,
        deadline: Deadline,
    ) -> MarkJob<'p> {
        MarkJob {
            isa,
            stealers,
            termination: Termination::new(),
            pieces: Pieces::new(pieces),
            deadline,
            left: Mutex::default(),
            pages_lost: AtomicBool::new(false),
            ephemerons: Mutex::new(ephemerons),
        }
    }
}
