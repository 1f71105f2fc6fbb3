//! How far `Debug` follows handles: objects may lead to themselves, and to each other on more
//! paths than can be printed.
//!
//! A thread remembers the handles that it is printing, from the outermost on. One that is among
//! them, or is nested too deeply, or comes after too many, is printed as type and address.

use core::cell::RefCell;
use core::fmt;

/// Handles within each other.
const DEEPEST: usize = 32;
/// Handles within the outermost one, in all.
const MOST: usize = 1000;

struct Printing {
    addresses: [usize; DEEPEST],
    depth: usize,
    printed: usize,
}

heap_sync::thread::thread_local! {
    static PRINTING: RefCell<Printing> =
        const { RefCell::new(Printing { addresses: [0; DEEPEST], depth: 0, printed: 0 }) };
}

/// While it exists, a handle is being printed.
struct Guard;

impl Guard {
    /// `None` if the handle is not to be followed.
    fn new(address: usize) -> Option<Guard> {
        let follow = PRINTING.try_with(|printing| {
            let mut printing = printing.borrow_mut();
            let depth = printing.depth;
            if depth == 0 {
                printing.printed = 0;
            }
            let is_new = !printing.addresses[..depth].contains(&address);
            let follow = depth < DEEPEST && printing.printed < MOST && is_new;
            if follow {
                printing.addresses[depth] = address;
                printing.depth += 1;
                printing.printed += 1;
            }
            follow
        });
        // A thread that ends may have lost it, and does not follow handles then.
        follow.unwrap_or(false).then(|| Guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = PRINTING.try_with(|printing| printing.borrow_mut().depth -= 1);
    }
}

/// Prints the object at `address`, or its type and address.
pub(crate) fn object<T: fmt::Debug + ?Sized>(
    f: &mut fmt::Formatter<'_>,
    address: usize,
    object: &T,
) -> fmt::Result {
    match Guard::new(address) {
        Some(_guard) => object.fmt(f),
        None => write!(f, "{}@{address:#x}", core::any::type_name::<T>()),
    }
}
