//! Handles of which the type is forgotten and found again: `AnyGc`.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use heap_api::{
    AnyGc, AnyObject, AtomicGcCell, BarrierStamp, Config, Cx, External, Gc, GcCell, GcRefCell,
    HeaderSlice, HeaderStr, Heap, InternSet, Opaque, Root, Trace,
};
use heap_tests::{a_vector, begin_marking, verify};

#[derive(Trace)]
struct Pair<'gc>(AnyGc<'gc>, AnyGc<'gc>);

/// As `Pair`, down to the code that traces it.
#[derive(Trace)]
struct Couple<'gc>(AnyGc<'gc>, AnyGc<'gc>);

#[derive(Trace)]
struct Generic<'gc, T>(T, AnyGc<'gc>);

/// A type with as many parameters as `Generic`, of which objects look the same.
#[derive(Trace)]
struct Wrapped<T>(T);

#[derive(Trace)]
#[trace(leaf)]
struct A(#[expect(dead_code, reason = "owns memory")] String);
#[derive(Trace)]
#[trace(leaf)]
struct B(#[expect(dead_code, reason = "owns memory")] String);

#[derive(Trace)]
#[trace(own_kind)]
struct Number(f64);

#[derive(Clone, Copy, Trace)]
#[trace(own_kind)]
struct Integer(i64);

#[derive(Trace)]
#[trace(leaf, own_kind)]
struct Nothing;

#[derive(Trace)]
#[trace(own_kind)]
struct Large([u64; 5000]);

/// Makes strings that can be told from other strings.
#[derive(Clone, Copy, Trace)]
#[trace(own_kind)]
struct Text;

fn small() -> Config {
    Config::new().huge_pages(false).min_heap_bytes(64 << 10)
}

/// A name, an object of a type, and whether an object is of that type.
type Case<'gc> = (&'static str, AnyGc<'gc>, fn(AnyGc<'_>) -> bool);

