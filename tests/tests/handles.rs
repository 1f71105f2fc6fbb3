//! The rules of handles that the compiler cannot check, and what happens to them
//! when user code panics, leaks or runs at the wrong moment. The attack list is
//! in `docs/design/handles.md`.

use std::cell::RefCell;
use std::mem;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use heap_api::{
    AtomicGcCell, Config, ContextLeaked, Cx, Gc, GcCell, GcRefMut, Heap, InternSet, Local, Opaque,
    Root, Scope, Share, Trace, VerifyError,
};
use heap_tests::{Counted, Counter, catch, few_under_miri, unwind, verify};

/// Long enough for a thread to get stuck in what it must get stuck in.
const A_WHILE: Duration = Duration::from_millis(50);
/// Longer than anything takes that is not stuck.
const FOREVER: Duration = Duration::from_secs(60);

fn heap() -> Heap {
    Heap::new(Config::new())
}

fn stress_heap() -> Heap {
    Heap::new(Config::new().stress(true))
}

/// Makes garbage, so that whoever reads freed memory finds something else.
fn churn(cx: &Cx) {
    for i in 0..few_under_miri(2000, 20) {
        let _ = cx.alloc([i, i]);
        let _ = cx.alloc_str("something else");
    }
}

// ---- X1: a thread is inside one heap at a time ---------------------------------

