//! Handles as raw pointers: words with a tag in their low bits, and NaN boxes in numbers, traced by
//! hand; the barrier of their cells; what holds of addresses.
#![allow(unsafe_code, reason = "implements `Trace` by hand, as programs with tagged words do")]

use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use std::time::Duration;

use heap_api::{
    AnyGc, AnyObject, BarrierStamp, Config, Cx, Gc, GcCell, GcRefCell, GcStack, Heap, Root, Trace,
    Tracer,
};
use heap_tests::{Counter, begin_marking, few_under_miri, verify};

fn small() -> Config {
    Config::new().huge_pages(false).min_heap_bytes(64 << 10)
}

#[derive(Trace)]
#[trace(own_kind)]
struct Boxed(u64);

/// A value in a form of its own.
trait Word<'gc>: Copy + Trace<At<'gc> = Self> + 'gc {
    fn number(number: u32) -> Self;
    fn object(object: AnyGc<'gc>) -> Self;
    fn get(self) -> Result<u32, AnyGc<'gc>>;
}

/// A pointer with a tag in its lowest bit.
#[derive(Clone, Copy)]
struct Tagged<'gc>(*mut u8, PhantomData<AnyGc<'gc>>);

impl Tagged<'_> {
    fn pointer(self) -> Option<NonNull<u8>> {
        let untagged = self.0.map_addr(|word| word & !1);
        NonNull::new(untagged).filter(|_| self.0.addr() & 1 == 1)
    }
}

impl<'gc> Word<'gc> for Tagged<'gc> {
    fn number(number: u32) -> Self {
        Tagged(ptr::without_provenance_mut((number as usize) << 1), PhantomData)
    }
    fn object(object: AnyGc<'gc>) -> Self {
        Tagged(object.into_raw().as_ptr().map_addr(|word| word | 1), PhantomData)
    }
    fn get(self) -> Result<u32, AnyGc<'gc>> {
        match self.pointer() {
            None => Ok((self.0.addr() >> 1) as u32),
            // SAFETY: of a handle of this region; `trace` reports it.
            Some(object) => Err(unsafe { Gc::from_raw(object) }),
        }
    }
}

// SAFETY: reports its handle; `At` replaces the lifetime; there is no `Drop`.
unsafe impl Trace for Tagged<'_> {
    type At<'a> = Tagged<'a>;
    const NEEDS_TRACE: bool = true;
    fn trace(&self, tracer: &mut Tracer) {
        if let Some(object) = self.pointer() {
            // SAFETY: of a handle.
            unsafe { tracer.report_raw(object) };
        }
    }
}

/// A number of eight bytes, of which the provenance is exposed.
#[derive(Clone, Copy)]
struct NanBox<'gc>(u64, PhantomData<AnyGc<'gc>>);

const OBJECT: u64 = 0xFFFC << 48;

impl NanBox<'_> {
    fn pointer(self) -> Option<NonNull<u8>> {
        let address = (self.0 & !OBJECT) as usize;
        NonNull::new(ptr::with_exposed_provenance_mut(address))
            .filter(|_| self.0 & OBJECT == OBJECT)
    }
}

impl<'gc> Word<'gc> for NanBox<'gc> {
    fn number(number: u32) -> Self {
        NanBox(f64::from(number).to_bits(), PhantomData)
    }
    fn object(object: AnyGc<'gc>) -> Self {
        let address = object.into_raw().as_ptr().expose_provenance() as u64;
        assert_eq!(address & OBJECT, 0, "48 bits");
        NanBox(address | OBJECT, PhantomData)
    }
    fn get(self) -> Result<u32, AnyGc<'gc>> {
        match self.pointer() {
            None => Ok(f64::from_bits(self.0) as u32),
            // SAFETY: of a handle of this region; `trace` reports it.
            Some(object) => Err(unsafe { Gc::from_raw(object) }),
        }
    }
}

// SAFETY: reports its handle; `At` replaces the lifetime; there is no `Drop`.
unsafe impl Trace for NanBox<'_> {
    type At<'a> = NanBox<'a>;
    const NEEDS_TRACE: bool = true;
    fn trace(&self, tracer: &mut Tracer) {
        if let Some(object) = self.pointer() {
            // SAFETY: of a handle.
            unsafe { tracer.report_raw(object) };
        }
    }
}

/// A list whose length and elements are words.
#[derive(Trace)]
struct Node<T> {
    value: T,
    next: GcCell<T>,
}

