//! Where a program that is built for musl has its memory from: musl's own allocator asks the system
//! for pages, and gives them back, at every turn.
//!
//! Invariant: whoever uses the heap holds it alone. The master has one thread, which never waits.
#![allow(unsafe_code, reason = "an allocator")]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};

use dlmalloc::Dlmalloc;

/// A heap that any thread may use.
pub struct Memory {
    is_held: AtomicBool,
    heap: UnsafeCell<Dlmalloc>,
}

// SAFETY: the heap is reached only through `hold`, by one thread at a time.
unsafe impl Sync for Memory {}

impl Memory {
    /// A heap that has no memory yet.
    pub const fn new() -> Self {
        Self { is_held: AtomicBool::new(false), heap: UnsafeCell::new(Dlmalloc::new()) }
    }

    fn hold<T>(&self, act: impl FnOnce(&mut Dlmalloc) -> T) -> T {
        while self.is_held.swap(true, Ordering::Acquire) {
            std::thread::yield_now();
        }
        // SAFETY: nobody else is past the loop until the store below. `act` does not allocate.
        let result = act(unsafe { &mut *self.heap.get() });
        self.is_held.store(false, Ordering::Release);
        result
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: the heap does what is asked of it here, as each call's caller promises what it needs, and
// does not unwind.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        self.hold(|heap| unsafe { heap.malloc(layout.size(), layout.align()) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        self.hold(|heap| unsafe { heap.calloc(layout.size(), layout.align()) })
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: as above.
        self.hold(|heap| unsafe { heap.free(start, layout.size(), layout.align()) });
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        self.hold(|heap| unsafe { heap.realloc(start, layout.size(), layout.align(), size) })
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn threads_have_memory_of_their_own() {
        let memory = Memory::new();
        thread::scope(|scope| {
            for byte in 1..=4_u8 {
                let memory = &memory;
                scope.spawn(move || {
                    for size in 1..2000 {
                        let layout = Layout::from_size_align(size, 8).unwrap();
                        let larger = Layout::from_size_align(2 * size, 8).unwrap();
                        // SAFETY: sizes are above 0, and each block is used within its size, until
                        // it is given back as what it is then.
                        unsafe {
                            let start = memory.alloc(layout);
                            start.write_bytes(byte, size);
                            let start = memory.realloc(start, layout, larger.size());
                            let kept = std::slice::from_raw_parts(start, size);
                            assert!(kept.iter().all(|found| *found == byte));
                            memory.dealloc(start, larger);
                            let zeroed = memory.alloc_zeroed(layout);
                            let kept = std::slice::from_raw_parts(zeroed, size);
                            assert!(kept.iter().all(|found| *found == 0));
                            memory.dealloc(zeroed, layout);
                        }
                    }
                });
            }
        });
    }
}