#[test]
fn nothing_that_holds_handles_leaves_its_thread() {
    // Ambiguous, and so an error, if the type has the marker.
    macro_rules! assert_not {
        ($marker:ident: $($type:ty),+ $(,)?) => {$({
            trait Ambiguous<A> {
                fn check() {}
            }
            impl<T: ?Sized> Ambiguous<()> for T {}
            impl<T: ?Sized + $marker> Ambiguous<u8> for T {}
            <$type as Ambiguous<_>>::check();
        })+};
    }
    assert_not!(Send: Cx, Scope<'_, '_>, Local<'_, u8>, Gc<'_, u8>, GcRefMut<'_, u8>);
    assert_not!(Sync: Cx, Scope<'_, '_>, Local<'_, u8>, Gc<'_, u8>, GcRefMut<'_, u8>);
    assert_not!(Send: AtomicGcCell<'_, u8>, GcCell<Gc<'_, u8>>, Root<GcCell<u8>>, InternSet<GcCell<u8>>);
    assert_not!(Sync: AtomicGcCell<'_, u8>, GcCell<Gc<'_, u8>>, Root<GcCell<u8>>, InternSet<u8>);
    fn both<T: Send + Sync>() {}
    both::<Heap>();
    both::<Root<AtomicGcCell<'static, str>>>();
}

#[test]
fn entering_a_heap_twice_panics_and_changes_nothing() {
    let (one, two) = (heap(), heap());
    let mut cx = one.enter();
    let kept = cx.alloc(7_u32);
    for other in [&one, &two] {
        assert!(catch(|| other.enter()).unwrap_err().contains("already inside"));
        assert!(catch(|| other.verify()).is_err());
    }
    assert_eq!(*kept, 7);
    cx.collect();
    cx.park(|| {
        let _other = two.enter();
        assert!(catch(|| one.enter()).is_err());
    });
    drop(cx);
    two.enter().verify().unwrap();
    one.enter().verify().unwrap();
}

#[test]
fn a_context_that_park_returns_is_dropped() {
    let (one, two) = (heap(), heap());
    let mut cx = one.enter();
    let root = cx.root(cx.alloc(5_u8));
    for heap in [&one, &two] {
        assert!(catch(|| cx.park(|| heap.enter())).unwrap_err().contains("inside another heap"));
        let boxed = catch(|| cx.park(|| (1, Some(Box::new(heap.enter())))));
        assert!(boxed.is_err());
    }
    cx.collect();
    churn(&cx);
    assert_eq!(*root.get(&cx), 5);
    cx.verify().unwrap();
    drop(cx);
    two.verify().unwrap();
}

/// Runs the calling test in a process of its own, in which `CHILD` is set. Returns
/// what it wrote if it was killed by `abort`.
fn aborts() -> String {
    let output = processes::this_test().env("CHILD", "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    // A panic would be the test framework's exit code instead.
    #[cfg(unix)]
    let aborted = std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(6);
    #[cfg(not(unix))]
    let aborted = !output.status.success() && output.status.code() != Some(101);
    assert!(aborted, "{:?}: {text}", output.status);
    text
}

#[test]
fn a_context_that_park_leaves_behind_ends_the_process() {
    if std::env::var_os("CHILD").is_none() {
        let said = aborts();
        assert!(said.contains("left the thread inside another heap"), "{said}");
        return;
    }
    let heap = heap();
    let mut cx = heap.enter();
    let mut left = None;
    let _ = catch(|| cx.park(|| left = Some(heap.enter())));
    // With two contexts, `a` would be freed while it is borrowed.
    let a = cx.alloc(1_u64);
    left.unwrap().collect();
    println!("{a}");
}

#[test]
fn a_context_that_park_leaks_ends_the_process() {
    if std::env::var_os("CHILD").is_none() {
        let said = aborts();
        assert!(said.contains("left the thread inside another heap"), "{said}");
        return;
    }
    let (one, two) = (heap(), heap());
    let mut cx = one.enter();
    let _ = catch(|| {
        cx.park(|| {
            mem::forget(two.enter());
            unwind()
        })
    });
    println!("{}", cx.alloc(1_u64));
}

// ---- R2, I: each heap its own handles --------------------------------------------

#[test]
fn roots_and_sets_of_another_heap_are_refused() {
    let (one, two) = (heap(), heap());
    let mut root = {
        let cx = one.enter();
        cx.root(cx.alloc_str("one"))
    };
    let mut set = InternSet::<str>::new(&one);
    let cx = two.enter();
    assert!(catch(|| root.get(&cx)).unwrap_err().contains("another heap"));
    assert!(catch(|| root.set(&cx, cx.alloc_str("two"))).unwrap_err().contains("another heap"));
    assert!(catch(|| set.find(&cx, 1, |_| true)).unwrap_err().contains("another heap"));
    assert!(catch(|| set.insert(&cx, 1, cx.alloc_str("two"))).is_err());
    assert!(catch(|| set.find_or_insert(&cx, 1, |_| true, || cx.alloc_str("two"))).is_err());
    assert!(catch(|| set.len(&cx)).is_err());
    drop(cx);
    let cx = one.enter();
    assert_eq!(&*root.get(&cx), "one");
    assert!(set.is_empty(&cx));
}

#[test]
fn no_new_heap_is_taken_for_a_dropped_one() {
    // An allocator likes to give a new heap the place of the old one.
    for _ in 0..few_under_miri(50, 3) {
        let old = heap();
        let mut set = InternSet::<str>::new(&old);
        let root = {
            let cx = old.enter();
            set.insert(&cx, 1, cx.alloc_str("old"));
            cx.root(cx.alloc_str("old"))
        };
        drop(old);
        let new = heap();
        let cx = new.enter();
        assert!(catch(|| root.get(&cx)).is_err());
        assert!(catch(|| set.find(&cx, 1, |_| true)).is_err());
    }
}

#[test]
fn locals_are_of_one_context() {
    let heap = heap();
    let mut cx = heap.enter();
    cx.scope(|scope| {
        let outer = scope.keep(scope.alloc(1_u64));
        scope.park(|| {
            let mut other = heap.enter();
            assert!(catch(|| outer.get(&other)).unwrap_err().contains("another context"));
            other.collect();
        });
        let sum = scope.scope(|inner| {
            let local = inner.keep(inner.alloc(2_u64));
            inner.collect();
            churn(inner);
            *local.get(inner) + *outer.get(inner)
        });
        assert_eq!(sum, 3);
        scope.collect();
        churn(scope);
        assert_eq!(*outer.get(scope), 1);
    });
}

// ---- X2: leaks ----------------------------------------------------------------------

#[test]
fn a_leaked_context_keeps_everything_alive() {
    let heap = stress_heap();
    let counter = Counter::new();
    let (say, hear) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let leaker = std::thread::spawn({
        let (heap, counter, say) = (heap.clone(), counter.clone(), say.clone());
        move || {
            let cx: &'static Cx = Box::leak(Box::new(heap.enter()));
            let kept: Gc<'static, Counted> = cx.alloc(counter.value(1));
            say.send("leaked").unwrap();
            // The thread goes on as it likes.
            while ended.recv_timeout(Duration::from_millis(1)).is_err() {
                let _ = cx.alloc(counter.value(2));
                assert_eq!(kept.id(), 1);
            }
            assert!(catch(|| heap.enter()).is_err(), "inside for good");
        }
    });
    assert_eq!(hear.recv_timeout(FOREVER), Ok("leaked"));
    let before = heap.stats().collections;
    let collector = std::thread::spawn({
        let (heap, counter) = (heap.clone(), counter.clone());
        move || {
            let mut cx = heap.enter();
            let _ = cx.alloc(counter.value(3));
            cx.collect();
            say.send("returned").unwrap();
            cx.safepoint();
            churn(&cx);
            assert_eq!(cx.verify(), Err(VerifyError::Unchecked(ContextLeaked)));
            drop(cx);
            assert_eq!(heap.verify(), Err(VerifyError::Unchecked(ContextLeaked)));
            assert_eq!(heap.class_histogram(), Err(ContextLeaked));
        }
    });
    assert!(hear.recv_timeout(A_WHILE).is_err(), "nobody knows yet that it was leaked");
    end.send(()).unwrap();
    leaker.join().unwrap();
    assert_eq!(hear.recv_timeout(FOREVER), Ok("returned"));
    collector.join().unwrap();
    assert_eq!(heap.stats().collections, before);
    drop(heap);
    assert_eq!(counter.dropped(), 0, "the leak keeps the heap");
}

#[test]
fn a_thread_may_end_with_its_context_in_a_thread_local() {
    /// Uses its context once more when its thread ends.
    struct Last(RefCell<Option<Possessions>>);
    type Possessions = (Cx, Root<u64>, mpsc::Sender<bool>);
    impl Drop for Last {
        fn drop(&mut self) {
            let Some((mut cx, root, say)) = self.0.take() else { return };
            let fine = catch(|| {
                cx.park(|| ());
                churn(&cx);
                cx.collect();
                churn(&cx);
                *root.get(&cx) == 9
            });
            drop(cx);
            say.send(fine == Ok(true)).unwrap();
        }
    }
    thread_local!(static LAST: Last = const { Last(RefCell::new(None)) });

    let heap = stress_heap();
    for first in [true, false] {
        let (say, hear) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Thread-locals die in the reverse order of their first use:
                // after this, `LAST` outlives those of the library, or not.
                if first {
                    LAST.with(|_| ());
                }
                let cx = heap.enter();
                let root = cx.root(cx.alloc(9_u64));
                LAST.with(|last| *last.0.borrow_mut() = Some((cx, root, say)));
            });
            // Collections all the while; none may hang.
            for _ in 0..20 {
                let mut cx = heap.enter();
                churn(&cx);
                cx.collect();
            }
        });
        assert_eq!(hear.recv_timeout(FOREVER), Ok(true), "first: {first}");
        heap.verify().unwrap();
    }
    let mut cx = heap.enter();
    let before = heap.stats().collections;
    cx.collect();
    assert_eq!(heap.stats().collections, before + 1, "nobody is inside any more");
}

