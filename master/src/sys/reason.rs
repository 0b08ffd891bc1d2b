//! What the system says of an error, in the form in which our messages continue.

use std::io;

/// The system's text, in lower case and without its number: `permission denied`.
pub fn reason(error: &io::Error) -> String {
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
        check(io::Error::other("DNS is down"), "DNS is down");
        check(io::Error::other(""), "");
    }
}