macro_rules! case {
    ($t:ty, $gc:expr) => {
        (stringify!($t), $gc.erase(), (|any| any.is::<$t>()) as fn(AnyGc<'_>) -> bool)
    };
}

/// Objects that can be told apart, each of another type.
fn told_apart<'gc>(cx: &'gc Cx) -> Vec<Case<'gc>> {
    let any = cx.alloc(0_u8).erase();
    vec![
        case!(Pair<'_>, cx.alloc(Pair(any, any))),
        case!(Couple<'_>, cx.alloc(Couple(any, any))),
        case!(Generic<'_, u64>, cx.alloc(Generic(1_u64, any))),
        case!(Generic<'_, i64>, cx.alloc(Generic(1_i64, any))),
        case!(Generic<'_, Generic<'_, u64>>, cx.alloc(Generic(Generic(1_u64, any), any))),
        case!(Wrapped<AnyGc<'_>>, cx.alloc(Wrapped(any))),
        case!(Wrapped<Gc<'_, u64>>, cx.alloc(Wrapped(cx.alloc(7_u64)))),
        case!(AnyGc<'_>, cx.alloc(any)),
        case!(Gc<'_, u64>, cx.alloc(cx.alloc(7_u64))),
        case!(Gc<'_, i64>, cx.alloc(cx.alloc(7_i64))),
        case!(Option<AnyGc<'_>>, cx.alloc(Some(any))),
        case!(GcCell<AnyGc<'_>>, cx.alloc(GcCell::new(any))),
        case!(GcRefCell<Vec<AnyGc<'_>>>, cx.alloc(GcRefCell::new(vec![any]))),
        case!(AtomicGcCell<'_, u64>, cx.alloc(AtomicGcCell::new(Some(cx.alloc(7_u64))))),
        case!(A, cx.alloc(A("a".into()))),
        case!(B, cx.alloc(B("b".into()))),
        case!(String, cx.alloc(String::from("c"))),
        case!(Opaque<String>, cx.alloc(Opaque(String::from("c")))),
        case!(External<String>, cx.alloc(External::new(cx, String::from("d")))),
        case!(Vec<u64>, cx.alloc(vec![1_u64])),
        case!(Vec<i64>, cx.alloc(vec![1_i64])),
        case!([AnyGc<'_>], cx.alloc_slice_copy(&[any, any])),
        case!([Gc<'_, u64>], cx.alloc_slice_copy(&[cx.alloc(7_u64)])),
        case!([AnyGc<'_>; 2], cx.alloc([any, any])),
        case!([String], cx.alloc_slice_fn(2, |_| String::new())),
        case!(HeaderSlice<u64, AnyGc<'_>>, cx.alloc_header_slice_copy(1_u64, &[any])),
        case!(HeaderSlice<BarrierStamp, AnyGc<'_>>, {
            cx.alloc_header_slice_copy(BarrierStamp::new(), &[any])
        }),
        case!(HeaderSlice<AnyGc<'_>, u64>, cx.alloc_header_slice_copy(any, &[1_u64])),
        case!(HeaderSlice<String, u8>, cx.alloc_header_slice_copy(String::new(), b"x")),
        case!(Number, cx.alloc(Number(1.5))),
        case!(Integer, cx.alloc(Integer(15))),
        case!(Nothing, cx.alloc(Nothing)),
        case!(Large, cx.alloc(Large([1; 5000]))),
        case!(HeaderSlice<Text, u8>, cx.alloc_header_slice_copy(Text, b"text")),
        case!(HeaderStr<Text>, cx.alloc_header_str(Text, "text")),
        case!(HeaderSlice<Text, u16>, cx.alloc_header_slice_copy(Text, &[1_u16])),
        case!([Integer], cx.alloc_slice_copy(&[Integer(1)])),
        case!([Text], cx.alloc_slice_copy(&[Text, Text])),
    ]
}

/// Objects of types that share pages.
fn plain<'gc>(cx: &'gc Cx) -> Vec<Case<'gc>> {
    vec![
        case!(u8, cx.alloc(1_u8)),
        case!(u64, cx.alloc(1_u64)),
        case!((), cx.alloc(())),
        case!([u64; 4], cx.alloc([1_u64; 4])),
        case!([i64; 4], cx.alloc([1_i64; 4])),
        case!([u64; 5000], cx.alloc_zeroed::<[u64; 5000]>()),
        case!(str, cx.alloc_str("text")),
        case!([u8], cx.alloc_slice_copy(b"text")),
        case!([u64], cx.alloc_slice_copy(&[1_u64, 2])),
        case!(HeaderSlice<u64, u8>, cx.alloc_header_slice_copy(1_u64, b"text")),
    ]
}

#[test]
fn an_object_is_of_its_own_type_and_of_no_other() {
    let heap = Heap::new(small());
    let cx = heap.enter();
    let mut all = told_apart(&cx);
    all.extend(told_apart(&cx));
    let names: HashSet<&str> = all.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names.len() * 2, all.len());
    for (name, any, _) in &all {
        for (other, _, is) in &all {
            assert_eq!(is(*any), name == other, "{name} as {other}");
        }
        assert!(plain(&cx).iter().all(|(_, _, is)| !is(*any)), "{name}");
        assert!(!any.is::<AnyObject>() && any.downcast::<AnyObject>().is_none());
        assert!(!any.kind_name().is_empty());
    }
}

#[test]
fn objects_that_share_pages_are_of_no_known_type() {
    let heap = Heap::new(small());
    let cx = heap.enter();
    let all = [plain(&cx), told_apart(&cx)].concat();
    for (name, any, _) in plain(&cx) {
        for (other, _, is) in &all {
            assert!(!is(any), "{name} as {other}");
        }
    }
}

#[test]
fn a_kind_is_known_in_other_crates() {
    let heap = Heap::new(small());
    let cx = heap.enter();
    // The constant is compiled in each crate, and may be two.
    let there = a_vector(&cx);
    let here = cx.alloc(vec![9_u64]).erase();
    assert_eq!(*there.downcast::<Vec<u64>>().expect("a vector"), [1, 2, 3]);
    assert_eq!(*here.downcast::<Vec<u64>>().expect("a vector"), [9]);
    assert!(!there.is::<Vec<i64>>());
}

#[test]
fn types_with_a_kind_of_their_own_have_slots_of_their_own() {
    let heap = Heap::new(small());
    let cx = heap.enter();
    let number = cx.alloc(Number(1.0));
    let plain = cx.alloc(1.0_f64);
    let (nothing, none) = (cx.alloc(Nothing), cx.alloc(Nothing));
    assert_eq!(number.addr() % 16, 0);
    assert_ne!(number.addr() / 8192, plain.addr() / 8192);
    assert!(!nothing.ptr_eq(none) && nothing.addr() % 16 == 0);
    let text = cx.alloc_header_slice_copy(Text, "grüß".as_bytes()).erase();
    let found = text.downcast::<HeaderSlice<Text, u8>>().expect("text");
    assert_eq!(&found.tail, "grüß".as_bytes());
    // `[T]` and `HeaderSlice<(), T>` lie in the heap in one form.
    let slice = cx.alloc_slice_copy(&[Integer(4), Integer(5)]).erase();
    let tail = slice.downcast::<HeaderSlice<(), Integer>>().expect("a slice");
    assert_eq!((tail.tail[0].0, tail.tail[1].0), (4, 5));
}

/// The numbers in a tree of pairs, cells and numbers.
fn sum(any: AnyGc<'_>) -> f64 {
    if let Some(number) = any.downcast::<Number>() {
        number.0
    } else if let Some(pair) = any.downcast::<Pair<'_>>() {
        sum(pair.0) + sum(pair.1)
    } else if let Some(cell) = any.downcast::<GcCell<AnyGc<'_>>>() {
        sum(cell.get())
    } else if let Some(slice) = any.downcast::<[AnyGc<'_>]>() {
        slice.iter().map(|any| sum(*any)).sum()
    } else {
        0.0
    }
}

fn tree<'gc>(cx: &'gc Cx, depth: u32) -> AnyGc<'gc> {
    let _ = cx.alloc_str("garbage");
    match depth {
        0 => cx.alloc(Number(1.0)).erase(),
        _ if depth.is_multiple_of(3) => {
            cx.alloc_slice_copy(&[tree(cx, depth - 1), tree(cx, depth - 1)]).erase()
        }
        _ => {
            let left = cx.alloc(GcCell::new(tree(cx, depth - 1))).erase();
            cx.alloc(Pair(left, tree(cx, depth - 1))).erase()
        }
    }
}

#[test]
fn what_an_erased_handle_leads_to_is_kept() {
    const DEPTH: u32 = if cfg!(miri) { 3 } else { 10 };
    let numbers = f64::from(1 << DEPTH);
    let heap = Heap::new(small().stress(true));
    let mut cx = heap.enter();
    let root: Root<AnyObject> = cx.root(tree(&cx, DEPTH));
    for _ in 0..3 {
        cx.collect();
        assert_eq!(sum(root.get(&cx)), numbers);
    }
    cx.scope(|scope| {
        let local = scope.keep(root.get(scope));
        drop(root);
        scope.collect();
        assert_eq!(sum(local.get(scope)), numbers);
        verify(scope);
    });
    cx.collect();
    assert_eq!(heap.stats().marked_objects, 0);
}

#[test]
fn a_cell_of_erased_handles_has_the_barrier() {
    let heap = Heap::new(small().mark_slice(Duration::ZERO));
    let mut cx = heap.enter();
    let new = |_| cx.root(cx.alloc(GcCell::new(Some(tree(&cx, 1)))));
    let cells: Vec<Root<GcCell<Option<AnyGc<'static>>>>> = (0..50).map(new).collect();
    begin_marking(&mut cx);
    // New objects are black: nothing looks for what was put into them.
    let take = |cell: &Root<GcCell<Option<AnyGc<'static>>>>| {
        let taken = cell.get(&cx).replace(&cx, None).expect("a tree");
        cx.root(cx.alloc(Pair(taken, cx.alloc(Nothing).erase())))
    };
    let taken: Vec<_> = cells.iter().map(take).collect();
    while !cx.collect_step() {}
    verify(&mut cx);
    assert!(taken.iter().all(|taken| sum(taken.get(&cx).erase()) == 2.0));
}

#[test]
fn erased_handles_are_compared_by_identity() {
    let heap = Heap::new(small());
    let cx = heap.enter();
    let (one, two) = (cx.alloc(1_u64), cx.alloc(1_u64));
    assert!(one == two && one.erase() != two.erase() && one.erase() == one.erase());
    let names = HashMap::from([(one.erase(), "one"), (two.erase(), "two")]);
    assert_eq!(names[&two.erase()], "two");
    assert_eq!(one.erase().addr(), one.addr());
    assert_eq!(format!("{:?}", one.erase()), format!("AnyObject({:#x})", one.addr()));
    assert_eq!(size_of::<Option<AnyGc<'_>>>(), size_of::<usize>());
}

#[test]
fn an_intern_set_of_any_objects_finds_them() {
    let heap = Heap::new(small());
    let mut cx = heap.enter();
    let mut set = InternSet::<AnyObject>::new(&heap);
    let kept = {
        let number = cx.alloc(Number(4.0)).erase();
        set.insert(&cx, 4, number);
        set.insert(&cx, 5, cx.alloc(Number(5.0)).erase());
        cx.root(number)
    };
    cx.collect();
    let kept = kept.get(&cx);
    assert!(set.find(&cx, 5, |_| true).is_none());
    assert!(set.find(&cx, 4, |same| *same == *kept).is_some_and(|found| found == kept));
}
