//! Values, errors and panics on their way to C.
//!
//! The text of the latest error is kept a thread at a time, so that it can name what was
//! wrong without the caller owning anything.

use crate::{EINHORN_E_INTERNAL, EINHORN_E_INVALID_ARGUMENT};
use einhorn_worker::{Error, ErrorKind};
use std::{
    cell::RefCell,
    ffi::{CStr, CString, c_char, c_int},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::LazyLock,
};

thread_local! {
    /// The latest error of this thread and its text.
    static LATEST: RefCell<Option<(c_int, CString)>> = const { RefCell::new(None) };
}

/// Runs `call`; a panic becomes `EINHORN_E_INTERNAL`.
pub(crate) fn guarded(call: impl FnOnce() -> c_int) -> c_int {
    // Whatever `call` touched is either its own or guarded against panics by its owner.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or(EINHORN_E_INTERNAL)
}

/// A value, or the error's number with its text remembered.
pub(crate) fn result(result: Result<c_int, Error>) -> c_int {
    result.unwrap_or_else(|error| message(-error.kind().number(), &error.to_string()))
}

/// Remembers `text` for `number` and returns the number.
pub(crate) fn message(number: c_int, text: &str) -> c_int {
    let text = CString::new(text.replace('\0', "\\0")).unwrap_or_default();
    // At the end of a thread there may be no place left; the general text serves then.
    let _ = LATEST.try_with(|latest| {
        if let Ok(mut latest) = latest.try_borrow_mut() {
            *latest = Some((number, text));
        }
    });
    number
}

/// The remembered text for `error`, or the general one.
pub(crate) fn text_of(error: c_int) -> *const c_char {
    let remembered = LATEST.try_with(|latest| {
        let latest = latest.try_borrow().ok()?;
        latest.as_ref().filter(|(number, _)| *number == error).map(|(_, text)| text.as_ptr())
    });
    remembered.ok().flatten().unwrap_or_else(|| general(error).as_ptr())
}

/// A text that lives as long as the library.
fn general(error: c_int) -> &'static CStr {
    match error {
        0 => c"no error",
        EINHORN_E_INVALID_ARGUMENT => c"an argument is NULL or not UTF-8",
        EINHORN_E_INTERNAL => c"a fault of the einhorn library",
        _ => {
            let known = KINDS.iter().find(|(number, _)| *number == error);
            known.map_or(c"unknown error", |(_, text)| text)
        }
    }
}

/// The worker library's kinds of error as C has them.
static KINDS: LazyLock<Vec<(c_int, CString)>> = LazyLock::new(|| {
    let text = |kind: ErrorKind| CString::new(kind.describe()).unwrap_or_default();
    ErrorKind::all().map(|kind| (-kind.number(), text(kind))).collect()
});
