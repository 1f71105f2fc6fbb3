//! The parts of `std::sync` that [`crate::lock`] is made of, annotated for
//! ThreadSanitizer. Only under `--cfg heap_tsan` (`scripts/sanitize.sh thread`).
//!
//! The sanitizer follows atomics and locks in instrumented code, and the standard library
//! is not instrumented: it sees the inlined compare-and-swap on a lock that was free, but
//! not what a thread does that had to wait, and nothing of a condition variable. It would
//! report each such hand-over as a race. So the hand-overs are announced: a thread that
//! is about to unlock *releases* a name of the lock, and one that has locked *acquires*
//! that name. The name is the lock's address. Readers that share a lock are not ordered
//! among each other: they release another name, the next address, which writers acquire
//! too.
//!
//! * TS1: the release comes before the unlocking, the acquire after the locking: no more
//!   order is announced than the lock gives.

use core::ops::{Deref, DerefMut};
pub use std::sync::Arc;
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};

// The sanitizer's own interface, `sanitizer/tsan_interface.h`.
unsafe extern "C" {
    fn __tsan_acquire(address: *mut u8);
    fn __tsan_release(address: *mut u8);
}

/// An address that releases and acquires refer to.
type Name = *mut u8;

fn acquire(name: Name) {
    // SAFETY: the sanitizer uses the address as a name and does not access it.
    unsafe { __tsan_acquire(name) };
}

fn release(name: Name) {
    // SAFETY: as in `acquire`.
    unsafe { __tsan_release(name) };
}

/// The name that the end of an exclusive guard releases.
fn owners<L>(lock: &L) -> Name {
    core::ptr::from_ref(lock).cast_mut().cast()
}

/// The name that the end of a shared guard releases. Locks are longer than a byte.
fn readers<L>(lock: &L) -> Name {
    owners(lock).wrapping_add(1)
}

/// `std::sync::Mutex`, announced.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// As `std`'s.
    pub(crate) fn new(value: T) -> Self {
        Mutex(std::sync::Mutex::new(value))
    }

    /// As `std`'s, without poisoning.
    ///
    /// # Errors
    ///
    /// Never.
    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Announced::new(guard, &[owners(self)], owners(self)))
    }

    /// As `std`'s, without poisoning.
    ///
    /// # Errors
    ///
    /// If the lock is taken.
    pub(crate) fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        let guard = match self.0.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(TryLockError::WouldBlock),
        };
        Ok(Announced::new(guard, &[owners(self)], owners(self)))
    }
}

/// A guard of a lock, announced.
#[derive(Debug)]
pub struct Announced<G> {
    /// `None` only while a condition variable has it.
    guard: Option<G>,
    /// What its end releases.
    name: Name,
}

/// `std::sync::MutexGuard`, announced.
pub type MutexGuard<'a, T> = Announced<std::sync::MutexGuard<'a, T>>;
/// `std::sync::RwLockReadGuard`, announced.
pub type RwLockReadGuard<'a, T> = Announced<std::sync::RwLockReadGuard<'a, T>>;
/// `std::sync::RwLockWriteGuard`, announced.
pub type RwLockWriteGuard<'a, T> = Announced<std::sync::RwLockWriteGuard<'a, T>>;

impl<G> Announced<G> {
    /// A guard that was just taken, ordered after all releases of the names in `before`.
    fn new(guard: G, before: &[Name], name: Name) -> Self {
        before.iter().copied().for_each(acquire);
        Announced { guard: Some(guard), name }
    }
}

impl<G: Deref> Deref for Announced<G> {
    type Target = G::Target;
    fn deref(&self) -> &G::Target {
        self.guard.as_ref().expect("no condition variable has it")
    }
}

impl<G: DerefMut> DerefMut for Announced<G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        self.guard.as_mut().expect("no condition variable has it")
    }
}

impl<G> Drop for Announced<G> {
    fn drop(&mut self) {
        if self.guard.is_some() {
            release(self.name);
        }
    }
}

/// `std::sync::RwLock`, announced.
#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(std::sync::RwLock<T>);

impl<T> RwLock<T> {
    /// As `std`'s.
    pub(crate) fn new(value: T) -> Self {
        RwLock(std::sync::RwLock::new(value))
    }

    /// As `std`'s, without poisoning.
    ///
    /// # Errors
    ///
    /// Never.
    pub(crate) fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        let guard = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok(Announced::new(guard, &[owners(self)], readers(self)))
    }

    /// As `std`'s, without poisoning.
    ///
    /// # Errors
    ///
    /// Never.
    pub(crate) fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        let guard = self.0.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Announced::new(guard, &[owners(self), readers(self)], owners(self)))
    }

    /// As `std`'s, without poisoning.
    ///
    /// # Errors
    ///
    /// Never.
    pub(crate) fn get_mut(&mut self) -> LockResult<&mut T> {
        Ok(self.0.get_mut().unwrap_or_else(PoisonError::into_inner))
    }
}

/// `std::sync::Condvar`, announced.
#[derive(Debug, Default)]
pub(crate) struct Condvar(std::sync::Condvar);

impl Condvar {
    /// As `std`'s.
    #[must_use]
    pub(crate) fn new() -> Self {
        Condvar::default()
    }

    /// As `std`'s, without poisoning.
    ///
    /// # Errors
    ///
    /// Never.
    pub(crate) fn wait<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
    ) -> LockResult<MutexGuard<'a, T>> {
        release(guard.name);
        let inner = guard.guard.take().expect("no other condition variable has it");
        guard.guard = Some(self.0.wait(inner).unwrap_or_else(PoisonError::into_inner));
        acquire(guard.name);
        Ok(guard)
    }

    /// As `std`'s, without poisoning.
    ///
    /// # Errors
    ///
    /// Never.
    pub(crate) fn wait_timeout<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        time: std::time::Duration,
    ) -> LockResult<(MutexGuard<'a, T>, std::sync::WaitTimeoutResult)> {
        release(guard.name);
        let inner = guard.guard.take().expect("no other condition variable has it");
        let (inner, result) =
            self.0.wait_timeout(inner, time).unwrap_or_else(PoisonError::into_inner);
        guard.guard = Some(inner);
        acquire(guard.name);
        Ok((guard, result))
    }

    /// As `std`'s.
    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    /// As `std`'s.
    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}
