//! `#[derive(Trace)]` and `#[derive(Share)]` on every shape of type they take:
//! what they trace, and that they get along with other people's names.

#![allow(dead_code, reason = "many shapes are only there to be derived")]

use heap_api::{AtomicSlot, Config, Gc, Heap, Lock, Opaque, Share, Slot, Trace};

/// Names that a careless macro would pick up from its surroundings.
mod shadows {
    pub(crate) struct Option;
    pub(crate) struct Send;
    pub(crate) struct Drop;
    pub(crate) trait Share {}
    pub(crate) mod core {}
    pub(crate) mod std {}

    #[derive(heap_api::Trace, heap_api::Share)]
    pub(crate) struct Plain {
        pub(crate) r#type: u8,
        pub(crate) r#match: bool,
        pub(crate) tracer: u16,
        pub(crate) field_0: u32,
    }
}

#[derive(Trace)]
struct Unit;

#[derive(Trace)]
struct Nothing {}

#[derive(Trace)]
enum Never {}

#[derive(Trace)]
struct Pair<'gc>(Gc<'gc, str>, Slot<Option<Gc<'gc, Self>>>);

#[derive(Trace, Share)]
struct Chain<'gc> {
    next: AtomicSlot<'gc, Self>,
}

#[derive(Trace)]
#[repr(u8)]
enum Value<'a> {
    Nil = 3,
    Int(i64),
    Str(Gc<'a, str>),
    r#Struct { name: Gc<'a, str>, rest: Slot<Option<Gc<'a, Value<'a>>>> },
}

#[derive(Trace)]
struct Generic<'gc, K: Copy, V, const N: usize>
where
    V: Sized,
{
    keys: [Slot<K>; N],
    values: Lock<Vec<V>>,
    this: Slot<Option<Gc<'gc, Generic<'gc, K, V, N>>>>,
}

#[derive(Trace)]
struct NoLifetime<T>(T, Box<[T]>);

#[derive(Trace)]
struct WithDefault<T = u8>(T);

#[derive(Trace)]
#[trace(leaf)]
struct Leaf<T>(T, std::sync::Mutex<Vec<u8>>);

impl<T> Drop for Leaf<T> {
    fn drop(&mut self) {}
}

macro_rules! declare {
    ($name:ident, $life:lifetime, $($field:ident: $ty:ty),*) => {
        #[derive(Trace)]
        struct $name<$life> { $($field: $ty),*, __tracer: Gc<$life, u8> }
    };
}
declare!(FromMacro, 'x, a: Gc<'x, u64>, b: Option<Gc<'x, str>>);

#[test]
fn what_is_derived_is_traced() {
    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();

    let pair = {
        let inner = cx.alloc(Pair(cx.alloc_str("inner"), Slot::new(None)));
        let outer = cx.alloc(Pair(cx.alloc_str("outer"), Slot::new(Some(inner))));
        cx.root(outer)
    };
    let value = {
        let last = cx.alloc(Value::Str(cx.alloc_str("last")));
        let first =
            cx.alloc(Value::Struct { name: cx.alloc_str("first"), rest: Slot::new(Some(last)) });
        cx.root(first)
    };
    let generic = {
        let text = |text: &str| cx.alloc_str(text);
        let object = cx.alloc(Generic {
            keys: [Slot::new(text("k0")), Slot::new(text("k1"))],
            values: Lock::new(vec![Some(text("v0")), None]),
            this: Slot::new(None),
        });
        object.this.set(&cx, Some(object));
        cx.root(object)
    };
    let made = {
        let object = cx.alloc(FromMacro {
            a: cx.alloc(1),
            b: Some(cx.alloc_str("b")),
            __tracer: cx.alloc(9),
        });
        cx.root(object)
    };
    let plain = {
        let object = cx.alloc(NoLifetime(cx.alloc(5_i8), vec![cx.alloc(6_i8)].into()));
        cx.root(object)
    };

    for _ in 0..3 {
        cx.safepoint();
        for i in 0..2000_u64 {
            let _ = cx.alloc((i, i));
            let _ = cx.alloc_str("overwrites what was freed");
        }
    }
    cx.verify().unwrap();

    let pair = pair.get(&cx);
    assert_eq!((&*pair.0, &*pair.1.get().unwrap().0), ("outer", "inner"));
    let Value::Struct { name, rest } = &*value.get(&cx) else { panic!("another variant") };
    assert_eq!(&**name, "first");
    assert!(matches!(&*rest.get().unwrap(), Value::Str(text) if &**text == "last"));
    let generic = generic.get(&cx);
    assert!(generic.this.get().unwrap().ptr_eq(generic));
    assert_eq!((&*generic.keys[0].get(), &*generic.keys[1].get()), ("k0", "k1"));
    assert_eq!(&*generic.values.borrow()[0].unwrap(), "v0");
    let made = made.get(&cx);
    assert_eq!((*made.a, &*made.b.unwrap(), *made.__tracer), (1, "b", 9));
    let plain = plain.get(&cx);
    assert_eq!((*plain.0, *plain.1[0]), (5, 6));
}

#[test]
fn handles_are_searched_only_where_there_can_be_any() {
    fn needs_trace<T: Trace>() -> bool {
        T::NEEDS_TRACE
    }
    assert!(needs_trace::<Pair<'static>>());
    assert!(needs_trace::<Value<'static>>());
    assert!(needs_trace::<Generic<'static, u8, u8, 0>>(), "it holds a handle to itself");
    assert!(needs_trace::<NoLifetime<Gc<'static, u8>>>());
    assert!(!needs_trace::<NoLifetime<u8>>());
    assert!(!needs_trace::<WithDefault>());
    assert!(!needs_trace::<Unit>());
    assert!(!needs_trace::<Nothing>());
    assert!(!needs_trace::<Never>());
    assert!(!needs_trace::<Leaf<u8>>());
    assert!(!needs_trace::<shadows::Plain>());
}

#[test]
fn share_is_what_all_fields_are() {
    fn share<T: Share>() {}
    share::<Chain<'static>>();
    share::<shadows::Plain>();
    share::<Opaque<std::sync::Mutex<u8>>>();
}
