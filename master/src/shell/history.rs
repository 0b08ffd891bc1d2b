//! Where the lines typed are kept for the next time.

use std::ffi::OsString;
use std::path::PathBuf;

/// Most lines that are kept.
pub(super) const LINES_MAX: usize = 1000;

/// `$XDG_STATE_HOME/einhorn/history`, or the same under `~/.local/state` if that variable is
/// not set to an absolute path; nothing without a home. `lookup` reads a variable of the
/// environment.
pub(super) fn file(lookup: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |variable| lookup(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("einhorn").join("history"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[track_caller]
    fn check(environment: &[(&str, &str)], expect: Option<&str>) {
        let found = file(|variable| {
            let found = environment.iter().find(|(key, _)| *key == variable);
            found.map(|(_, value)| OsString::from(value))
        });
        assert_eq!(found.as_deref(), expect.map(Path::new));
    }

    #[test]
    fn the_state_folder_or_the_home() {
        check(&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")], Some("/s/einhorn/history"));
        check(&[("HOME", "/h")], Some("/h/.local/state/einhorn/history"));
        check(&[("XDG_STATE_HOME", "s"), ("HOME", "/h")], Some("/h/.local/state/einhorn/history"));
        check(&[("XDG_STATE_HOME", ""), ("HOME", "")], None);
        check(&[], None);
    }
}
