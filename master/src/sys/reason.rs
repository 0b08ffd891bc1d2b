//! What the system says of an error, in the form in which our messages continue.

use std::io;

/// The usual words for what musl has words of its own for.
const USUAL: [(libc::c_int, &str); 11] = [
    (libc::EADDRINUSE, "address already in use"),
    (libc::EADDRNOTAVAIL, "cannot assign requested address"),
    (libc::EDQUOT, "disk quota exceeded"),
    (libc::EIO, "input/output error"),
    (libc::ELOOP, "too many levels of symbolic links"),
    (libc::EMFILE, "too many open files"),
    (libc::ENAMETOOLONG, "file name too long"),
    (libc::ENOMEM, "cannot allocate memory"),
    (libc::ENOTSOCK, "socket operation on non-socket"),
    (libc::EOPNOTSUPP, "operation not supported"),
    (libc::ETIMEDOUT, "connection timed out"),
];

/// The system's text, in lower case and without its number: `permission denied`.
pub fn reason(error: &io::Error) -> String {
    let is_usual = |(number, _): &&(libc::c_int, &str)| error.raw_os_error() == Some(*number);
    if let Some((_, text)) = USUAL.iter().find(is_usual) {
        return (*text).to_owned();
    }
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or_default();
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        // An abbreviation keeps its capitals.
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain([second]).chain(characters).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_capitals_go() {
        let check = |error: io::Error, text: &str| assert_eq!(reason(&error), text);
        check(io::Error::from_raw_os_error(libc::EACCES), "permission denied");
        check(io::Error::from_raw_os_error(libc::EADDRINUSE), "address already in use");
        check(io::Error::from_raw_os_error(libc::EPIPE), "broken pipe");
        check(io::Error::other("DNS is down"), "DNS is down");
        check(io::Error::other(""), "");
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn the_usual_words_are_those_of_glibc() {
        for (number, text) in USUAL {
            let theirs = io::Error::from_raw_os_error(number).to_string();
            let theirs = theirs.split(" (os error ").next().unwrap().to_lowercase();
            assert_eq!(theirs, text);
        }
    }
}
