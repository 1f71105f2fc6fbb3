//! Std cells have no barrier: no handles in them.
use heap_api::*;
use std::cell::{Cell, RefCell};
use std::sync::Mutex;

#[derive(Trace)]
struct InCell<'gc>(Cell<Option<Gc<'gc, u64>>>);

#[derive(Trace)]
struct InRefCell<'gc>(RefCell<Vec<Gc<'gc, u64>>>);

#[derive(Trace)]
struct InMutex<'gc>(Mutex<Option<Gc<'gc, u64>>>);

fn main() {}
