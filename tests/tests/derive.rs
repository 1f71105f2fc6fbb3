//! `#[derive(Trace)]` and `#[derive(Share)]` on every shape of type they take:
//! what they trace, and that they get along with other people's names.

#![allow(dead_code, reason = "many shapes are only there to be derived")]

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::sync::atomic::AtomicU64;

use heap_api::{AtomicGcCell, Config, Gc, GcCell, GcRefCell, Heap, Opaque, Share, Trace};
use heap_tests::{few_under_miri, verify};

/// Objects that take the place of those that were freed.
const CHURN: usize = few_under_miri(2000, 20);

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
struct Pair<'gc>(Gc<'gc, str>, GcCell<Option<Gc<'gc, Self>>>);

#[derive(Trace, Share)]
struct Chain<'gc> {
    next: AtomicGcCell<'gc, Self>,
}

#[derive(Trace)]
#[repr(u8)]
enum Value<'a> {
    Nil = 3,
    Int(i64),
    Str(Gc<'a, str>),
    r#Struct { name: Gc<'a, str>, rest: GcCell<Option<Gc<'a, Value<'a>>>> },
}

#[derive(Trace)]
struct Generic<'gc, K: Copy, V, const N: usize>
where
    V: Sized,
{
    keys: [GcCell<K>; N],
    values: GcRefCell<Vec<V>>,
    this: GcCell<Option<Gc<'gc, Generic<'gc, K, V, N>>>>,
}

/// Bounds that say something of several parameters, or for any lifetime.
#[derive(Trace)]
struct Bounded<'gc, K: PartialEq<K> + for<'a> std::iter::Sum<&'a u8>, V: Into<K>, W: 'gc>
where
    for<'a> &'a K: Sized,
    Vec<V>: Clone,
    W: Fits<Gc<'gc, str>>,
{
    key: Option<Gc<'gc, K>>,
    value: V,
    rest: W,
}

trait Fits<T> {}
impl<'gc> Fits<Gc<'gc, str>> for Gc<'gc, u8> {}

/// A field whose type another one chooses.
trait Language {
    type Value<'gc>: Trace<At<'gc> = Self::Value<'gc>>;
    type Plain: for<'gc> Trace<At<'gc> = Self::Plain>;
}

#[derive(Trace)]
#[trace(leaf)]
struct Lua;

impl Language for Lua {
    type Value<'gc> = Value<'gc>;
    type Plain = u16;
}

#[derive(Trace)]
struct Activation<'gc, L: Language + 'static> {
    language: std::marker::PhantomData<L>,
    value: L::Value<'gc>,
    plain: L::Plain,
}

/// What language authors try first.
#[derive(Trace)]
struct Containers<'gc> {
    map: HashMap<Name<'gc>, Gc<'gc, u64>>,
    set: HashSet<Name<'gc>>,
    tree: BTreeMap<u8, Gc<'gc, str>>,
    tree_set: BTreeSet<u8>,
    list: LinkedList<Gc<'gc, str>>,
    heap: BinaryHeap<i16>,
    tuple: (u8, u8, u8, u8, u8, u8, u8, Option<Gc<'gc, str>>),
}

/// A handle that is a key by its content.
#[derive(Trace, Clone, Copy)]
struct Name<'gc>(Gc<'gc, str>);

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }
}
impl Eq for Name<'_> {}
impl std::hash::Hash for Name<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (*self.0).hash(state);
    }
}

#[derive(Trace)]
#[trace(leaf)]
struct LeafOfAny<T: Send + 'static>(std::sync::Mutex<T>);