/// A thread-local of a dying thread may be destroyed after those of the library; a panic there
/// would end the process.
#[test]
fn entering_from_a_destructor_of_a_dying_thread_works() {
    struct Enters(RefCell<Option<Possessions>>);
    type Possessions = (Heap, Root<u64>, mpsc::Sender<bool>);
    impl Drop for Enters {
        fn drop(&mut self) {
            let Some((heap, root, say)) = self.0.take() else { return };
            for _ in 0..2 {
                let mut cx = heap.enter();
                let local = cx.scope(|scope| {
                    let local = scope.keep(scope.alloc(8_u64));
                    scope.collect();
                    *local.get(scope)
                });
                churn(&cx);
                let before = heap.stats().collections;
                cx.collect();
                assert!(heap.stats().collections > before, "its own context is no obstacle");
                cx.park(|| heap.enter().collect());
                cx.verify().unwrap();
                assert_eq!((*root.get(&cx), local), (9, 8));
            }
            heap.verify().unwrap();
            say.send(true).unwrap();
        }
    }
    thread_local!(static ENTERS: Enters = const { Enters(RefCell::new(None)) });
    let touch = || ENTERS.with(|_| ());

    let heap = heap();
    type Order = fn(&Heap, &dyn Fn());
    let orders: [Order; 5] = [
        |_, _| (),
        |heap, _| drop(heap.enter()),
        |heap, touch| {
            touch();
            drop(heap.enter());
        },
        |heap, touch| {
            touch();
            heap.enter().park(|| ());
        },
        |heap, touch| {
            drop(heap.enter());
            touch();
        },
    ];
    for order in orders {
        let (say, hear) = mpsc::channel();
        let root = {
            let cx = heap.enter();
            cx.root(cx.alloc(9_u64))
        };
        let thread = std::thread::spawn({
            let heap = heap.clone();
            move || {
                order(&heap, &touch);
                ENTERS.with(|enters| *enters.0.borrow_mut() = Some((heap, root, say)));
            }
        });
        assert_eq!(hear.recv_timeout(FOREVER), Ok(true));
        thread.join().unwrap();
        let before = heap.stats().collections;
        heap.enter().collect();
        assert_eq!(heap.stats().collections, before + 1, "nobody is inside any more");
        heap.verify().unwrap();
    }
}

// ---- R1: roots ---------------------------------------------------------------------

#[derive(Trace, Share)]
struct Shared<'gc> {
    value: u64,
    next: AtomicGcCell<'gc, Self>,
}

#[test]
fn roots_outlive_their_heap_and_may_drop_anywhere() {
    let heap = heap();
    let root = {
        let cx = heap.enter();
        let inner = cx.alloc(Shared { value: 1, next: AtomicGcCell::new(None) });
        cx.root(cx.alloc(Shared { value: 2, next: AtomicGcCell::new(Some(inner)) }))
    };
    let copies: Vec<_> = (0..100).map(|_| root.clone()).collect();
    assert_eq!(heap.stats().roots, 101);
    std::thread::spawn(move || drop(copies)).join().unwrap();
    assert_eq!(heap.stats().roots, 1);
    let cx = heap.enter();
    // Dropping a root ends the object's life, not that of handles to it.
    let object = root.get(&cx);
    drop(root.clone());
    assert_eq!((object.value, object.next.get().unwrap().value), (2, 1));
    drop(cx);
    drop(heap);
    let copy = root.clone();
    std::thread::spawn(move || drop(copy)).join().unwrap();
    assert!(!format!("{root:?}").is_empty());
}

