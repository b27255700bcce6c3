//! What a server preloads to go by a test's clock: the functions by which it asks what time it is, ahead of the
//! machine's clock by as many seconds as the file that CORRAL_TEST_CLOCK names begins with.
//!
//! Compiled by the tests that need it. libfaketime would do the same, but a server linked with jemalloc asks for the time
//! before that library is ready, and hangs. So nothing here allocates, and nothing needs to be ready.

#![allow(unsafe_code, reason = "it takes the place of C functions")]

use std::ffi::{c_char, c_int, c_long, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicI64, AtomicPtr, Ordering};

#[repr(C)]
pub struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

#[repr(C)]
pub struct Timeval {
    seconds: i64,
    microseconds: i64,
}

extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn getenv(name: *const c_char) -> *const c_char;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn mmap(place: *mut c_void, bytes: usize, access: c_int, flags: c_int, file: c_int, offset: i64) -> *mut c_void;
}

#[cfg(target_arch = "x86_64")]
const SYS_CLOCK_GETTIME: c_long = 228;
#[cfg(target_arch = "aarch64")]
const SYS_CLOCK_GETTIME: c_long = 113;
const REALTIME: c_int = 0;
const REALTIME_COARSE: c_int = 5;
const READ: c_int = 1;
const SHARED: c_int = 1;

/// Where the file is mapped.
static AHEAD: AtomicPtr<AtomicI64> = AtomicPtr::new(null_mut());

fn ahead() -> i64 {
    let mut place = AHEAD.load(Ordering::Acquire);
    if place.is_null() {
        // SAFETY: a name that ends in NUL.
        let path = unsafe { getenv(c"CORRAL_TEST_CLOCK".as_ptr()) };
        if path == null() {
            return 0;
        }
        // SAFETY: a path that ends in NUL, as every variable does.
        let file = unsafe { open(path, 0) };
        // SAFETY: a mapping of its own, which is never undone. The file is as long as one number.
        let mapped = unsafe { mmap(null_mut(), size_of::<AtomicI64>(), READ, SHARED, file, 0) };
        if mapped as isize == -1 {
            return 0;
        }
        place = mapped.cast();
        AHEAD.store(place, Ordering::Release);
    }
    // SAFETY: mapped, aligned to a page, and never unmapped.
    unsafe { &*place }.load(Ordering::Relaxed)
}

#[no_mangle]
pub extern "C" fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int {
    // SAFETY: the caller's own pointer, handed on.
    let result = unsafe { syscall(SYS_CLOCK_GETTIME, c_long::from(clock), time) };
    if result == 0 && (clock == REALTIME || clock == REALTIME_COARSE) {
        // SAFETY: the kernel has just written there.
        unsafe { (*time).seconds += ahead() };
    }
    result as c_int
}

#[no_mangle]
pub extern "C" fn gettimeofday(time: *mut Timeval, _zone: *mut c_void) -> c_int {
    let now = now();
    // SAFETY: the caller's own pointer.
    unsafe { *time = Timeval { seconds: now.seconds, microseconds: now.nanoseconds / 1000 } };
    0
}

#[no_mangle]
pub extern "C" fn time(time: *mut i64) -> i64 {
    let seconds = now().seconds;
    if !time.is_null() {
        // SAFETY: the caller's own pointer, and not null.
        unsafe { *time = seconds };
    }
    seconds
}

fn now() -> Timespec {
    let mut now = Timespec { seconds: 0, nanoseconds: 0 };
    clock_gettime(REALTIME, &mut now);
    now
}
