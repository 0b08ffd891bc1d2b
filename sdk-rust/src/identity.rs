//! Whether this process is a worker, and which.
//!
//! A worker is a process whose parent is the master. The variables alone prove nothing: a
//! child of a worker inherits them too (`protocol.md §2`).

use crate::{
    error::{Error, Result},
    variables::{self, Environment, Variables},
};
use einhorn_protocol::environment as names;
use std::os::unix::process::parent_id;

/// Whether a master started this very process.
///
/// `false` outside a master, in a child of a worker (`npm start`, `sh -c` without `exec`), in
/// an orphan whose master has died, and where `EINHORN_MASTER_PID` is not a pid. Never fails;
/// [`ack`](crate::ack) tells which of these it is.
pub fn is_worker() -> bool {
    check_worker().is_ok()
}

/// The worker's index: the smallest that no living worker had when this one was started, from
/// 0, kept for life.
///
/// Unique among the living; after an upgrade it may be as large as the number of workers or
/// larger. `None` in a process that is not a worker, and where `EINHORN_CHILD_INDEX` is absent
/// or not a number.
pub fn child_index() -> Option<u32> {
    check_worker().ok()?;
    index(&Environment)
}

/// Says why this process is not a worker, if it is not.
pub(crate) fn check_worker() -> Result<()> {
    check(&Environment, parent_id())
}

/// The master's pid, from the variable alone.
pub(crate) fn master_pid(from: &dyn Variables) -> Result<u32> {
    let value = from.get(names::MASTER_PID).ok_or(Error::NoMaster)?;
    let wanted = "the pid of the master";
    match variables::number(names::MASTER_PID, &value, i32::MAX.unsigned_abs(), wanted)? {
        0 => Err(Error::Malformed {
            variable: names::MASTER_PID.to_owned(),
            value: value.to_string_lossy().into_owned(),
            wanted,
        }),
        pid => Ok(pid),
    }
}

fn check(from: &dyn Variables, parent: u32) -> Result<()> {
    let master = master_pid(from)?;
    if master == parent { Ok(()) } else { Err(Error::WrongParent { parent, master }) }
}

fn index(from: &dyn Variables) -> Option<u32> {
    let value = from.get(names::CHILD_INDEX)?;
    variables::number(names::CHILD_INDEX, &value, i32::MAX.unsigned_abs(), "an index").ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[track_caller]
    fn check_says(master_pid: Option<&str>, parent: u32, expected: &str) {
        let from: BTreeMap<_, _> =
            master_pid.map(|pid| ("EINHORN_MASTER_PID", pid)).into_iter().collect();
        let said = check(&from, parent).map_or_else(|error| error.to_string(), |()| "yes".into());
        assert_eq!(said, expected);
    }

    #[test]
    fn the_parent_must_be_the_master() {
        check_says(Some("42"), 42, "yes");
        check_says(
            Some("42"),
            43,
            "not a worker: its parent is 43, but EINHORN_MASTER_PID is 42; start the program with \
             exec, so that nothing stands between it and its master",
        );
        check_says(
            None,
            42,
            "not a worker: EINHORN_MASTER_PID is not set (no einhorn master started this program)",
        );
    }

    #[test]
    fn a_pid_that_is_none_is_named() {
        for bad in ["", "abc", "0", "-42", "4294967338", "42\n"] {
            check_says(
                Some(bad),
                42,
                &format!("EINHORN_MASTER_PID is {bad:?}, but must be the pid of the master"),
            );
        }
    }

    #[test]
    fn an_index_is_a_number_or_absent() {
        let read = |text| index(&BTreeMap::from([("EINHORN_CHILD_INDEX", text)]));
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("17"), Some(17));
        assert_eq!(read("-1"), None);
        assert_eq!(read("one"), None);
        assert_eq!(index(&BTreeMap::<&str, &str>::new()), None);
    }
}