#[test]
fn clones_of_a_root_are_set_apart() {
    let heap = stress_heap();
    let mut cx = heap.enter();
    let mut roots: Vec<Root<u64>> = vec![cx.root(cx.alloc(0_u64))];
    for i in 1..few_under_miri(200, 8) {
        let mut copy = roots[i / 2].clone();
        copy.set(&cx, cx.alloc(i as u64));
        roots.push(copy);
        if i.is_multiple_of(3) {
            // One that has a clone, and then has none.
            let kept = roots[i - 1].clone();
            roots[i - 1].try_set(&cx, cx.alloc(7)).expect("memory");
            assert_eq!(*roots[i - 1].get(&cx), 7);
            roots[i - 1] = kept;
        }
        cx.safepoint();
        let values: Vec<u64> = roots.iter().map(|root| *root.get(&cx)).collect();
        assert!(values.into_iter().eq(0..=i as u64));
        assert_eq!(heap.stats().roots, i as u64 + 1);
    }
    roots.truncate(1);
    cx.collect();
    assert_eq!(heap.stats().marked_objects, 1);
}

#[test]
fn a_root_of_an_object_gives_it_in_the_current_region() {
    let heap = stress_heap();
    let mut cx = heap.enter();
    let cell: Root<GcCell<Option<Gc<'static, u64>>>> =
        cx.root(cx.alloc(GcCell::new(None::<Gc<'_, u64>>)));
    for i in 0..10_u64 {
        cx.safepoint();
        let before = cell.get(&cx).get().map(|value| *value);
        assert_eq!(before, i.checked_sub(1));
        cell.get(&cx).set(&cx, Some(cx.alloc(i)));
        churn(&cx);
    }
}

#[test]
fn a_root_inside_an_object_keeps_its_target() {
    let heap = stress_heap();
    let mut cx = heap.enter();
    let counter = Counter::new();
    {
        let holder = {
            let target = cx.root(cx.alloc(Opaque(counter.value(1))));
            cx.root(cx.alloc(Opaque(target)))
        };
        for _ in 0..3 {
            cx.collect();
            churn(&cx);
        }
        assert_eq!(holder.get(&cx).0.get(&cx).0.id(), 1);
    }
    // First the holder dies, then its root is dropped when it is swept, then
    // the target dies.
    for _ in 0..4 {
        cx.collect();
    }
    verify(&mut cx);
    counter.assert_balanced();
}

// ---- Panics in user code ------------------------------------------------------------

#[test]
fn unwinding_leaves_everything_as_it_was() {
    /// Of a large object.
    const LONG: usize = few_under_miri(5000, 1500);
    let heap = stress_heap();
    let counter = Counter::new();
    let mut set = InternSet::<str>::new(&heap);
    let mut cx = heap.enter();
    let root = cx.root(cx.alloc(counter.value(0)));
    for round in 0..few_under_miri(20, 2) {
        assert!(catch(|| cx.park(|| unwind())).is_err());
        assert!(
            catch(|| cx.park(|| {
                let _other = Heap::new(Config::new()).enter();
                unwind()
            }))
            .is_err()
        );
        let unwound = catch(|| {
            cx.scope(|scope| {
                let _ = scope.keep(scope.alloc(counter.value(1)));
                scope.scope(|scope| {
                    let _ = scope.keep(scope.alloc(counter.value(2)));
                    scope.park(|| unwind())
                })
            })
        });
        assert!(unwound.is_err());
        let make = |i| if i == round { unwind() } else { counter.value(i as u64) };
        assert!(catch(|| cx.alloc_slice_fn(round + 1, make)).is_err());
        assert!(
            catch(|| cx.alloc_slice_fn(LONG, |i| if i == LONG - 1 {
                unwind()
            } else {
                counter.value(7)
            }))
            .is_err()
        );
        assert!(catch(|| cx.try_alloc_header_slice_fn(counter.value(4), round + 1, make)).is_err());
        // Handles in the part that was made: nothing to drop, nothing to trace.
        let made = catch(|| cx.alloc_slice_fn(10, |i| if i == 9 { unwind() } else { cx.alloc(i) }));
        assert!(made.is_err());
        set.insert(&cx, 1, cx.alloc_str("a"));
        assert!(catch(|| set.find(&cx, 1, |_| unwind())).is_err());
        assert!(catch(|| set.find_or_insert(&cx, 2, |_| false, || unwind())).is_err());
        cx.safepoint();
        churn(&cx);
        verify(&mut cx);
    }
    assert_eq!(root.get(&cx).id(), 0);
    drop(root);
    drop(cx);
    drop((heap, set));
    counter.assert_balanced();
}

/// Runs a function when it is dropped.
#[derive(Trace)]
#[trace(leaf)]
struct OnDrop(Box<dyn FnMut() + Send>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn on_drop(body: impl FnMut() + Send + 'static) -> OnDrop {
    OnDrop(Box::new(body))
}

#[test]
fn panics_in_destructors_are_counted_and_the_others_run() {
    for config in [Config::new(), Config::new().stress(true), Config::new().background_sweep(true)]
    {
        let heap = Heap::new(config);
        let counter = Counter::new();
        let mut cx = heap.enter();
        for i in 0..3000 {
            if i % 3 == 0 {
                // The counted value is dropped by the unwinding destructor.
                let counted = counter.value(i);
                let _ = cx.alloc((on_drop(unwind_fn), counted));
            } else {
                let _ = cx.alloc((on_drop(|| ()), counter.value(i)));
            }
            if i % 1000 == 0 {
                cx.collect();
            }
        }
        cx.collect();
        cx.verify().unwrap();
        assert_eq!(heap.stats().drop_panics, 1000);
        counter.assert_balanced();
    }
}

fn unwind_fn() {
    unwind()
}

#[test]
fn a_destructor_cannot_enter_a_heap() {
    for config in [Config::new(), Config::new().background_sweep(true)] {
        let (heap, other) = (Heap::new(config), heap());
        let counter = Counter::new();
        let mut cx = heap.enter();
        let heaps = [heap.clone(), other.clone()];
        for i in 0..100 {
            let (mine, counted) = (heaps[i % 2].clone(), counter.value(1));
            // It says so by a panic; that is caught here to keep it quiet.
            let enters = on_drop(move || {
                let _ = &counted;
                if catch(|| mine.enter()).is_err() && catch(|| mine.verify()).is_err() {
                    unwind()
                }
            });
            let _ = cx.alloc(enters);
        }
        cx.collect();
        cx.verify().unwrap();
        assert_eq!(heap.stats().drop_panics, 100);
        counter.assert_balanced();
        drop(cx);
        other.enter().verify().unwrap();
    }
}

thread_local!(static SHARED_CX: RefCell<Option<Cx>> = const { RefCell::new(None) });

#[test]
fn a_destructor_that_finds_a_context_does_no_harm() {
    // While a mutator allocates, its context is only borrowed, and a destructor
    // that is swept meanwhile may find it in a thread-local.
    let heap = heap();
    let counter = Counter::new();
    let root = {
        let cx = heap.enter();
        let root = cx.root(cx.alloc_str("found"));
        SHARED_CX.set(Some(cx));
        root
    };
    for _ in 0..5 {
        SHARED_CX.with_borrow(|cx| {
            let cx = cx.as_ref().unwrap();
            for i in 0..3000 {
                let inner = counter.clone();
                let _ = cx.alloc(on_drop(move || {
                    SHARED_CX.with(|cx| {
                        if let Ok(cx) = cx.try_borrow()
                            && let Some(cx) = cx.as_ref()
                            && i % 100 == 0
                        {
                            // May be refused, by panic, in the middle of sweeping.
                            let _ = catch(|| {
                                (0..500).for_each(|i| {
                                    let _ = cx.alloc(inner.value(i));
                                })
                            });
                            let _ = catch(|| cx.alloc_slice_fn(9000, |i| i));
                        }
                    });
                }));
            }
        });
        SHARED_CX.with_borrow_mut(|cx| cx.as_mut().unwrap().collect());
    }
    let mut cx = SHARED_CX.take().unwrap();
    assert_eq!(&*root.get(&cx), "found");
    cx.verify().unwrap();
    drop(cx);
    drop(heap);
    counter.assert_balanced();
}

/// Nobody polls. A heap whose minimum is a megabyte does not become larger than two.
#[test]
fn entering_and_parking_are_safepoints() {
    let work = |cx: &Cx| (0..100_u64).for_each(|i| assert_eq!(cx.alloc([i; 8])[7], i));
    let heap = || Heap::new(Config::new().min_heap_bytes(1 << 20));
    let parks: fn(&mut Cx) = |cx| cx.park(|| ());
    let parks_in_scope: fn(&mut Cx) = |cx| cx.scope(|scope| scope.park(|| ()));
    for park in [parks, parks_in_scope] {
        let heap = heap();
        let mut cx = heap.enter();
        for _ in 0..5000 {
            work(&cx);
            park(&mut cx);
        }
        assert!(heap.stats().collections > 10);
        assert!(heap.stats().heap_bytes_max < 2 << 20);
    }
    let heap = heap();
    for _ in 0..5000 {
        work(&heap.enter());
    }
    assert!(heap.stats().collections > 10);
    assert!(heap.stats().heap_bytes_max < 2 << 20);
}

/// A request is heard by who comes back from a `park`, and by who enters next.
#[test]
fn a_request_is_heard_by_who_parks_and_by_who_enters() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    heap.request_collection();
    cx.park(|| assert_eq!(heap.stats().collections, 0, "others may need what we wait for"));
    assert_eq!(heap.stats().collections, 1);
    assert!(!cx.should_yield());
    drop(cx);
    heap.request_collection();
    assert_eq!(heap.stats().collections, 1);
    drop(heap.enter());
    assert_eq!(heap.stats().collections, 2);
}

/// A thread may park with a lock that it gives up while it waits, although another mutator
/// that takes the lock is inside and a collection is due. (No lock of the standard library,
/// which ThreadSanitizer does not see.)
#[test]
fn a_thread_may_park_with_a_lock_that_it_gives_up() {
    const FREE: u8 = 0;
    const TAKEN: u8 = 1;
    const DONE: u8 = 2;
    let (done, outcome) = mpsc::channel();
    std::thread::spawn(move || {
        let heap = heap();
        let lock = Arc::new(AtomicU8::new(TAKEN));
        let wait = |lock: &AtomicU8, state| {
            while lock.load(Ordering::Acquire) != state {
                std::thread::yield_now();
            }
        };
        let mut cx = heap.enter();
        let (inside, is_inside) = mpsc::channel();
        let other = std::thread::spawn({
            let (heap, lock) = (heap.clone(), Arc::clone(&lock));
            move || {
                let _cx = heap.enter();
                inside.send(()).unwrap();
                wait(&lock, FREE);
                lock.store(DONE, Ordering::Release);
            }
        });
        is_inside.recv().unwrap();
        heap.request_collection();
        cx.park(|| {
            lock.store(FREE, Ordering::Release);
            wait(&lock, DONE);
        });
        assert_eq!(heap.stats().collections, 1);
        other.join().unwrap();
        done.send(()).unwrap();
    });
    outcome.recv_timeout(FOREVER).expect("no hang, no panic");
}

#[test]
fn a_destructor_cannot_collect() {
    // It may run in the middle of a sweep, and a collection begins with the end of that. A heap that
    // ends needs no context, so a destructor finds one, of another heap, in a thread-local that
    // nobody uses.
    let acts: [fn(&mut Cx); 4] = [
        Cx::collect,
        |cx| {
            cx.heap().request_collection();
            cx.safepoint();
        },
        |cx| cx.verify().unwrap(),
        |cx| cx.park(|| ()),
    ];
    for act in acts {
        let (done, outcome) = mpsc::channel();
        let (refused, refusal) = mpsc::channel();
        let attack = move || {
            let (heap, ending) = (heap(), heap());
            ending.enter().alloc(on_drop(move || {
                let act = || SHARED_CX.with_borrow_mut(|cx| act(cx.as_mut().unwrap()));
                refused.send(catch(act)).unwrap();
            }));
            SHARED_CX.set(Some(heap.enter()));
            drop(ending);
            let mut cx = SHARED_CX.take().unwrap();
            cx.collect();
            cx.verify().unwrap();
            done.send(()).unwrap();
        };
        let thread = std::thread::spawn(attack);
        outcome.recv_timeout(FOREVER).expect("no hang, no panic");
        thread.join().unwrap();
        assert!(refusal.recv().unwrap().unwrap_err().contains("a destructor"));
    }
}

#[test]
fn a_destructor_may_drop_roots_sets_and_whole_heaps() {
    for config in [Config::new(), Config::new().background_sweep(true)] {
        let heap = Heap::new(config);
        let counter = Counter::new();
        let mut cx = heap.enter();
        for i in 0..50 {
            let root = cx.root(cx.alloc(Opaque(counter.value(i))));
            let set = InternSet::<u64>::new(&heap);
            let own = heap.clone();
            let _ = cx.alloc(Opaque((root, set, own)));
        }
        for i in 0..5 {
            // The only handle on another heap, which is full and holds more heaps.
            let other = cx.park(|| {
                let other = Heap::new(Config::new());
                let inner = Heap::new(Config::new());
                let inner_cx = inner.enter();
                let _ = inner_cx.alloc(counter.value(i));
                drop(inner_cx);
                let cx = other.enter();
                let root = cx.root(cx.alloc(counter.value(i)));
                let _ = cx.alloc((Opaque(inner), Opaque(catch(|| root.clone()).is_ok())));
                drop(cx);
                other
            });
            let _ = cx.alloc(Opaque(other));
        }
        // An object dies, its root goes with it, then the target dies.
        for _ in 0..4 {
            cx.collect();
        }
        cx.verify().unwrap();
        counter.assert_balanced();
    }
}

#[test]
fn a_destructor_may_look_at_its_heap() {
    for config in [Config::new(), Config::new().stress(true), Config::new().background_sweep(true)]
    {
        let heap = Heap::new(config);
        let counter = Counter::new();
        let mut cx = heap.enter();
        for i in 0..2000 {
            let (heap, counted) = (heap.clone(), counter.value(i));
            let _ = cx.alloc(on_drop(move || {
                let _ = counted.id();
                assert!(heap.stats().allocated_objects > 0);
                if i % 50 == 0 {
                    let _ = heap.release_idle();
                    let _ = format!("{heap:?}");
                }
            }));
            cx.safepoint();
        }
        cx.collect();
        cx.verify().unwrap();
        assert_eq!(heap.stats().drop_panics, 0);
        let _ = heap.release_idle();
        cx.verify().unwrap();
        counter.assert_balanced();
    }
}

#[test]
fn a_panic_whose_payload_panics_is_survived() {
    struct Worse;
    impl Drop for Worse {
        fn drop(&mut self) {
            unwind()
        }
    }
    let heap = heap();
    let mut cx = heap.enter();
    let _ = cx.alloc(on_drop(|| std::panic::resume_unwind(Box::new(Worse))));
    cx.collect();
    verify(&mut cx);
    assert_eq!(heap.stats().drop_panics, 1);
}

#[test]
fn a_search_may_search_and_allocate() {
    let heap = stress_heap();
    let mut cx = heap.enter();
    let mut set = InternSet::<str>::new(&heap);
    let root = {
        let mut last = None;
        for i in 0..100_u32 {
            let made = set.find_or_insert(
                &cx,
                i % 7,
                |text| {
                    churn(&cx);
                    text == i.to_string()
                },
                || cx.alloc_str(&i.to_string()),
            );
            last = Some(made);
        }
        let nested = set.find(&cx, 1, |one| {
            let again = set.find(&cx, 1, |other| std::ptr::eq(one, other));
            again.is_some_and(|again| std::ptr::eq(again.as_ref(), one)) && one == "99"
        });
        assert!(nested.unwrap().ptr_eq(last.unwrap()));
        cx.root(last.unwrap())
    };
    assert_eq!(set.len(&cx), 100);
    cx.collect();
    churn(&cx);
    assert_eq!((set.len(&cx), &*root.get(&cx)), (1, "99"));
    // A set that is dropped while others are in use, and one on another thread.
    let other = InternSet::<str>::new(&heap);
    drop(InternSet::<u64>::new(&heap));
    let other = cx.park(|| std::thread::spawn(move || other).join().unwrap());
    cx.collect();
    assert!(other.is_empty(&cx));
}

#[test]
fn a_heap_inside_itself_is_freed_once_it_is_found_dead() {
    let counter = Counter::new();
    let heap = heap();
    {
        let mut cx = heap.enter();
        let root = cx.root(cx.alloc((Opaque(heap.clone()), counter.value(1))));
        drop(root);
        cx.collect();
        cx.collect();
    }
    drop(heap);
    counter.assert_balanced();
}

#[test]
fn a_dropped_heap_drops_every_object_once() {
    let counter = Counter::new();
    let (mut roots, mut locals) = (Vec::new(), 0);
    for config in [Config::new(), Config::new().stress(true), Config::new().background_sweep(true)]
    {
        let heap = Heap::new(config);
        let mut cx = heap.enter();
        cx.scope(|scope| {
            for i in 0..2000 {
                let small = scope.alloc(Opaque(counter.value(i)));
                if i % 3 == 0 {
                    roots.push(scope.root(small));
                }
                if i % 500 == 0 {
                    let large = scope.alloc_slice_fn(3000, |i| counter.value(i as u64));
                    let _ = scope.keep(large);
                    locals += 1;
                    scope.safepoint();
                }
            }
            scope.collect();
            for i in 0..100 {
                let _ = scope.alloc(Opaque(counter.value(i)));
            }
        });
        drop(cx);
    }
    assert!(locals > 0 && !roots.is_empty());
    // A background sweeper in the middle of a batch has the last reference to its
    // heap for a moment, and drops it then.
    let start = Instant::now();
    while counter.dropped() < counter.made() && start.elapsed() < FOREVER {
        std::thread::yield_now();
    }
    counter.assert_balanced();
    drop(roots);
    counter.assert_balanced();
}

// ---- TA4: every value dropped exactly once ------------------------------------------------

/// One mutator's work: lists that are linked, kept for a while and dropped.
fn make_and_drop(heap: &Heap, counter: &std::sync::Arc<Counter>, rounds: u64) {
    #[derive(Trace)]
    struct Cell<'gc> {
        payload: Opaque<Counted>,
        more: Vec<Counted>,
        next: GcCell<Option<Gc<'gc, Cell<'gc>>>>,
    }
    let mut cx = heap.enter();
    let mut kept: Vec<Root<Cell<'static>>> = Vec::new();
    for round in 0..rounds {
        {
            let mut last = None;
            for i in 0..50 {
                let cell = Cell {
                    payload: Opaque(counter.value(i)),
                    more: (0..i % 3).map(|i| counter.value(i)).collect(),
                    next: GcCell::new(last),
                };
                last = Some(cx.alloc(cell));
            }
            kept.extend(last.map(|cell| cx.root(cell)));
            let _ = cx.alloc_slice_fn(round as usize % 70, |i| counter.value(i as u64));
        }
        if kept.len() > 8 {
            let cell = kept.remove(round as usize % 8);
            cell.get(&cx).next.get().unwrap().next.set(&cx, None);
        }
        cx.safepoint();
        if round % 16 == 15 {
            cx.park(std::thread::yield_now);
        }
    }
    for root in &kept {
        let (mut cell, mut length) = (Some(root.get(&cx)), 0);
        while let Some(this) = cell {
            assert_eq!(this.payload.0.id(), 49 - length);
            assert_eq!(this.more.len() as u64, (49 - length) % 3);
            (cell, length) = (this.next.get(), length + 1);
        }
        assert_eq!(length, 50);
    }
}

/// The background sweeper may be the last one to hold the heap.
fn await_sweeper(counter: &Counter) {
    for _ in 0..1000 {
        if counter.dropped() == counter.made() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn as_many_values_are_dropped_as_were_made() {
    let configs = [
        Config::new(),
        Config::new().min_heap_bytes(0),
        Config::new().stress(true),
        Config::new().stress(true).mark_threads(2).background_sweep(true),
    ];
    for config in configs {
        let counter = Counter::new();
        let heap = Heap::new(config.clone());
        make_and_drop(&heap, &counter, 200);
        heap.verify().unwrap();
        drop(heap);
        await_sweeper(&counter);
        counter.assert_balanced();

        let counter = Counter::new();
        let heap = Heap::new(config);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| make_and_drop(&heap, &counter, 60));
            }
        });
        heap.verify().unwrap();
        drop(heap);
        await_sweeper(&counter);
        counter.assert_balanced();
    }
}

