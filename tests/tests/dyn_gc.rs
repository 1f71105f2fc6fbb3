//! Handles to objects behind a trait: `DynGc`, `DynRoot`.

use std::any::Any;
use std::fmt::Debug;
use std::time::Duration;

use heap_api::{AnyGc, Config, Cx, DynFamily, DynGc, DynRoot, Gc, GcCell, Heap, Opaque, Trace};
use heap_tests::{Counted, Counter, begin_marking, catch, verify};

/// A function of a language: it gets handles and returns one.
trait Callable<'gc>: Debug {
    fn call(&self, cx: &'gc Cx, argument: Gc<'gc, str>) -> Gc<'gc, str>;
    fn captured(&self) -> Option<DynGc<'gc, dyn Callable<'static>>> {
        None
    }
}

impl DynFamily for dyn Callable<'static> {
    type At<'a> = dyn Callable<'a> + 'a;
}

type Function<'gc> = DynGc<'gc, dyn Callable<'static>>;

#[derive(Debug, Trace)]
struct Identity;

impl<'gc> Callable<'gc> for Identity {
    fn call(&self, _: &'gc Cx, argument: Gc<'gc, str>) -> Gc<'gc, str> {
        argument
    }
}

#[derive(Debug, Trace)]
struct Prefix<'gc>(GcCell<Gc<'gc, str>>, [u64; 3]);

impl<'gc> Callable<'gc> for Prefix<'gc> {
    fn call(&self, cx: &'gc Cx, argument: Gc<'gc, str>) -> Gc<'gc, str> {
        cx.alloc_str(&format!("{}{}", &*self.0.get(), &*argument))
    }
}

#[derive(Debug, Trace)]
struct Twice<'gc>(GcCell<Option<Function<'gc>>>);

impl<'gc> Callable<'gc> for Twice<'gc> {
    fn call(&self, cx: &'gc Cx, argument: Gc<'gc, str>) -> Gc<'gc, str> {
        let inner = self.0.get().expect("a function");
        inner.call(cx, inner.call(cx, argument))
    }
    fn captured(&self) -> Option<Function<'gc>> {
        self.0.get()
    }
}

fn small() -> Config {
    Config::new().huge_pages(false).min_heap_bytes(64 << 10)
}

fn prefix<'gc>(cx: &'gc Cx, text: &str) -> Function<'gc> {
    DynGc::new(cx.alloc(Prefix(GcCell::new(cx.alloc_str(text)), [0; 3])), |object| object)
}

fn twice<'gc>(cx: &'gc Cx, inner: Function<'gc>) -> Function<'gc> {
    DynGc::new(cx.alloc(Twice(GcCell::new(Some(inner)))), |object| object)
}

#[test]
fn methods_are_called_and_what_they_need_is_kept() {
    let heap = Heap::new(small().stress(true));
    let mut cx = heap.enter();
    let root: DynRoot<dyn Callable<'static>> = {
        let _ = cx.alloc_str("garbage");
        let identity: Function<'_> = DynGc::new(cx.alloc(Identity), |object| object);
        assert_eq!(&*identity.call(&cx, cx.alloc_str("x")), "x");
        assert_eq!(format!("{identity:?}"), "Identity");
        twice(&cx, twice(&cx, prefix(&cx, "ab"))).root(&cx)
    };
    for _ in 0..3 {
        cx.collect();
        let function = root.clone().get(&cx);
        assert_eq!(&*function.call(&cx, cx.alloc_str("!")), "abababab!");
        let inner = function.as_ref().captured().expect("a function");
        assert_eq!(&*inner.call(&cx, cx.alloc_str("?")), "abab?");
        assert!(inner.erase().is::<Twice<'_>>() && !inner.ptr_eq(function));
    }
    drop(root);
    cx.collect();
    assert_eq!(heap.stats().marked_objects, 0);
}

