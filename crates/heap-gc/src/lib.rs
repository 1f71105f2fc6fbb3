//! Collection: the policy over [`heap_core`]'s mechanism.
//!
//! # The story of a cycle
//!
//! 1. A mutator takes a span and the heap's live bytes pass the trigger
//!    (`pacing`): a collection is requested (`requests`). Nothing happens yet;
//!    allocation never collects.
//! 2. Some mutator comes to a safepoint: it holds no bare handle. It steps
//!    outside and takes the collector lock; others that come are blocked (`gate`).
//! 3. It finishes the previous sweep while the others still run, then stops the
//!    world (`world`): waits until every mutator is outside.
//! 4. The caches of all mutators are flushed, leftovers swept: now every span is
//!    swept and in a list, and the bitmaps of the cycle before last are recycled.
//! 5. Marking (`mark`), from the owned roots ([`roots`]) and the mutators'
//!    shadow stacks, on the collecting thread and its helpers, waiting mutators among them.
//!    If it is done in slices the world may resume before it is over, and stops again for the next
//!    one; between slices mutators know (`phase`) that they have to report what they
//!    overwrite (`barrier`), and what they make counts as marked. The module `cycle` does all this.
//! 6. Weak handles to what was not reached are cleared; objects with [`finalizers`] that were not
//!    reached are queued, and marked with all they lead to. Then weak tables and ephemerons forget
//!    the rest ([`weak`], `mark::ephemerons`), and so do the records of sampled objects
//!    ([`sampling`]). All this in slices too, if marking was.
//! 7. The sweep clock advances: every span needs sweeping. The next
//!    trigger and the price of allocation are set (`pacing`).
//! 8. The world resumes. Mutators sweep as they allocate: to find room in spans
//!    of their own kind, and to pay for the spans they take. A background thread
//!    may help (`background`).
//!
//! # Layers, bottom-up
//!
//! A module uses only modules to its left. A test checks it.
//!
//! ```text
//! layers: error config external fork gate requests pacing phase mark roots safepoint_times stats
//! layers: barrier sampling weak finalizers background world heap_state cycle verify mutator
//! ```

mod background;
#[allow(unsafe_code, reason = "lists of objects move between threads")]
mod barrier;
mod config;
#[allow(unsafe_code, reason = "says when the memory layer may look at everything")]
mod cycle;
mod error;
mod external;
#[allow(unsafe_code, reason = "addresses of objects that are registered")]
mod finalizers;
#[allow(unsafe_code, reason = "has the system call handlers around a fork")]
mod fork;
#[allow(unsafe_code, reason = "who lists the mutators answers for the list")]
mod gate;
mod heap_state;
#[allow(unsafe_code, reason = "traces objects through their kinds")]
mod mark;
#[allow(unsafe_code, reason = "a mutator's own caches and shadow stack")]
mod mutator;
mod pacing;
mod phase;
mod requests;
#[allow(unsafe_code, reason = "root entries move between threads")]
mod roots;
mod safepoint_times;
#[allow(unsafe_code, reason = "asks the mark bytes of sampled objects")]
mod sampling;
mod stats;
#[allow(unsafe_code, reason = "looks into caches, and traces objects through their kinds")]
mod verify;
#[allow(unsafe_code, reason = "inside-or-stopped access to weak tables")]
mod weak;
#[allow(unsafe_code, reason = "what mutators own, and who may touch it")]
mod world;

pub use config::GcConfig;
pub use error::{BrokenInvariant, ContextLeaked, VerifyError};
pub use external::{ExternalCharge, ExternalRow};
pub use finalizers::FinalizerRegistry;
pub use gate::PollFlag;
pub use heap_core::error::OutOfMemory;
pub use heap_core::mheap::{ClassRow, Destructors, HeapUsage, HistogramRow, MemoryStats};
pub use heap_core::stack::StackBlock;
pub use heap_core::sweep::is_in_destructor;
pub use heap_core::tracer::EdgeBuffer;
pub use heap_state::HeapState;
pub use mutator::{Mutator, StackHook, ThreadExitGuard};
pub use phase::MarkCycleId;
pub use roots::RootEntry;
pub use safepoint_times::SafepointTimes;
pub use sampling::{Frames, SampleTotals, SampledFrame, SampledSite};
pub use stats::Stats;
pub use weak::WeakTable;

#[cfg(test)]
mod tests;
