//! Slices that are filled, grown or made by iterators, and strings that are put together in the
//! heap.

use std::cell::Cell;
use std::fmt;

use heap_api::{
    Config, Gc, GcCell, HeaderSlice, HeaderStr, Heap, Opaque, OutOfMemory, Root, Trace,
};
use heap_tests::{Counter, catch, few_under_miri, unwind, verify};

#[derive(Clone, Copy, Debug, PartialEq, Trace)]
enum Value<'gc> {
    Nil,
    Number(f64),
    Text(Gc<'gc, str>),
}

type Slices<'gc> = (Gc<'gc, [Value<'gc>]>, Gc<'gc, [GcCell<Value<'gc>>]>);

#[test]
fn slices_are_filled_and_grown() {
    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();
    for len in [0, 1, 7, 1000, few_under_miri(30_000, 3000)] {
        let slices: Root<Slices<'static>> = {
            let text = Value::Text(cx.alloc_str("text"));
            let fixed = cx.alloc_slice_fill(len, text);
            let cells = cx.alloc_slice_fill_cells(len, Value::Nil);
            if let Some(cell) = cells.last() {
                cell.set(&cx, text);
            }
            cx.root(cx.alloc((fixed, cells)))
        };
        cx.collect();
        let (fixed, cells) = *slices.get(&cx);
        assert_eq!((fixed.len(), cells.len()), (len, len));
        assert!(fixed.iter().all(|value| matches!(value, Value::Text(text) if &**text == "text")));
        assert_eq!(cells.iter().filter(|cell| cell.get() == Value::Nil).count(), len.max(1) - 1);
        for new in [0, len / 2, len, len + 1, 2 * len + 3] {
            let grown = cx.alloc_slice_grow(&fixed, new, Value::Number(1.0));
            let expected = |i| if i < len { fixed[i] } else { Value::Number(1.0) };
            assert!((0..new).map(expected).eq(grown.iter().copied()), "{len} to {new}");
            let grown = cx.alloc_slice_grow_cells(&cells, new, Value::Number(1.0));
            let expected = |i: usize| cells.get(i).map_or(Value::Number(1.0), GcCell::get);
            assert!((0..new).map(expected).eq(grown.iter().map(GcCell::get)), "{len} to {new}");
            if let Some(cell) = grown.first() {
                cell.set(&cx, Value::Number(2.0));
                assert_ne!(cells.first().map(GcCell::get), Some(Value::Number(2.0)));
            }
        }
    }
    verify(&mut cx);
}

#[test]
fn slices_behind_headers_are_filled() {
    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();
    type Cells<'gc> = HeaderSlice<(u8, Gc<'gc, str>), GcCell<Value<'gc>>>;
    type Fixed<'gc> = HeaderSlice<u8, Value<'gc>>;
    for len in [0, 1, 1000] {
        let (cells, fixed): (Root<Cells<'static>>, Root<Fixed<'static>>) = {
            let text = Value::Text(cx.alloc_str("text"));
            let cells = cx.alloc_header_slice_fill_cells((1_u8, cx.alloc_str("header")), len, text);
            (cx.root(cells), cx.root(cx.alloc_header_slice_fill(2_u8, len, text)))
        };
        cx.collect();
        let (cells, fixed) = (cells.get(&cx), fixed.get(&cx));
        assert_eq!((cells.header.0, &*cells.header.1, fixed.header), (1, "header", 2));
        assert_eq!((cells.tail.len(), fixed.tail.len()), (len, len));
        let is_text = |value| matches!(value, Value::Text(text) if text == "text");
        assert!(cells.tail.iter().map(GcCell::get).chain(fixed.tail.iter().copied()).all(is_text));
    }
    let refused = cx.try_alloc_header_slice_fill(7_u8, usize::MAX, 0_u64).unwrap_err();
    assert_eq!((refused.value, refused.reason), (7, OutOfMemory::TooLarge));
    assert!(cx.try_alloc_header_slice_fill_cells((), usize::MAX, 0_u64).is_err());
    verify(&mut cx);
}

/// Says a length, and has another.
struct Liar {
    says: usize,
    has: usize,
}

impl Iterator for Liar {
    type Item = usize;
    fn next(&mut self) -> Option<usize> {
        self.has = self.has.checked_sub(1)?;
        Some(self.has)
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.says, Some(self.says))
    }
}

impl ExactSizeIterator for Liar {}