/// A context in a thread-local of a thread that ends: a collection that meets it
/// on its way out must not switch automatic collection off for good.
#[test]
fn a_heap_collects_by_itself_again_after_a_context_was_on_its_way_out() {
    thread_local! {
        static KEPT: std::cell::RefCell<Option<Cx>> = const { std::cell::RefCell::new(None) };
    }
    let heap = Heap::new(Config::new().min_heap_bytes(1 << 20));
    for _ in 0..20 {
        let heap = heap.clone();
        let inside = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                KEPT.with(|kept| *kept.borrow_mut() = Some(heap.enter()));
                inside.wait();
            });
            inside.wait();
            heap.enter().collect();
        });
    }
    let before = heap.stats().collections;
    let mut cx = heap.enter();
    for _ in 0..3_000_000 {
        cx.alloc([0_u64; 2]);
        cx.safepoint();
    }
    assert!(heap.stats().collections > before + 5, "{:?}", heap.stats());
}

#[test]
fn handles_are_ordered_and_compared_with_text_by_content() {
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let (a, b, other_a) = (cx.alloc_str("a"), cx.alloc_str("b"), cx.alloc_str("a"));
    assert!(a < b && a <= other_a && a == other_a && !a.ptr_eq(other_a));
    assert_eq!(a.cmp(&b), std::cmp::Ordering::Less);
    let mut sorted = [b, a, other_a];
    sorted.sort();
    assert_eq!(sorted.map(|text| text.to_string()), ["a", "a", "b"]);
    assert!(a == *"a" && *"b" == b && a != "b");
    assert_eq!("b", b);
    assert_eq!(cx.alloc(f64::NAN).partial_cmp(&cx.alloc(1.0)), None);
    let set: std::collections::HashSet<_> = [a, b].into();
    assert!(set.contains("b") && !set.contains("c"));
}

