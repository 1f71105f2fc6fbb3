//! External memory: bytes that objects own elsewhere, outside of the heap's pages.
//!
//! The heap neither has nor sees that memory; an object says how much it is, by a
//! [`ExternalCharge`] that it holds. Charged bytes pace collections as the heap's own do, since
//! only a collection finds the owners that are dead, and count towards the limit if the
//! configuration says so.
//!
//! * EX1: the bytes of a heap are the sum of its charges that live: a charge adds when it is made
//!   or grows, and subtracts when it shrinks or is dropped, with the object that holds it.
//!
//! (V8: `AdjustAmountOfExternalAllocatedMemory`; here a charge belongs to an object, so that none is
//! forgotten.)

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::Arc;

use heap_sync::atomic::{AtomicUsize, Ordering};
use heap_sync::lock::{self, Mutex};

/// The bytes charged to one heap. It outlives the heap if a charge does.
#[derive(Debug, Default)]
pub(crate) struct ExternalTotal {
    bytes: AtomicUsize,
    /// Those that count towards the limit: the memory layer's counter.
    limited: Option<lock::Arc<AtomicUsize>>,
}

impl ExternalTotal {
    pub(crate) fn new(limited: Option<lock::Arc<AtomicUsize>>) -> ExternalTotal {
        ExternalTotal { bytes: AtomicUsize::new(0), limited }
    }

    /// All bytes charged at present.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        // ORDERING: Relaxed: a count.
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether they count towards the limit.
    pub(crate) fn is_limited(&self) -> bool {
        self.limited.is_some()
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn sub(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(limited) = &self.limited {
            limited.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

/// What objects of one type are charged.
#[derive(Debug)]
pub(crate) struct Account {
    total: Arc<ExternalTotal>,
    name: &'static str,
    bytes: AtomicUsize,
    charges: AtomicUsize,
}

/// A row of [`HeapState::external_usage`](crate::HeapState::external_usage).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalRow {
    /// The type that the charges were made for.
    pub type_name: &'static str,
    /// Charges that live.
    pub charges: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// The accounts of one heap.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    pub(crate) total: Arc<ExternalTotal>,
    by_type: Mutex<HashMap<TypeId, Arc<Account>>>,
}

impl Accounts {
    pub(crate) fn new(total: ExternalTotal) -> Accounts {
        Accounts { total: Arc::new(total), by_type: Mutex::default() }
    }

    /// A charge on the account of a type. The caller has [added](ExternalTotal::add) its bytes.
    pub(crate) fn charge<T: 'static>(&self, bytes: usize) -> ExternalCharge {
        let mut by_type = self.by_type.lock();
        let account = by_type.entry(TypeId::of::<T>()).or_insert_with(|| {
            let total = Arc::clone(&self.total);
            let (bytes, charges) = (AtomicUsize::new(0), AtomicUsize::new(0));
            Arc::new(Account { total, name: std::any::type_name::<T>(), bytes, charges })
        });
        account.charges.fetch_add(1, Ordering::Relaxed);
        account.bytes.fetch_add(bytes, Ordering::Relaxed);
        ExternalCharge { account: Arc::clone(account), bytes: AtomicUsize::new(bytes) }
    }

    /// The rows with charges, the one with the most bytes first.
    pub(crate) fn usage(&self) -> Vec<ExternalRow> {
        let by_type = self.by_type.lock();
        let row = |account: &Arc<Account>| ExternalRow {
            type_name: account.name,
            charges: account.charges.load(Ordering::Relaxed),
            bytes: account.bytes.load(Ordering::Relaxed),
        };
        let mut rows: Vec<_> = by_type.values().map(row).filter(|row| row.charges > 0).collect();
        rows.sort_by(|a, b| (b.bytes, a.type_name).cmp(&(a.bytes, b.type_name)));
        rows
    }
}

/// Bytes that one object owns elsewhere. They are discharged when it is dropped.
#[derive(Debug)]
pub struct ExternalCharge {
    account: Arc<Account>,
    bytes: AtomicUsize,
}

impl ExternalCharge {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether it is of the heap with these accounts.
    pub(crate) fn is_of(&self, accounts: &Accounts) -> bool {
        Arc::ptr_eq(&self.account.total, &accounts.total)
    }

    /// Notes that it is `bytes` larger. The caller has [added](ExternalTotal::add) them.
    pub(crate) fn grow(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.account.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Makes it `bytes` smaller, or 0.
    pub fn shrink(&self, bytes: usize) {
        let before = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| {
            Some(before.saturating_sub(bytes))
        });
        let bytes = bytes.min(before.unwrap_or(0));
        self.account.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.account.total.sub(bytes);
    }
}

impl Drop for ExternalCharge {
    fn drop(&mut self) {
        self.shrink(usize::MAX);
        self.account.charges.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(heap_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_the_sum_of_the_charges() {
        let accounts = Accounts::default();
        let charge = |bytes| {
            accounts.total.add(bytes);
            accounts.charge::<String>(bytes)
        };
        let (a, b) = (charge(5), charge(7));
        accounts.total.add(3);
        a.grow(3);
        b.shrink(100);
        assert_eq!((a.bytes(), b.bytes(), accounts.total.bytes()), (8, 0, 8), "EX1");
        let row = ExternalRow { type_name: "alloc::string::String", charges: 2, bytes: 8 };
        assert_eq!(accounts.usage(), [row]);
        drop((a, b));
        assert_eq!((accounts.total.bytes(), accounts.usage()), (0, vec![]), "EX1");
    }
}