#[test]
fn a_cell_of_trait_objects_has_the_barrier() {
    let heap = Heap::new(small().mark_slice(Duration::ZERO));
    let mut cx = heap.enter();
    let new = |_| cx.root(cx.alloc(Twice(GcCell::new(Some(prefix(&cx, "kept"))))));
    let roots: Vec<_> = (0..50).map(new).collect();
    begin_marking(&mut cx);
    let taken: Vec<_> = roots
        .iter()
        .map(|root| {
            let inner = root.get(&cx).0.replace(&cx, None).expect("a function");
            // Black: nothing looks for what is in it.
            twice(&cx, inner).try_root(&cx).expect("memory")
        })
        .collect();
    while !cx.collect_step() {}
    verify(&mut cx);
    for root in &taken {
        assert_eq!(&*root.get(&cx).call(&cx, cx.alloc_str(".")), "keptkept.");
    }
}

trait Plain {
    fn number(&self) -> u64;
}
impl DynFamily for dyn Plain {
    type At<'a> = dyn Plain + 'a;
}
impl<T: Copy + Into<u64>> Plain for T {
    fn number(&self) -> u64 {
        (*self).into()
    }
}

#[test]
fn small_plain_objects_are_behind_traits_too() {
    let heap = Heap::new(small());
    let mut cx = heap.enter();
    let (byte, word) = {
        let byte = cx.alloc(7_u8);
        let byte: DynGc<'_, dyn Plain> = DynGc::new(byte, |byte| byte);
        (byte.root(&cx), DynGc::<dyn Plain>::new(cx.alloc(1_u64 << 60), |word| word).root(&cx))
    };
    cx.collect();
    assert_eq!((byte.get(&cx).number(), word.get(&cx).number()), (7, 1 << 60));
    assert_eq!(size_of::<Option<DynGc<'_, dyn Plain>>>(), 2 * size_of::<usize>());
}

/// A family need not be named by its trait, so the trait may be of another crate.
struct Foreign;
impl DynFamily for Foreign {
    type At<'a> = dyn Any + Send;
}

/// Slices have pointers of two words as well.
struct Words;
impl DynFamily for Words {
    type At<'a> = [AnyGc<'a>];
}

#[test]
fn other_types_that_need_two_words_work() {
    let heap = Heap::new(small());
    let mut cx = heap.enter();
    let roots = {
        let any = cx.alloc(3_u64).erase();
        let slice = DynGc::<Words>::new(cx.alloc([any, cx.alloc(Identity).erase(), any]), |a| a);
        let opaque = cx.alloc(Opaque(String::from("mine")));
        (slice.root(&cx), DynGc::<Foreign>::new(opaque, |opaque| &opaque.0).root(&cx))
    };
    cx.collect();
    let slice = roots.0.get(&cx);
    assert!(slice.len() == 3 && slice[0] == slice[2]);
    assert_eq!(roots.1.get(&cx).downcast_ref::<String>().expect("a string"), "mine");
}

#[test]
fn destructors_run_as_for_any_object() {
    let heap = Heap::new(small());
    let mut cx = heap.enter();
    let counter = Counter::new();
    #[derive(Trace)]
    struct Counts(Counted);
    impl Plain for Counts {
        fn number(&self) -> u64 {
            self.0.id()
        }
    }
    let root =
        DynGc::<dyn Plain>::new(cx.alloc(Counts(counter.value(1))), |object| object).root(&cx);
    cx.collect();
    assert_eq!((counter.dropped(), root.get(&cx).number()), (0, 1));
    drop(root);
    cx.collect();
    assert_eq!(counter.dropped(), 1);
}

#[test]
fn a_coercion_to_another_object_is_refused() {
    static ELSEWHERE: u64 = 5;
    let heap = Heap::new(small());
    let mut cx = heap.enter();
    let object = cx.alloc([1_u64, 2]);
    let elsewhere =
        catch(|| DynGc::<dyn Plain>::new(object, |_| &ELSEWHERE).number()).expect_err("refused");
    assert!(elsewhere.contains("another object"), "{elsewhere}");
    let inside = catch(|| DynGc::<dyn Plain>::new(object, |object| &object[1]).number())
        .expect_err("refused");
    assert!(inside.contains("another object"), "{inside}");
    assert_eq!(DynGc::<dyn Plain>::new(object, |object| &object[0]).number(), 1);
    cx.collect();
}
