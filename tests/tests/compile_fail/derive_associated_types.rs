//! Handles of a region of their own, behind associated types that bounds promise to be of every
//! region (DR3).
use heap_api::*;
use std::marker::PhantomData;

struct Select<const B: bool>;
trait Selected {
    type Type;
}
impl Selected for Select<true> {
    type Type = Gc<'static, u8>;
}
impl Selected for Select<false> {
    type Type = u8;
}

#[derive(Trace)]
struct ByConstant<const B: bool>(<Select<B> as Selected>::Type)
where
    Select<B>: Selected,
    for<'a> <Select<B> as Selected>::Type: Trace<At<'a> = <Select<B> as Selected>::Type>;

trait EveryRegion {
    type Type: for<'a> Trace<At<'a> = Self::Type>;
}
trait Carrier {
    type Carried: EveryRegion + ?Sized;
}
impl<X: ?Sized + EveryRegion> Carrier for PhantomData<X> {
    type Carried = X;
}

#[derive(Trace)]
struct Carried<T: Carrier>(<T::Carried as EveryRegion>::Type);

#[derive(Trace)]
struct OtherRegion<'gc> {
    own: Gc<'gc, u8>,
    other: Option<Box<<OtherRegion<'gc> as Trace>::At<'static>>>,
}

fn needs_trace<T: Trace>() -> bool {
    T::NEEDS_TRACE
}

fn main() {
    needs_trace::<ByConstant<true>>();
    needs_trace::<Carried<PhantomData<dyn EveryRegion<Type = Gc<'static, u8>>>>>();
}
