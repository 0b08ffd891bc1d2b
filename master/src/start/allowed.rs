//! Who may give commands beside the master's own user and root (`--allow-uid`, `--allow-gid`),
//! and how far the command socket's file is open for them.
//!
//! Invariant: the file's mode lets in nobody more than these need; whoever it lets in is asked
//! who they are at each connection all the same.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use super::StartError;
use crate::log::shown;
use crate::options::Launch;
use crate::sys::credentials;
use crate::sys::files::{self, Identity};
use crate::sys::reason;

/// Only the master's own user, and root, may connect.
pub(super) const OWN_MODE: u32 = 0o600;
const GROUP_MODE: u32 = 0o660;
const EVERYBODYS_MODE: u32 = 0o666;

/// Users and groups by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    uids: BTreeSet<u32>,
    gids: BTreeSet<u32>,
}

impl Allowed {
    /// Whom the options name.
    ///
    /// # Errors
    /// There is no such user or group.
    pub fn of(launch: &Launch) -> Result<Self, StartError> {
        let numbers = |names: &[OsString], kind: Kind| {
            names.iter().map(|name| kind.number(name)).collect::<Result<_, _>>()
        };
        Ok(Self {
            uids: numbers(&launch.allow_uids, Kind::User)?,
            gids: numbers(&launch.allow_gids, Kind::Group)?,
        })
    }

    /// The same for a master that has workers already: whoever is not known any more is named
    /// in the log and left out.
    pub fn of_those_known(launch: &Launch) -> Self {
        let numbers = |names: &[OsString], kind: Kind| {
            let number = |name: &OsString| {
                let number = kind.number(name);
                number.inspect_err(|error| ::log::error!("{error}; nobody is let in by it")).ok()
            };
            names.iter().filter_map(number).collect()
        };
        Self {
            uids: numbers(&launch.allow_uids, Kind::User),
            gids: numbers(&launch.allow_gids, Kind::Group),
        }
    }

    /// Whether somebody with these numbers may give commands; `groups` finds the other groups.
    pub fn admits(&self, uid: u32, gid: u32, groups: impl FnOnce() -> Vec<u32>) -> bool {
        uid == 0
            || uid == credentials::own_uid()
            || self.uids.contains(&uid)
            || self.gids.contains(&gid)
            || (!self.gids.is_empty() && groups().iter().any(|gid| self.gids.contains(gid)))
    }

    /// Gives the command socket's file the mode and the group that it needs for them.
    pub fn open_file(&self, path: &Path, identity: Identity) {
        let (mode, gid) = self.access(credentials::own_uid());
        let set = |gid, mode| files::set_access(path, identity, gid, mode);
        let shown = || shown(&path.to_string_lossy());
        let widest = match set(gid, mode) {
            Err(error) if gid.is_some() && error.kind() == io::ErrorKind::PermissionDenied => {
                ::log::warn!(
                    "cannot give {} to group {}: {}; everybody may connect to it, and who it is \
                     is found out then",
                    shown(),
                    gid.unwrap_or_default(),
                    reason(&error)
                );
                set(None, EVERYBODYS_MODE)
            }
            other => other,
        };
        if let Err(error) = widest {
            let why = reason(&error);
            ::log::warn!("cannot set the mode of {} to {mode:o}: {why}", shown());
        }
    }

    fn access(&self, own_uid: u32) -> (u32, Option<u32>) {
        let is_other = |uid: &u32| *uid != 0 && *uid != own_uid;
        let mut gids = self.gids.iter();
        match (self.uids.iter().any(is_other), gids.next(), gids.next()) {
            (false, None, _) => (OWN_MODE, None),
            (false, Some(gid), None) => (GROUP_MODE, Some(*gid)),
            _ => (EVERYBODYS_MODE, None),
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    User,
    Group,
}

impl Kind {
    fn number(self, name: &OsStr) -> Result<u32, StartError> {
        let (option, kind) = match self {
            Self::User => ("allow-uid", "user"),
            Self::Group => ("allow-gid", "group"),
        };
        let unknown = |source| StartError::Unknown {
            option,
            kind,
            name: shown(&name.to_string_lossy()),
            source,
        };
        let text = name.to_str().ok_or_else(|| unknown(io::ErrorKind::NotFound.into()))?;
        if let Ok(number) = text.parse() {
            return Ok(number);
        }
        let found = match self {
            Self::User => credentials::uid_of(text),
            Self::Group => credentials::gid_of(text),
        };
        found.map_err(unknown)?.ok_or_else(|| unknown(io::ErrorKind::NotFound.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(uids: &[u32], gids: &[u32]) -> Allowed {
        Allowed { uids: uids.iter().copied().collect(), gids: gids.iter().copied().collect() }
    }

    #[test]
    fn the_mode_is_no_wider_than_it_must_be() {
        let check = |uids: &[u32], gids: &[u32], expect| {
            assert_eq!(allowed(uids, gids).access(1000), expect, "{uids:?} {gids:?}");
        };
        check(&[], &[], (0o600, None));
        check(&[0, 1000], &[], (0o600, None));
        check(&[], &[50], (0o660, Some(50)));
        check(&[1000], &[50], (0o660, Some(50)));
        check(&[], &[50, 51], (0o666, None));
        check(&[1001], &[], (0o666, None));
        check(&[1001], &[50], (0o666, None));
    }

    #[test]
    fn those_named_are_let_in_and_nobody_else() {
        let own = credentials::own_uid();
        let other = own + 7;
        let nobody = allowed(&[], &[]);
        assert!(nobody.admits(own, 9, Vec::new) && nobody.admits(0, 9, Vec::new));
        assert!(!nobody.admits(other, 0, || vec![0]));
        assert!(allowed(&[other], &[]).admits(other, 9, Vec::new));
        assert!(!allowed(&[other + 1], &[]).admits(other, 9, Vec::new));
        let group = allowed(&[], &[50]);
        assert!(group.admits(other, 50, Vec::new) && group.admits(other, 9, || vec![1, 50]));
        assert!(!group.admits(other, 9, || vec![1, 51]));
    }

    #[test]
    fn names_and_numbers_are_known() {
        assert_eq!(Kind::User.number("root".as_ref()).unwrap(), 0);
        assert_eq!(Kind::Group.number("4000000".as_ref()).unwrap(), 4_000_000);
        let error = Kind::User.number("no-such-user".as_ref()).unwrap_err().to_string();
        assert_eq!(
            error,
            "--allow-uid no-such-user: there is no such user (use a name of this system, or a \
             number)"
        );
        assert!(Kind::Group.number("-1".as_ref()).is_err());
    }
}