#[test]
fn cycles_and_large_graphs_are_printed_in_part() {
    #[derive(Debug, Trace)]
    struct Node<'gc> {
        id: usize,
        next: GcCell<[Option<Gc<'gc, Node<'gc>>>; 3]>,
    }
    let heap = Heap::new(Config::new());
    let cx = heap.enter();
    let node = |id| cx.alloc(Node { id, next: GcCell::new([None; 3]) });
    let (a, b) = (node(1), node(2));
    a.next.set(&cx, [Some(b), None, None]);
    assert_eq!(format!("{b:?}"), "Node { id: 2, next: GcCell([None, None, None]) }");
    b.next.set(&cx, [Some(a), None, None]);
    let name = std::any::type_name::<Node<'_>>();
    let cycle = format!(
        "Node {{ id: 1, next: GcCell([Some(Node {{ id: 2, next: GcCell([Some({name}@{:#x}), None, \
         None]) }}), None, None]) }}",
        a.addr()
    );
    assert_eq!(format!("{a:?}"), cycle);
    // A list that is too long for the stack, and a graph with more paths than could be printed.
    let mut list = node(0);
    for id in 1..100_000 {
        let longer = node(id);
        longer.next.set(&cx, [Some(list), None, None]);
        list = longer;
    }
    let printed = format!("{list:?}");
    assert_eq!(printed.matches("id: ").count(), 32);
    assert_eq!(printed.matches('@').count(), 1);
    let mut dense = node(0);
    for id in 1..30 {
        let more = node(id);
        more.next.set(&cx, [Some(dense); 3]);
        dense = more;
    }
    let printed = format!("{dense:?}");
    assert_eq!(printed.matches("id: ").count(), 1000);
    // A panic in between leaves nothing behind.
    #[derive(Trace)]
    struct Panics;
    impl std::fmt::Debug for Panics {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            unwind()
        }
    }
    let panics = cx.alloc(cx.alloc(Panics));
    (0..100).for_each(|_| assert!(catch(|| format!("{panics:?}")).is_err()));
    assert_eq!(format!("{a:?}"), cycle);
}
