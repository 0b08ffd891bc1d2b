//! What `-b` asks for: a socket to be opened, or ones that are there already.
//!
//! `inherit` takes what whoever started the master has handed to it, `inherit:NAME` what has
//! that name. Pure parsing, as in [`super::address`].

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use einhorn_protocol::limit::LISTENERS_MAX;

use super::address::{AddressError, BindAddress};
use crate::log::shown;

/// The word for sockets that are there already. A host of that name has to be written with a
/// final stop.
const INHERIT: &[u8] = b"inherit";
/// Longest name of an inherited socket, as a service manager has it.
const INHERITED_NAME_BYTES_MAX: usize = 255;

/// A `-b`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// A socket is opened.
    Open(BindAddress),
    /// Sockets that this master was started with.
    Inherit {
        /// Those of this name; none: all that no other `-b` names.
        name: Option<String>,
    },
}

/// Why a `-b` was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// It is a bad address, or in the way of another one.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// `inherit:` with a name that no socket can have.
    #[error("bad name \"{0}\" (an inherited socket's name has 1 to 255 bytes and no colon)")]
    InheritedName(String),
    /// `NAME=inherit`.
    #[error("inherited sockets have names already (inherit:NAME takes those of one name)")]
    InheritRenamed,
    /// `inherit,n`.
    #[error("inherited sockets are taken as they are: options go where they are opened")]
    InheritOptions,
    /// Twice the same sockets.
    #[error("the same inherited sockets are asked for twice")]
    InheritTwice,
    /// More sockets than a master opens.
    #[error("a master opens at most {LISTENERS_MAX} sockets")]
    TooMany,
}

impl Bind {
    /// Reads one `-b`.
    ///
    /// # Errors
    /// Says which part of it is wrong.
    pub fn parse(typed: &OsStr) -> Result<Self, BindError> {
        let bytes = typed.as_bytes();
        let inherits = |rest: &[u8]| rest == INHERIT || is_followed_by(rest, b":,");
        if inherits(bytes) {
            return parse_inherit(bytes.get(INHERIT.len()..).unwrap_or_default());
        }
        let after_name = bytes.iter().position(|byte| *byte == b'=').map(|end| bytes.split_at(end));
        match after_name {
            Some((name, [_, rest @ ..])) if !name.contains(&b':') && inherits(rest) => {
                Err(BindError::InheritRenamed)
            }
            _ => Ok(Self::Open(BindAddress::parse(typed)?)),
        }
    }

    /// What was typed, for messages.
    pub fn typed(&self) -> OsString {
        match self {
            Self::Open(address) => address.typed.clone(),
            Self::Inherit { name: None } => OsStr::from_bytes(INHERIT).to_owned(),
            Self::Inherit { name: Some(name) } => format!("inherit:{name}").into(),
        }
    }
}

/// Whether one of `bytes` comes after the word.
fn is_followed_by(typed: &[u8], bytes: &[u8]) -> bool {
    typed.strip_prefix(INHERIT).and_then(<[u8]>::first).is_some_and(|byte| bytes.contains(byte))
}

fn parse_inherit(rest: &[u8]) -> Result<Bind, BindError> {
    if rest.contains(&b',') {
        return Err(BindError::InheritOptions);
    }
    let [b':', name @ ..] = rest else { return Ok(Bind::Inherit { name: None }) };
    let bad = || BindError::InheritedName(shown(&String::from_utf8_lossy(name)));
    let is_name = |name: &&str| {
        (1..=INHERITED_NAME_BYTES_MAX).contains(&name.len())
            && !name.contains(|character: char| character == ':' || character.is_control())
    };
    let name = std::str::from_utf8(name).ok().filter(is_name).ok_or_else(bad)?;
    Ok(Bind::Inherit { name: Some(name.to_owned()) })
}

/// Whether all can be had together. On failure the index of the second of the two that cannot,
/// and why.
///
/// # Errors
/// A name, a place or an inherited socket is there twice.
pub(super) fn check_together(binds: &[Bind]) -> Result<(), (usize, BindError)> {
    if binds.len() > LISTENERS_MAX {
        return Err((LISTENERS_MAX, BindError::TooMany));
    }
    let mut inherited = BTreeSet::new();
    let mut names = BTreeSet::new();
    for (index, bind) in binds.iter().enumerate() {
        match bind {
            Bind::Inherit { name } if !inherited.insert(name) => {
                return Err((index, BindError::InheritTwice));
            }
            Bind::Inherit { name: Some(name) }
            | Bind::Open(BindAddress { name: Some(name), .. }) => {
                if !names.insert(name) {
                    return Err((index, AddressError::DuplicateName(name.clone()).into()));
                }
            }
            Bind::Inherit { name: None } | Bind::Open(_) => {}
        }
        let earlier = binds.get(..index).unwrap_or_default();
        if let Bind::Open(address) = bind
            && address.endpoint.is_one_place()
            && earlier.iter().any(|other| is_at(other, address))
        {
            return Err((index, AddressError::DuplicateEndpoint.into()));
        }
    }
    Ok(())
}