fn list<'gc, W: Word<'gc>>(cx: &'gc Cx, len: u32) -> W
where
    Node<W>: Trace<At<'gc> = Node<W>>,
{
    let mut list = W::number(0);
    for i in 0..len {
        let _ = cx.alloc_str("garbage");
        let boxed = cx.alloc(Boxed(u64::from(i))).erase();
        let value = if i.is_multiple_of(2) { W::number(i) } else { W::object(boxed) };
        list = W::object(cx.alloc(Node { value, next: GcCell::new(list) }).erase());
    }
    list
}

fn sum<'gc, W: Word<'gc>>(mut list: W) -> u64
where
    Node<W>: Trace<At<'gc> = Node<W>>,
{
    let mut sum = 0;
    while let Err(node) = list.get() {
        let node = node.downcast::<Node<W>>().expect("a node");
        sum += match node.value.get() {
            Ok(number) => u64::from(number),
            Err(boxed) => boxed.downcast::<Boxed>().expect("a boxed number").0,
        };
        list = node.next.get();
    }
    sum
}

macro_rules! words {
    ($($name:ident: $word:ident)*) => {$(mod $name {
        use super::*;

        #[test]
        fn they_keep_what_they_lead_to() {
            let heap = Heap::new(small().stress(true));
            let mut cx = heap.enter();
            let len = few_under_miri(1000, 10) as u32;
            let total = u64::from(len) * u64::from(len - 1) / 2;
            let root: Root<GcCell<$word<'static>>> =
                cx.root(cx.alloc(GcCell::new(list::<$word<'_>>(&cx, len))));
            for _ in 0..3 {
                cx.collect();
                assert_eq!(sum(root.get(&cx).get()), total);
            }
            verify(&mut cx);
            root.get(&cx).set(&cx, $word::number(17));
            cx.collect();
            assert_eq!(root.get(&cx).get().get().ok(), Some(17));
            assert_eq!(heap.stats().marked_objects, 1);
        }

        #[test]
        fn their_cells_have_the_barrier() {
            let heap = Heap::new(small().mark_slice(Duration::ZERO));
            let mut cx = heap.enter();
            let roots: Vec<Root<Node<$word<'static>>>> = (0..50)
                .map(|_| {
                    let next = GcCell::new(list::<$word<'_>>(&cx, 2));
                    cx.root(cx.alloc(Node { value: $word::number(0), next }))
                })
                .collect();
            begin_marking(&mut cx);
            let taken: Vec<Root<Node<$word<'static>>>> = roots
                .iter()
                .map(|root| {
                    let value = $word::number(0);
                    let taken = root.get(&cx).next.replace(&cx, value);
                    // Black: nothing looks for what is in it.
                    cx.root(cx.alloc(Node { value, next: GcCell::new(taken) }))
                })
                .collect();
            while !cx.collect_step() {}
            verify(&mut cx);
            for taken in &taken {
                assert_eq!(sum(taken.get(&cx).next.get()), 1);
            }
        }

        #[test]
        fn other_cells_and_stacks_trace_them() {
            let heap = Heap::new(small());
            let mut cx = heap.enter();
            let list = |n| list::<$word<'_>>(&cx, n);
            let cell = cx.root(cx.alloc(GcRefCell::new(vec![list(2), list(3)])));
            let slots = cx.root(
                cx.try_alloc_header_slice_fn(BarrierStamp::new(), 3, |_| GcCell::new(list(4)))
                    .expect("memory"),
            );
            let stack = cx.root(cx.alloc(GcStack::<$word<'_>>::new()));
            stack.get(&cx).try_push(&cx, list(5)).expect("memory");
            slots.get(&cx).as_ref().open(&cx)[1].set(list(6));
            cx.collect();
            let cells = cell.get(&cx);
            assert_eq!(cells.borrow().iter().map(|list| sum(*list)).collect::<Vec<_>>(), [1, 3]);
            let slots = slots.get(&cx);
            assert_eq!((sum(slots.tail[0].get()), sum(slots.tail[1].get())), (6, 15));
            assert_eq!(stack.get(&cx).last().map(sum), Some(10));
        }
    })*};
}
words! { tagged: Tagged nan_box: NanBox }

#[test]
fn a_handle_comes_back_as_it_was() {
    let heap = Heap::new(small());
    let cx = heap.enter();
    let text = cx.alloc_str("text");
    // SAFETY: of a handle of this region.
    let again: Gc<'_, str> = unsafe { Gc::from_raw(text.into_raw()) };
    assert!(again.ptr_eq(text) && &*again == "text");
    // SAFETY: as above.
    let any: Gc<'_, AnyObject> = unsafe { Gc::from_raw(text.erase().into_raw()) };
    assert!(any == text.erase() && any.into_raw().addr().get() == text.addr());
}

#[test]
fn the_low_bits_of_addresses_are_free() {
    #[derive(Trace)]
    struct Handle<'gc>(Gc<'gc, u8>);
    #[derive(Trace)]
    #[trace(own_kind)]
    struct Byte(u8);
    let heap = Heap::new(small());
    let cx = heap.enter();
    let counter = Counter::new();
    let mut addresses = Vec::new();
    for len in 0..few_under_miri(200, 20) {
        let byte = cx.alloc(len as u8);
        addresses.extend([
            cx.alloc(Handle(byte)).addr(),
            cx.alloc(Byte(1)).addr() + usize::from(cx.alloc(Byte(8)).0),
            cx.alloc([1_u8; 16]).addr(),
            cx.alloc([1_u8; 17]).addr(),
            cx.alloc([1_u8; 24]).addr(),
            cx.alloc([1_u8; 31]).addr(),
            cx.alloc(counter.value(1)).addr(),
            cx.alloc(vec![byte]).addr(),
            cx.alloc_str(&"x".repeat(len)).addr(),
            cx.alloc_slice_copy(&vec![0_u8; len]).addr(),
            cx.alloc_slice_copy(&vec![byte; len]).addr(),
            cx.alloc_header_slice_copy(1_u8, &vec![byte; len]).addr(),
        ]);
    }
    assert!(addresses.iter().all(|address| address % 8 == 0));
    assert!(addresses.iter().all(|address| *address as u64 >> 48 == 0));
}