#[test]
fn an_iterator_may_lie_about_its_length() {
    let counter = Counter::new();
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    for (says, has) in [(0, 0), (0, 10), (10, 0), (10, 3), (3, 10), (10, 10), (2000, 1500)] {
        let liar = || Liar { says, has };
        let numbers = cx.alloc_slice_iter(liar());
        assert!(numbers.iter().copied().eq(liar().take(says)), "{says} {has}");
        let counted = liar().map(|i| Opaque(counter.value(i as u64)));
        let owners = cx.alloc_slice_iter(counted);
        assert_eq!(owners.len(), says.min(has));
        // What is made on the way may be in the heap as well.
        let texts = cx.alloc_slice_iter(liar().map(|i| cx.alloc_str(&i.to_string())));
        assert!(texts.iter().map(|text| text.parse::<usize>().unwrap()).eq(liar().take(says)));
    }
    let huge = Liar { says: usize::MAX, has: 1 };
    assert_eq!(cx.try_alloc_slice_iter(huge).unwrap_err().reason, OutOfMemory::TooLarge);
    assert!(
        catch(|| cx.alloc_slice_iter((0_u32..10).map(|i| {
            if i == 7 {
                unwind();
            }
            Opaque(counter.value(i.into()))
        })))
        .is_err()
    );
    cx.collect_and_drop();
    verify(&mut cx);
    counter.assert_balanced();
    assert!(counter.made() > 1500);
}

/// Text that depends on how often it was asked for, in parts.
struct Moody(Cell<usize>);

impl fmt::Display for Moody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.set(self.0.get() + 1);
        (0..self.0.get()).try_for_each(|i| write!(f, "{i} "))
    }
}

struct Failing(&'static str);

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("begun")?;
        match self.0 {
            "error" => Err(fmt::Error),
            _ => unwind(),
        }
    }
}

#[test]
fn strings_are_put_together() {
    let heap = Heap::new(Config::new());
    let mut cx = heap.enter();
    assert_eq!(&*cx.alloc_str_concat(&[]), "");
    assert_eq!(&*cx.alloc_str_concat(&["", "grün", "", "er"]), "grüner");
    let long = "x".repeat(300);
    for count in [1, 2, 100] {
        assert_eq!(*cx.alloc_str_concat(&vec![&*long; count]), *long.repeat(count));
    }
    for len in [0, 1, 511, 512, 513, 1024, few_under_miri(100_000, 2000)] {
        let text = "é".repeat(len / 2);
        assert_eq!(*cx.alloc_fmt(format_args!("{text}")), *text);
        assert_eq!(*cx.alloc_fmt(format_args!("<{text}|{text}>")), *format!("<{text}|{text}>"));
        let parts = text.chars().map(|c| c.to_string()).collect::<Vec<_>>();
        assert_eq!(*cx.alloc_fmt(format_args!("{parts:?}")), *format!("{parts:?}"));
    }
    assert_eq!(&*cx.alloc_fmt(format_args!("constant")), "constant");
    let moody = Moody(Cell::new(0));
    assert_eq!(&*cx.alloc_fmt(format_args!("{moody}{moody}")), "0 0 1 ");
    assert!(catch(|| cx.alloc_fmt(format_args!("{}", Failing("panic")))).is_err());
    let message = catch(|| cx.alloc_fmt(format_args!("{}", Failing("error")))).unwrap_err();
    assert!(message.contains("returned an error"));
    verify(&mut cx);
}

#[test]
fn a_string_may_have_a_header() {
    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();
    let name: Root<HeaderStr<Gc<'static, str>>> = {
        let name = cx.alloc_header_str(cx.alloc_str("header"), "näme");
        cx.root(name)
    };
    let tiny = cx.root(cx.alloc_header_str((), ""));
    cx.collect();
    assert_eq!((&*name.get(&cx).header, &name.get(&cx).text), ("header", "näme"));
    assert_eq!(&tiny.get(&cx).text, "");
    assert_eq!(
        format!("{:?}", cx.alloc_header_str(1_u8, "a")),
        r#"HeaderStr { len: 1, header: 1, text: "a" }"#
    );
    let limited = Heap::new(Config::new().max_heap_bytes(1 << 20));
    cx.park(|| {
        let cx = limited.enter();
        let large = "x".repeat(2 << 20);
        assert_eq!(cx.try_alloc_header_str(7, &large).unwrap_err().value, 7);
        assert!(cx.try_alloc_str_concat(&[&large, &large]).is_err());
        assert!(cx.try_alloc_fmt(format_args!("{large}{large}")).is_err());
        assert!(cx.try_alloc_slice_fill(1 << 20, 0_u64).is_err());
        assert!(cx.try_alloc_slice_fill_cells(usize::MAX, 0_u64).is_err());
        assert!(cx.try_alloc_slice_grow(large.as_bytes(), 4 << 20, 0).is_err());
        assert!(cx.try_alloc_slice_grow_cells(&[GcCell::new(0_u64)], 1 << 20, 0).is_err());
        assert!(cx.try_alloc_slice_iter(0_u8..255).is_ok());
    });
}
