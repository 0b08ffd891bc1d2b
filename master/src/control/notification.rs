//! What a worker says by `sd_notify(3)`, as data. Pure.

use einhorn_protocol::limit::NOTIFY_STATUS_CHARACTERS_MAX;
use einhorn_protocol::notify;

/// A message, as far as it is understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notification {
    /// It is up.
    pub ready: bool,
    /// It is about to end of its own accord.
    pub stopping: bool,
    /// It is alive.
    pub watchdog: bool,
    /// What people are told of it, on one bounded line; empty: nothing any more.
    pub status: Option<String>,
}

impl Notification {
    /// Reads a message. Lines that are not understood, whatever bytes they hold, are skipped;
    /// of two for the same thing the later one counts.
    pub fn read(message: &[u8]) -> Self {
        let mut read = Self::default();
        for line in message.split(|byte| *byte == b'\n') {
            let Some(sign) = line.iter().position(|byte| *byte == b'=') else { continue };
            let (name, value) = line.split_at_checked(sign).unwrap_or_default();
            let value = value.get(1..).unwrap_or_default();
            let is_set = value == b"1";
            match std::str::from_utf8(name).unwrap_or_default() {
                notify::READY => read.ready = is_set,
                notify::STOPPING => read.stopping = is_set,
                notify::WATCHDOG => read.watchdog = is_set,
                notify::STATUS => read.status = Some(one_line(value)),
                _ => {}
            }
        }
        read
    }
}

/// For a table and a log: no control characters, and not without end.
fn one_line(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let cut: String = text.chars().take(NOTIFY_STATUS_CHARACTERS_MAX).collect();
    crate::log::escaped(cut.trim()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: impl AsRef<[u8]>, expect: &str) {
        let Notification { ready, stopping, watchdog, status } =
            Notification::read(message.as_ref());
        let mut words = Vec::new();
        for (is, word) in [(ready, "ready"), (stopping, "stopping"), (watchdog, "watchdog")] {
            words.extend(is.then(|| word.to_owned()));
        }
        words.extend(status.map(|text| format!("says {text:?}")));
        assert_eq!(words.join(" "), expect);
    }

    #[test]
    fn assignments_that_are_understood() {
        check("READY=1", "ready");
        check("READY=1\n", "ready");
        check("STATUS=4 of 9\nREADY=1\nWATCHDOG=1", "ready watchdog says \"4 of 9\"");
        check("STOPPING=1\nSTATUS=", "stopping says \"\"");
        check("STATUS=one\nSTATUS=a=b", "says \"a=b\"");
    }

    #[test]
    fn all_others_are_skipped() {
        check("", "");
        check("READY", "");
        check("READY=0", "");
        check("READY= 1", "");
        check("ready=1", "");
        check("READY=1\0", "");
        check("=1", "");
        check("MAINPID=1\nFDSTORE=1\nBARRIER=1\nWATCHDOG=trigger\nX_READY=1", "");
        check(b"\xff\xfe=\0\nREADY=1\n\x80", "ready");
    }

    #[test]
    fn a_status_is_one_bounded_line() {
        check("STATUS=a\x1b[2J\tb\r", "says \"a\\\\u{1b}[2J\\\\tb\"");
        check(b"STATUS=\xff!", "says \"\u{fffd}!\"");
        let long = "\u{e9}".repeat(NOTIFY_STATUS_CHARACTERS_MAX + 1);
        let cut = Notification::read(format!("STATUS={long}").as_bytes()).status.unwrap();
        assert_eq!(cut.chars().count(), NOTIFY_STATUS_CHARACTERS_MAX);
    }
}
