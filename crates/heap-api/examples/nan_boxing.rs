//! The values of a virtual machine in eight bytes: a double, an integer, nil, a boolean, a string or
//! any object. Handles are in the bits of a quiet NaN; `unsafe` stays in the module `value`.
//!
//! Run with `cargo run -p heap-api --example nan_boxing`.

use heap_api::{Config, Cx, Gc, GcCell, GcRefCell, Heap, Trace};
use value::{Unpacked, Value};

#[allow(unsafe_code, reason = "takes words apart that are handles by their bits")]
mod value {
    use core::marker::PhantomData;
    use core::ptr::{self, NonNull};

    use heap_api::{AnyGc, Gc, Trace, Tracer};

    /// The upper sixteen bits of a word that is no double. No operation on doubles has a result with
    /// these bits, and `Value::double` lets no other NaN in.
    const INT: usize = 0xFFFA;
    const CONSTANT: usize = 0xFFFB;
    const TEXT: usize = 0xFFFC;
    const OBJECT: usize = 0xFFFD;

    const TAG_SHIFT: u32 = 48;
    const PAYLOAD: usize = (1 << TAG_SHIFT) - 1;

    /// A value. The word is a pointer, so that a handle in it keeps its provenance: only the address
    /// has other bits.
    #[derive(Clone, Copy)]
    pub(crate) struct Value<'gc> {
        word: *mut u8,
        /// Valid as long as a handle, and on its thread.
        region: PhantomData<AnyGc<'gc>>,
    }

    const _: () = assert!(size_of::<Value<'_>>() == 8, "a value is eight bytes");

    /// What a value is.
    #[derive(Debug)]
    pub(crate) enum Unpacked<'gc> {
        Double(f64),
        Int(i32),
        Nil,
        Bool(bool),
        Text(Gc<'gc, str>),
        Object(AnyGc<'gc>),
    }

    impl<'gc> Value<'gc> {
        pub(crate) const NIL: Value<'static> = Value::plain(CONSTANT, 2);

        /// A word without a handle.
        const fn plain(tag: usize, payload: usize) -> Self {
            let word = ptr::without_provenance_mut(tag << TAG_SHIFT | payload);
            Value { word, region: PhantomData }
        }

        pub(crate) fn double(value: f64) -> Self {
            let value = if value.is_nan() { f64::NAN } else { value };
            let word = ptr::without_provenance_mut(value.to_bits() as usize);
            Value { word, region: PhantomData }
        }

        pub(crate) const fn int(value: i32) -> Self {
            Value::plain(INT, value as u32 as usize)
        }

        pub(crate) const fn bool(value: bool) -> Self {
            Value::plain(CONSTANT, value as usize)
        }

        pub(crate) fn text(text: Gc<'gc, str>) -> Self {
            Value::handle(TEXT, text.into_raw())
        }

        pub(crate) fn object(object: AnyGc<'gc>) -> Self {
            Value::handle(OBJECT, object.into_raw())
        }

        fn handle(tag: usize, object: NonNull<u8>) -> Self {
            assert!(object.addr().get() <= PAYLOAD, "an address of 48 bits");
            let word = object.as_ptr().map_addr(|address| tag << TAG_SHIFT | address);
            Value { word, region: PhantomData }
        }

        fn tag(self) -> usize {
            self.word.addr() >> TAG_SHIFT
        }

        fn payload(self) -> usize {
            self.word.addr() & PAYLOAD
        }

        /// The handle, if there is one.
        fn pointer(self) -> Option<NonNull<u8>> {
            match self.tag() {
                TEXT | OBJECT => NonNull::new(self.word.map_addr(|word| word & PAYLOAD)),
                _ => None,
            }
        }

        pub(crate) fn unpack(self) -> Unpacked<'gc> {
            match (self.tag(), self.pointer()) {
                // SAFETY: `text` made it of such a handle in this region; `trace` reports it.
                (TEXT, Some(text)) => Unpacked::Text(unsafe { Gc::from_raw(text) }),
                // SAFETY: as above, by `object`.
                (OBJECT, Some(object)) => Unpacked::Object(unsafe { Gc::from_raw(object) }),
                (INT, _) => Unpacked::Int(self.payload() as u32 as i32),
                (CONSTANT, _) if self.payload() == 2 => Unpacked::Nil,
                (CONSTANT, _) => Unpacked::Bool(self.payload() == 1),
                _ => Unpacked::Double(f64::from_bits(self.word.addr() as u64)),
            }
        }
    }

    // SAFETY: there is one handle at most, and it is reported; `At` replaces the one lifetime;
    // there is no `Drop`.
    unsafe impl Trace for Value<'_> {
        type At<'a> = Value<'a>;
        const NEEDS_TRACE: bool = true;

        #[inline]
        fn trace(&self, tracer: &mut Tracer) {
            if let Some(object) = self.pointer() {
                // SAFETY: the pointer of a handle that was put here in the region of the value.
                unsafe { tracer.report_raw(object) };
            }
        }
    }
}