#[derive(Trace, Share)]
struct Shareable<'gc> {
    text: Box<str>,
    numbers: Box<[AtomicU64]>,
    both: (VecDeque<u8>, Result<Gc<'gc, str>, u8>),
    marker: std::marker::PhantomData<fn()>,
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
#[derive(Trace, Share)]
enum NamesOfOurs<'gc> {
    At(Gc<'gc, u8>),
    Trace,
}

declare!(FromMacro, 'x, a: Gc<'x, u64>, b: Option<Gc<'x, str>>);

#[test]
fn what_is_derived_is_traced() {
    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();

    let pair = {
        let inner = cx.alloc(Pair(cx.alloc_str("inner"), GcCell::new(None)));
        let outer = cx.alloc(Pair(cx.alloc_str("outer"), GcCell::new(Some(inner))));
        cx.root(outer)
    };
    let value = {
        let last = cx.alloc(Value::Str(cx.alloc_str("last")));
        let first =
            cx.alloc(Value::Struct { name: cx.alloc_str("first"), rest: GcCell::new(Some(last)) });
        cx.root(first)
    };
    let generic = {
        let text = |text: &str| cx.alloc_str(text);
        let object = cx.alloc(Generic {
            keys: [GcCell::new(text("k0")), GcCell::new(text("k1"))],
            values: GcRefCell::new(vec![Some(text("v0")), None]),
            this: GcCell::new(None),
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
        for i in 0..CHURN as u64 {
            let _ = cx.alloc((i, i));
            let _ = cx.alloc_str("overwrites what was freed");
        }
    }
    verify(&mut cx);

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
fn what_containers_hold_is_traced() {
    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();
    let root = {
        let text = |i: u64| cx.alloc_str(&format!("a string, number {i}"));
        let name = |i| Name(text(i));
        cx.root(cx.alloc(Containers {
            map: (0..50).map(|i| (name(i), cx.alloc(i))).collect(),
            set: (50..100).map(name).collect(),
            tree: (0..50).map(|i| (i, text(i.into()))).collect(),
            tree_set: [1].into(),
            list: (100..150).map(text).collect(),
            heap: [2].into(),
            tuple: (0, 0, 0, 0, 0, 0, 0, Some(text(150))),
        }))
    };
    for _ in 0..3 {
        cx.safepoint();
        for i in 0..CHURN as u64 {
            let _ = (cx.alloc(i), cx.alloc_str("overwrites what was freed"));
        }
    }
    verify(&mut cx);
    let all = root.get(&cx);
    let is = |found: &str, i: u64| assert_eq!(found, format!("a string, number {i}"));
    assert_eq!((all.map.len(), all.set.len()), (50, 50));
    all.map.iter().for_each(|(name, value)| is(&name.0, **value));
    (50..100).for_each(|i| {
        assert!(all.set.contains(&Name(cx.alloc_str(&format!("a string, number {i}")))))
    });
    all.tree.iter().for_each(|(i, text)| is(text, (*i).into()));
    all.list.iter().zip(100..).for_each(|(text, i)| is(text, i));
    is(&all.tuple.7.unwrap(), 150);
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
    assert!(!needs_trace::<LeafOfAny<std::sync::mpsc::Sender<u8>>>(), "no bound but the leaf's");
    assert!(needs_trace::<Activation<'static, Lua>>());
    assert!(needs_trace::<Bounded<'static, u8, u8, Gc<'static, u8>>>());
    assert!(!needs_trace::<shadows::Plain>());
}

#[test]
fn share_is_what_all_fields_are() {
    fn share<T: Share>() {}
    share::<Chain<'static>>();
    share::<shadows::Plain>();
    share::<Opaque<std::sync::Mutex<u8>>>();
    share::<Shareable<'static>>();
}

/// Types that hold themselves, not only through a handle: what they need is not computed from
/// themselves (DR4).
mod recursive {
    use heap_api::{Gc, GcCell, GcRefCell, Trace};
    use std::collections::VecDeque;

    #[derive(Trace)]
    pub(crate) enum Sum {
        Number(f64),
        Add(Box<Sum>, Box<Sum>),
    }

    #[derive(Trace)]
    pub(crate) enum SelfFirst<'gc> {
        Add(Box<SelfFirst<'gc>>, Box<SelfFirst<'gc>>),
        Text(Gc<'gc, str>),
    }

    #[derive(Trace)]
    pub(crate) enum HandleFirst<'gc> {
        Text(Gc<'gc, str>),
        Add(Box<HandleFirst<'gc>>, Box<HandleFirst<'gc>>),
    }

    #[derive(Trace)]
    pub(crate) struct Even<'gc> {
        pub(crate) odd: Option<Box<Odd<'gc>>>,
        pub(crate) text: GcCell<Option<Gc<'gc, str>>>,
    }

    #[derive(Trace)]
    pub(crate) struct Odd<'gc> {
        pub(crate) even: Vec<Even<'gc>>,
    }

    #[derive(Trace)]
    pub(crate) struct Block<'gc> {
        pub(crate) parent: Option<Box<Block<'gc>>>,
        pub(crate) names: GcRefCell<Vec<Gc<'gc, str>>>,
    }

    #[derive(Trace)]
    pub(crate) struct Tree<'gc> {
        pub(crate) children: Vec<Tree<'gc>>,
        pub(crate) text: Gc<'gc, str>,
    }

    #[derive(Trace)]
    pub(crate) struct Rose<T> {
        pub(crate) value: T,
        pub(crate) children: VecDeque<Rose<T>>,
        pub(crate) next: Option<Box<Rose<T>>>,
    }

    #[derive(Trace)]
    pub(crate) struct Ping(pub(crate) Option<Box<Pong>>);
    #[derive(Trace)]
    pub(crate) struct Pong(pub(crate) Vec<Ping>, pub(crate) Result<Box<Ping>, u8>);
}

#[test]
fn types_that_hold_themselves_are_traced() {
    use recursive::{Block, Even, HandleFirst, Odd, Ping, Pong, Rose, SelfFirst, Sum, Tree};

    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();
    let roots = {
        let text = |text: &str| cx.alloc_str(text);
        let even = |odd, name: &str| Even { odd, text: GcCell::new(Some(text(name))) };
        let block = |parent, name: &str| Block {
            parent,
            names: GcRefCell::new(vec![text(name), text(name)]),
        };
        let tree = |children, name: &str| Tree { children, text: text(name) };
        let rose = |value| Rose { value: text(value), children: [].into(), next: None };
        let left = SelfFirst::Text(text("left"));
        let right = HandleFirst::Text(text("right"));
        (
            cx.root(cx.alloc(Sum::Add(Sum::Number(1.0).into(), Sum::Number(2.0).into()))),
            cx.root(cx.alloc(SelfFirst::Add(left.into(), SelfFirst::Text(text("l2")).into()))),
            cx.root(cx.alloc(HandleFirst::Add(right.into(), HandleFirst::Text(text("r2")).into()))),
            cx.root(cx.alloc(even(Some(Odd { even: vec![even(None, "e2")] }.into()), "e1"))),
            cx.root(cx.alloc(block(Some(block(None, "b2").into()), "b1"))),
            cx.root(cx.alloc(tree(vec![tree(vec![], "t2"), tree(vec![], "t3")], "t1"))),
            cx.root(cx.alloc(Rose {
                value: text("v1"),
                children: [rose("v2"), rose("v3")].into(),
                next: Some(rose("v4").into()),
            })),
            cx.root(cx.alloc(Ping(Some(Pong(vec![Ping(None)], Err(3)).into())))),
        )
    };
    for _ in 0..3 {
        cx.safepoint();
        for _ in 0..CHURN {
            let _ = cx.alloc_str("overwrites what was freed");
        }
    }
    verify(&mut cx);

    let Sum::Add(a, b) = &*roots.0.get(&cx) else { panic!("another variant") };
    assert!(matches!((&**a, &**b), (Sum::Number(1.0), Sum::Number(2.0))));
    let SelfFirst::Add(a, b) = &*roots.1.get(&cx) else { panic!("another variant") };
    assert!(matches!((&**a, &**b), (SelfFirst::Text(a), SelfFirst::Text(b))
        if (&**a, &**b) == ("left", "l2")));
    let HandleFirst::Add(a, b) = &*roots.2.get(&cx) else { panic!("another variant") };
    assert!(matches!((&**a, &**b), (HandleFirst::Text(a), HandleFirst::Text(b))
        if (&**a, &**b) == ("right", "r2")));
    let even = roots.3.get(&cx);
    let inner = &even.odd.as_ref().unwrap().even[0];
    assert_eq!((&*even.text.get().unwrap(), &*inner.text.get().unwrap()), ("e1", "e2"));
    let block = roots.4.get(&cx);
    let parent = block.parent.as_ref().unwrap();
    assert_eq!((&*block.names.borrow()[1], &*parent.names.borrow()[1]), ("b1", "b2"));
    let tree = roots.5.get(&cx);
    assert_eq!((&*tree.text, &*tree.children[1].text), ("t1", "t3"));
    let rose = roots.6.get(&cx);
    let next = rose.next.as_ref().unwrap();
    assert_eq!((&*rose.value, &*rose.children[1].value, &*next.value), ("v1", "v3", "v4"));
    let pong = roots.7.get(&cx);
    assert!(matches!(pong.0.as_deref(), Some(Pong(pings, Err(3))) if pings.len() == 1));

    fn needs_trace<T: Trace>() -> bool {
        T::NEEDS_TRACE
    }
    assert!(!needs_trace::<Sum>() && !needs_trace::<Ping>() && !needs_trace::<Rose<u8>>());
    assert!(needs_trace::<Rose<Gc<'static, u8>>>() && needs_trace::<Odd<'static>>());
}

/// What the derive sees of these types is not what they are (DR1).
mod disguised {
    use heap_api::{Gc, Share, Trace};
    use hostile_macros::{first_then, item_becomes};

    #[derive(Trace, Share)]
    pub(crate) struct Big(pub(crate) [u64; 4]);

    #[derive(Trace)]
    #[item_becomes(pub(crate) struct Attribute<'gc> {
        pub(crate) own: Gc<'gc, u64>,
        pub(crate) hidden: Gc<'gc, Big>,
    })]
    struct Attribute<'gc> {
        own: Gc<'gc, u64>,
        hidden: Big,
    }

    #[derive(Trace)]
    pub(crate) struct HandleThenPlain<'gc> {
        pub(crate) own: Gc<'gc, u64>,
        pub(crate) hidden: first_then!(Gc<'gc, Big>; Big),
    }

    #[derive(Trace, Share)]
    pub(crate) struct PlainThenHandle<'gc> {
        pub(crate) own: Gc<'gc, u64>,
        pub(crate) hidden: first_then!(Big; Gc<'gc, Big>),
    }

    // Uses up the first expansions, so that the next two types get the second ones.
    pub(crate) struct Before<'gc>(
        first_then!(u8; Gc<'gc, Big>),
        core::marker::PhantomData<&'gc ()>,
    );

    #[derive(Trace)]
    pub(crate) struct AfterAnother<'gc> {
        pub(crate) own: Gc<'gc, u64>,
        pub(crate) hidden: first_then!(u8; Gc<'gc, Big>),
    }
}

