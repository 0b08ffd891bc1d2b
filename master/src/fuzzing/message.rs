//! What holds of every text that a person reads about a bad input.

/// Far more than any message needs, whatever it repeats of the input.
const MESSAGE_BYTES_MAX: usize = 4096;

/// It says something, on one line that nobody can forge a second one with, and not at length.
#[track_caller]
pub(super) fn check(message: &str) {
    assert!(!message.is_empty(), "an error without words");
    assert!(!message.contains(char::is_control), "not one line: {message:?}");
    assert!(message.len() <= MESSAGE_BYTES_MAX, "{} bytes: {message}", message.len());
}
