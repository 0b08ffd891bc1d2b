//! Signals as values: numbers and names, no sending.

use std::fmt;

/// A signal of this system by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(i32);

/// Names and numbers, from `signal(7)`; the numbers are those of x86, ARM and RISC-V.
const TABLE: [(&str, i32); 31] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

impl Signal {
    /// Hang-up: upgrade.
    pub const HUP: Self = Self(1);
    /// Interrupt.
    pub const INT: Self = Self(2);
    /// Quit.
    pub const QUIT: Self = Self(3);
    /// Kill, which nobody can ignore.
    pub const KILL: Self = Self(9);
    /// First user signal.
    pub const USR1: Self = Self(10);
    /// Second user signal: asks a worker of the protocol to stop.
    pub const USR2: Self = Self(12);
    /// Broken pipe.
    pub const PIPE: Self = Self(13);
    /// Alarm: upgrade, deprecated.
    pub const ALRM: Self = Self(14);
    /// Terminate.
    pub const TERM: Self = Self(15);
    /// Stops a process where it is, which nobody can ignore.
    pub const STOP: Self = Self(19);
    /// A child has ended.
    pub const CHLD: Self = Self(17);
    /// Input for a background process: one worker more.
    pub const TTIN: Self = Self(21);
    /// Output of a background process: one worker less.
    pub const TTOU: Self = Self(22);

    /// The signal with this number, if it has a name here.
    pub fn from_number(number: i32) -> Option<Self> {
        TABLE.iter().any(|&(_, n)| n == number).then_some(Self(number))
    }

    /// The signal called `name`, with or without `SIG`, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
        TABLE.iter().find(|(n, _)| *n == bare).map(|&(_, number)| Self(number))
    }

    /// Its number.
    pub fn number(self) -> i32 {
        self.0
    }

    /// Its name without `SIG`.
    pub fn name(self) -> &'static str {
        TABLE.iter().find(|(_, number)| *number == self.0).map_or("?", |(name, _)| name)
    }

    /// All names without `SIG`, in the order of their numbers.
    pub fn names() -> impl Iterator<Item = &'static str> {
        TABLE.iter().map(|(name, _)| *name)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIG{}", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_prefix_in_any_case() {
        for name in ["USR2", "usr2", "SIGUSR2", "sigusr2", "SigUsr2"] {
            assert_eq!(Signal::from_name(name), Some(Signal::USR2), "{name}");
        }
        for name in ["", "SIG", "SIGSIGUSR2", "USR3", "12"] {
            assert_eq!(Signal::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn every_name_leads_to_its_own_number() {
        for name in Signal::names() {
            assert_eq!(Signal::from_name(name).unwrap().name(), name);
        }
    }
}