#[test]
fn fields_are_traced_as_what_they_are() {
    use disguised::{AfterAnother, Attribute, Big, HandleThenPlain, PlainThenHandle};

    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();
    let roots = {
        let big = |n| cx.alloc(Big([n; 4]));
        let own = cx.alloc(1);
        (
            cx.root(cx.alloc(Attribute { own, hidden: big(2) })),
            cx.root(cx.alloc(HandleThenPlain { own, hidden: big(3) })),
            cx.root(cx.alloc(PlainThenHandle { own, hidden: Big([4; 4]) })),
            cx.root(cx.alloc(AfterAnother { own, hidden: big(5) })),
        )
    };
    for _ in 0..3 {
        cx.safepoint();
        for i in 0..CHURN as u64 {
            let _ = cx.alloc(Big([i; 4]));
        }
    }
    verify(&mut cx);
    assert_eq!((roots.0.get(&cx).hidden.0, *roots.0.get(&cx).own), ([2; 4], 1));
    assert_eq!((roots.1.get(&cx).hidden.0, *roots.1.get(&cx).own), ([3; 4], 1));
    assert_eq!((roots.2.get(&cx).hidden.0, *roots.2.get(&cx).own), ([4; 4], 1));
    assert_eq!((roots.3.get(&cx).hidden.0, *roots.3.get(&cx).own), ([5; 4], 1));
}