/// Objects behind `Unpacked::Object`: found by `downcast`.
#[derive(Trace)]
struct List<'gc>(GcRefCell<Vec<Value<'gc>>>);

#[derive(Trace)]
struct Variable<'gc>(GcCell<Value<'gc>>);

fn list<'gc>(cx: &'gc Cx, values: Vec<Value<'gc>>) -> Value<'gc> {
    Value::object(cx.alloc(List(GcRefCell::new(values))).erase())
}

/// `a + b`: integers become doubles when they overflow; texts and lists are joined.
fn add<'gc>(cx: &'gc Cx, a: Value<'gc>, b: Value<'gc>) -> Value<'gc> {
    use Unpacked::{Double, Int, Object, Text};
    match (a.unpack(), b.unpack()) {
        (Int(a), Int(b)) => match a.checked_add(b) {
            Some(sum) => Value::int(sum),
            None => Value::double(f64::from(a) + f64::from(b)),
        },
        (Int(a), Double(b)) => Value::double(f64::from(a) + b),
        (Double(a), Int(b)) => Value::double(a + f64::from(b)),
        (Double(a), Double(b)) => Value::double(a + b),
        (Text(a), Text(b)) => Value::text(cx.alloc_str(&format!("{a}{b}"))),
        (Object(a), Object(b)) => match (a.downcast::<List<'_>>(), b.downcast::<List<'_>>()) {
            (Some(a), Some(b)) => {
                let both = a.0.borrow().iter().chain(b.0.borrow().iter()).copied().collect();
                list(cx, both)
            }
            _ => Value::NIL,
        },
        _ => Value::NIL,
    }
}

fn show(value: Value<'_>) -> String {
    match value.unpack() {
        Unpacked::Double(value) => format!("{value:?}"),
        Unpacked::Int(value) => value.to_string(),
        Unpacked::Nil => "nil".into(),
        Unpacked::Bool(value) => value.to_string(),
        Unpacked::Text(text) => format!("{:?}", &*text),
        Unpacked::Object(object) => {
            if let Some(list) = object.downcast::<List<'_>>() {
                let values: Vec<String> = list.0.borrow().iter().map(|v| show(*v)).collect();
                format!("[{}]", values.join(", "))
            } else if let Some(variable) = object.downcast::<Variable<'_>>() {
                format!("({})", show(variable.0.get()))
            } else {
                "?".into()
            }
        }
    }
}

fn main() {
    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();
    let root = {
        let numbers = [Value::int(40), Value::double(0.5), Value::double(f64::NAN)];
        let others = vec![
            Value::NIL,
            Value::bool(true),
            Value::text(cx.alloc_str("text")),
            add(&cx, Value::int(40), Value::int(2)),
            add(&cx, Value::int(i32::MAX), Value::int(1)),
            add(&cx, Value::int(1), Value::double(-0.25)),
        ];
        let both = add(&cx, list(&cx, numbers.to_vec()), list(&cx, others));
        cx.root(cx.alloc(Variable(GcCell::new(both))))
    };
    cx.collect();
    println!("{}", show(root.get(&cx).0.get()));

    // A value grows and is replaced; what it was is collected.
    for round in 0..4 {
        {
            let variable: Gc<'_, Variable<'_>> = root.get(&cx);
            let text = Value::text(cx.alloc_str(&format!("round {round}")));
            let old = if round == 0 { list(&cx, vec![]) } else { variable.0.get() };
            variable.0.set(&cx, add(&cx, old, list(&cx, vec![text])));
        }
        cx.collect();
    }
    let variable = root.get(&cx);
    variable.0.set(&cx, list(&cx, vec![variable.0.get(), Value::object(variable.erase())]));
    if let Unpacked::Object(object) = variable.0.get().unpack() {
        let list = object.downcast::<List<'_>>().expect("a list");
        println!("{}, and {} more", show(list.0.borrow()[0]), list.0.borrow().len() - 1);
    }
    cx.collect();
    println!("{} objects", heap.stats().marked_objects);
}