fn is_at(bind: &Bind, address: &BindAddress) -> bool {
    matches!(bind, Bind::Open(other) if other.endpoint == address.endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(typed: &[&str], expect: Result<&str, &str>) {
        let parsed: Result<Vec<Bind>, BindError> =
            typed.iter().map(|typed| Bind::parse(OsStr::new(typed))).collect();
        let found = parsed.and_then(|binds| match check_together(&binds) {
            Ok(()) => Ok(binds.iter().map(|bind| bind.typed().into_string().unwrap()).collect()),
            Err((_, error)) => Err(error),
        });
        let found =
            found.map(|typed: Vec<String>| typed.join(" ")).map_err(|error| error.to_string());
        assert_eq!(found, expect.map(str::to_owned).map_err(str::to_owned), "{typed:?}");
    }

    #[test]
    fn as_many_as_a_master_opens() {
        let most = vec![Bind::parse(OsStr::new("h:0")).unwrap(); LISTENERS_MAX];
        assert_eq!(check_together(&most), Ok(()));
        let more = [most, vec![Bind::parse(OsStr::new("h:0")).unwrap()]].concat();
        assert_eq!(check_together(&more), Err((LISTENERS_MAX, BindError::TooMany)));
    }

    #[test]
    fn sockets_are_inherited_all_or_by_name() {
        check(&["inherit"], Ok("inherit"));
        check(&["inherit:web.socket"], Ok("inherit:web.socket"));
        check(
            &["inherit:a@1.socket", "127.0.0.1:80", "inherit"],
            Ok("inherit:a@1.socket 127.0.0.1:80 inherit"),
        );
        check(&["inherit.:80"], Ok("inherit.:80"));
        check(&["inheritance:80"], Ok("inheritance:80"));
        check(&["unix:inherit"], Ok("unix:inherit"));
        check(&["unix:a=inherit"], Ok("unix:a=inherit"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let options = "inherited sockets are taken as they are: options go where they are opened";
        check(&["inherit,n"], Err(options));
        check(&["inherit:web,r"], Err(options));
        let name = |name: &str| {
            format!(
                "bad name \"{name}\" (an inherited socket's name has 1 to 255 bytes and no colon)"
            )
        };
        check(&["inherit:"], Err(&name("")));
        check(&["inherit:a:b"], Err(&name("a:b")));
        let long = "x".repeat(256);
        check(&[&format!("inherit:{long}")], Err(&name(&shown(&long))));
        check(&[&format!("inherit:{}", &long[1..])], Ok(&format!("inherit:{}", &long[1..])));
        let renamed = "inherited sockets have names already (inherit:NAME takes those of one name)";
        check(&["web=inherit"], Err(renamed));
        check(&["web=inherit:x"], Err(renamed));
        let twice = "the same inherited sockets are asked for twice";
        check(&["inherit", "inherit"], Err(twice));
        check(&["inherit:a", "inherit:b", "inherit:a"], Err(twice));
        let name = "the name \"web\" is given to two addresses";
        check(&["inherit:web", "web=127.0.0.1:0"], Err(name));
        check(&["web=127.0.0.1:0", "web=127.0.0.1:0"], Err(name));
        check(&["127.0.0.1:80", "inherit", "127.0.0.1:80,r"], Err("this address is given twice"));
    }

    #[test]
    fn what_is_opened_has_a_name_and_a_place_of_its_own() {
        let free = ["127.0.0.1:0", "127.0.0.1:0", "a=h:0", "b=h:0", "h:1", "h:2"];
        check(&free, Ok(&free.join(" ")));
        check(&["a=h:0", "a=h:1"], Err("the name \"a\" is given to two addresses"));
        check(&["h:1", "h:2", "x=h:1,r"], Err("this address is given twice"));
        check(&["unix:/a", "unix:/a"], Err("this address is given twice"));
    }
}