/// The library under another name, as a dependency that was renamed.
mod renamed {
    pub(crate) mod inner {
        pub(crate) use heap_api as heap;
    }

    #[derive(heap_api::Trace, heap_api::Share)]
    #[trace(crate = "inner::heap")]
    pub(crate) struct Fields<'gc, T> {
        pub(crate) handle: inner::heap::Gc<'gc, inner::heap::Gc<'gc, str>>,
        pub(crate) generic: T,
    }

    #[derive(heap_api::Trace)]
    #[trace(leaf)]
    #[trace(crate = "crate::renamed::inner::heap")]
    pub(crate) struct Leaf(pub(crate) std::fs::File);

    #[derive(heap_api::Trace)]
    #[trace(crate = "inner::heap")]
    pub(crate) enum Bounded<K: Ord, V>
    where
        V: Iterator,
    {
        Both(K, V),
        Neither,
    }
}

#[test]
fn the_library_may_have_another_name() {
    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();
    let root = {
        let handle = cx.alloc(cx.alloc_str("kept"));
        cx.root(cx.alloc(renamed::Fields { handle, generic: cx.alloc_str("kept, too") }))
    };
    cx.collect();
    (0..CHURN).for_each(|_| _ = cx.alloc_str("other"));
    assert_eq!((&**root.get(&cx).handle, &*root.get(&cx).generic), ("kept", "kept, too"));
    fn is_share<T: Share>() {}
    is_share::<renamed::Fields<'_, u8>>();
}

