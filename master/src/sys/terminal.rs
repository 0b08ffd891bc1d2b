//! What is known of a terminal.

use std::os::fd::AsFd;

/// How many characters fit on a line of the terminal `descriptor`; none if it is no terminal,
/// or does not say.
pub fn columns(descriptor: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(descriptor).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_file_has_no_columns() {
        assert_eq!(super::columns(std::fs::File::open("/dev/null").unwrap()), None);
    }
}
