//! An allocator that counts the memory held by each thread, for tests of this crate.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(change: i64) {
    let held = HELD.get() + change;
    HELD.set(held);
    if held > PEAK.get() {
        PEAK.set(held);
    }
}

fn size(layout: Layout) -> i64 {
    i64::try_from(layout.size()).unwrap_or(i64::MAX)
}

// Calling the system's allocator requires unsafe code.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size(layout));
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(size(layout));
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-size(layout));
        unsafe { System.dealloc(pointer, layout) }
    }

    // Like a reallocation that cannot grow in place: for a moment both blocks exist.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let new = i64::try_from(new_size).unwrap_or(i64::MAX);
        count(new);
        count(-size(layout));
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

/// Runs a function and returns the peak of memory that this thread held in addition to before, in
/// bytes.
pub(super) fn peak<T>(function: impl FnOnce() -> T) -> (T, u64) {
    let before = HELD.get();
    let outer = PEAK.replace(before);
    let value = function();
    let peak = PEAK.get();
    PEAK.set(peak.max(outer));
    (value, u64::try_from(peak - before).unwrap_or(0))
}