#[test]
fn fields_may_be_skipped() {
    /// Neither `Trace` nor plain.
    struct Foreign(std::sync::mpsc::Sender<u8>);

    #[derive(Trace)]
    struct Object<'gc, T> {
        #[trace(skip)]
        sender: Foreign,
        handle: Gc<'gc, str>,
        generic: T,
        #[trace(skip)]
        callback: Box<dyn Fn(u8) -> u8 + Send>,
    }

    #[derive(Trace)]
    enum Either {
        One(#[trace(skip)] Foreign, u8),
        Other {
            #[trace(skip)]
            foreign: Foreign,
        },
    }

    let (sender, receiver) = std::sync::mpsc::channel();
    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();
    let root = cx.root(cx.alloc(Object {
        sender: Foreign(sender.clone()),
        handle: cx.alloc_str("kept"),
        generic: Some(cx.alloc_str("kept, too")),
        callback: Box::new(|x| x + 1),
    }));
    _ = cx.alloc(Either::One(Foreign(sender.clone()), 1));
    _ = cx.alloc(Either::Other { foreign: Foreign(sender) });
    cx.collect();
    (0..CHURN).for_each(|_| _ = cx.alloc_str("other"));
    {
        let object = root.get(&cx);
        assert_eq!((&*object.handle, &*object.generic.unwrap()), ("kept", "kept, too"));
        object.sender.0.send((object.callback)(1)).unwrap();
    }
    drop(root);
    cx.collect_and_drop();
    // What was skipped is dropped all the same.
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [2]);
    verify(&mut cx);
}

#[test]
fn more_types_of_the_standard_library_are_traced() {
    use std::cell::OnceCell;
    use std::ops::{Bound, Range, RangeInclusive};
    use std::sync::{Arc, Mutex, OnceLock, RwLock};

    type Many<'gc> = (u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, u8, Gc<'gc, str>);

    #[derive(Trace)]
    struct All<'gc> {
        once: OnceCell<Gc<'gc, str>>,
        range: Range<Gc<'gc, str>>,
        inclusive: RangeInclusive<Gc<'gc, str>>,
        bound: (Bound<Gc<'gc, str>>, std::ops::RangeFull),
        many: Many<'gc>,
        leaves: Leaves,
    }

    #[derive(Trace, Share)]
    struct Leaves {
        function: fn(u8, &'static str) -> u8,
        arc: Arc<dyn Fn() -> u8 + Send + Sync>,
        mutex: Mutex<Vec<u8>>,
        lock: RwLock<String>,
        once: OnceLock<String>,
        table: &'static [(&'static str, u8)],
        range: Range<u8>,
    }

    static TABLE: [(&str, u8); 1] = [("a", 1)];
    let heap = Heap::new(Config::new().stress(true));
    let mut cx = heap.enter();
    let root = {
        let text = |text| cx.alloc_str(text);
        let all = cx.alloc(All {
            once: OnceCell::new(),
            range: text("a")..text("b"),
            inclusive: text("c")..=text("d"),
            bound: (Bound::Excluded(text("e")), ..),
            many: (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, text("f")),
            leaves: Leaves {
                function: |a, b| a + b.len() as u8,
                arc: Arc::new(|| 7),
                mutex: Mutex::new(vec![1]),
                lock: RwLock::new(String::from("lock")),
                once: OnceLock::new(),
                table: &TABLE,
                range: 1..3,
            },
        });
        cx.root(all)
    };
    cx.collect();
    root.get(&cx).once.set(cx.alloc_str("set")).unwrap();
    cx.collect();
    (0..CHURN).for_each(|_| _ = cx.alloc_str("other"));
    let all = root.get(&cx);
    let texts = [
        all.once.get().unwrap(),
        &all.range.start,
        &all.range.end,
        all.inclusive.start(),
        all.inclusive.end(),
        &all.many.11,
    ];
    assert_eq!(texts.map(|text| &**text), ["set", "a", "b", "c", "d", "f"]);
    assert!(matches!(all.bound.0, Bound::Excluded(text) if &*text == "e"));
    all.leaves.mutex.lock().unwrap().push((all.leaves.function)(1, "ab"));
    assert_eq!(*all.leaves.mutex.lock().unwrap(), [1, 3]);
    assert_eq!(((all.leaves.arc)(), all.leaves.once.get_or_init(String::new).len()), (7, 0));
}
