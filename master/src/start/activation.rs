//! Sockets that whoever started this master has opened for it: `-b inherit`, by the convention
//! of `LISTEN_FDS` (`sd_listen_fds(3)`).
//!
//! Nothing is believed: the variables must be meant for this process, and each descriptor is
//! asked what it is. A descriptor that is not taken is left alone. Invariant: a socket from here
//! has no file of ours, so that its path stays when this master ends.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::Path;

use einhorn_protocol::environment::{
    LISTEN_FD_UNNAMED, LISTEN_FDNAMES, LISTEN_FDS, LISTEN_FDS_START, LISTEN_PID,
};

use super::Listener;
use crate::log::shown;
use crate::options::{Bind, BindAddress};
use crate::sys::process::Pid;
use crate::sys::socket::{self, Description, LocalAddress};
use crate::sys::{descriptor, reason};

/// A socket of `-b`.
#[derive(Debug)]
pub enum Socket {
    /// To be opened.
    Wanted(BindAddress),
    /// There already.
    Inherited(Listener),
}

/// Why a socket that is to be there already cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum ActivationError {
    /// Nothing was handed over.
    #[error(
        "-b inherit: no sockets were handed to this master, since {LISTEN_FDS} {0} (start it from \
         a socket unit, or by a program such as systemfd)"
    )]
    Nothing(&'static str),
    /// A variable that holds no number.
    #[error("-b inherit: {variable} is \"{value}\", which is no number of {what}")]
    NoNumber {
        /// Its name.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What it counts.
        what: &'static str,
    },
    /// They are meant for another process, or nobody says for whom.
    #[error(
        "-b inherit: the sockets are not for this process: {LISTEN_PID} is {named}, and its pid is \
         {own} (whoever opens them must become einhorn itself: in a shell, by exec)"
    )]
    ForAnother {
        /// Whom they are for.
        named: String,
        /// Who this is.
        own: Pid,
    },
    /// As many names as there are sockets.
    #[error(
        "-b inherit: {LISTEN_FDNAMES} has {names} names, but {LISTEN_FDS} says {count} descriptors \
         (leave it out, or name each)"
    )]
    NamesAndCount {
        /// How many names.
        names: usize,
        /// How many sockets.
        count: RawFd,
    },
    /// None has that name.
    #[error(
        "-b inherit:{name}: no inherited socket has that name (there are: {})", .names.join(", ")
    )]
    NoSuchName {
        /// The name.
        name: String,
        /// The names that there are.
        names: Vec<String>,
    },
    /// Others have named all.
    #[error("-b inherit: no inherited socket is left, each is taken by its name (leave it out)")]
    NothingLeft,
    /// One that is not what it should be.
    #[error(
        "-b inherit: descriptor {number}, \"{name}\", of {LISTEN_FDS}={count} {what} (take the \
         others by their names with -b inherit:NAME, or mend it where it is opened)"
    )]
    Unusable {
        /// Its number.
        number: RawFd,
        /// Its name.
        name: String,
        /// How many descriptors there are said to be.
        count: RawFd,
        /// What is wrong.
        what: String,
    },
}

use ActivationError as Error;

/// The sockets of `binds` in order. `lookup` reads a variable of this master's environment,
/// `take` takes a descriptor that was open when it started.
///
/// # Errors
/// The first that is not as it is said to be.
pub fn sockets(
    binds: &[Bind],
    own: Pid,
    lookup: impl Fn(&str) -> Option<OsString>,
    take: impl FnMut(RawFd) -> io::Result<OwnedFd>,
) -> Result<Vec<Socket>, ActivationError> {
    if !binds.iter().any(|bind| matches!(bind, Bind::Inherit { .. })) {
        warn_of_unused(own, lookup);
        return binds.iter().filter_map(wanted).map(Ok).collect();
    }
    let mut offer = Offer::read(own, lookup)?;
    let mut take = take;
    let named = |name: &str| {
        let is = |bind: &Bind| matches!(bind, Bind::Inherit { name: Some(of) } if of == name);
        binds.iter().any(is)
    };
    let mut sockets = Vec::new();
    for bind in binds {
        let places = match bind {
            Bind::Open(_) => {
                sockets.extend(wanted(bind));
                continue;
            }
            Bind::Inherit { name: Some(name) } => offer.of_name(name)?,
            Bind::Inherit { name: None } => offer.where_name(|name| !named(name)),
        };
        if places.is_empty() {
            return Err(Error::NothingLeft);
        }
        for place in places {
            sockets.push(Socket::Inherited(offer.listener(place, &mut take)?));
        }
    }
    offer.warn_of_rest();
    Ok(sockets)
}

fn wanted(bind: &Bind) -> Option<Socket> {
    match bind {
        Bind::Open(address) => Some(Socket::Wanted(address.clone())),
        Bind::Inherit { .. } => None,
    }
}

/// Someone took the trouble to open them, and their clients would wait for ever.
fn warn_of_unused(own: Pid, lookup: impl Fn(&str) -> Option<OsString>) {
    if let Ok(offer) = Offer::read(own, lookup) {
        offer.warn_of_rest();
    }
}

/// What the variables say.
struct Offer {
    count: RawFd,
    /// None where nothing is said of names.
    names: Option<Vec<String>>,
    taken: Vec<RawFd>,
}

impl Offer {
    fn read(own: Pid, lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, ActivationError> {
        let Some(count) = lookup(LISTEN_FDS) else { return Err(Error::Nothing("is not set")) };
        let count = number(LISTEN_FDS, &count, "descriptors")?;
        let pid = lookup(LISTEN_PID);
        match pid.as_deref().map(|pid| number(LISTEN_PID, pid, "a process")).transpose()? {
            Some(pid) if pid == own => {}
            other => {
                let named = other.map_or("not set".to_owned(), |pid| pid.to_string());
                return Err(Error::ForAnother { named, own });
            }
        }
        if count == 0 {
            return Err(Error::Nothing("is 0"));
        }
        let names: Option<Vec<String>> = lookup(LISTEN_FDNAMES)
            .map(|names| names.to_string_lossy().split(':').map(str::to_owned).collect());
        if let Some(names) = &names
            && usize::try_from(count) != Ok(names.len())
        {
            return Err(Error::NamesAndCount { names: names.len(), count });
        }
        Ok(Self { count, names, taken: Vec::new() })
    }

    /// Places count from 0.
    fn name(&self, place: RawFd) -> &str {
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        let names = self.names.as_deref().unwrap_or_default();
        names.get(place).map_or(LISTEN_FD_UNNAMED, String::as_str)
    }

    fn where_name(&self, is: impl Fn(&str) -> bool) -> Vec<RawFd> {
        match &self.names {
            Some(_) => (0..self.count).filter(|&place| is(self.name(place))).collect(),
            None if is(LISTEN_FD_UNNAMED) => {
                (0..self.count.min(self.open().saturating_add(1))).collect()
            }
            None => Vec::new(),
        }
    }

    /// How many are open before the first that is not, however many are said to be.
    fn open(&self) -> RawFd {
        let is_open = |&place: &RawFd| descriptor::is_open(LISTEN_FDS_START.saturating_add(place));
        RawFd::try_from((0..self.count).take_while(is_open).count()).unwrap_or(RawFd::MAX)
    }

    fn of_name(&self, name: &str) -> Result<Vec<RawFd>, ActivationError> {
        let found = self.where_name(|other| other == name);
        if !found.is_empty() {
            return Ok(found);
        }
        let unnamed = || vec![LISTEN_FD_UNNAMED.to_owned()];
        let names = self.names.clone().unwrap_or_else(unnamed);
        let names = names.iter().map(|name| shown(name)).collect();
        Err(Error::NoSuchName { name: shown(name), names })
    }

    fn listener(
        &mut self,
        place: RawFd,
        take: &mut impl FnMut(RawFd) -> io::Result<OwnedFd>,
    ) -> Result<Listener, ActivationError> {
        let number = LISTEN_FDS_START.saturating_add(place);
        let name = self.name(place).to_owned();
        let unusable =
            |what: String| Error::Unusable { number, name: shown(&name), count: self.count, what };
        let descriptor = take(number).map_err(|error| {
            unusable(match error.kind() {
                io::ErrorKind::NotFound => "is not open".to_owned(),
                _ => format!("cannot be taken: {}", reason(&error)),
            })
        })?;
        let found = socket::describe(descriptor.as_fd()).map_err(|error| {
            unusable(if socket::is_about_no_socket(&error) {
                "is no socket".to_owned()
            } else {
                format!("cannot be used: {}", reason(&error))
            })
        })?;
        let address = address(&found, &name).map_err(unusable)?;
        self.taken.push(place);
        let Description { family, local, .. } = found;
        Ok(Listener { address, family, descriptor, local, further: Vec::new(), identity: None })
    }

    fn warn_of_rest(&self) {
        let left = self.count.saturating_sub(RawFd::try_from(self.taken.len()).unwrap_or(0));
        if left > 0 {
            ::log::warn!(
                "{left} of the {} descriptors that this master was started with ({LISTEN_FDS}) are \
                 not used; -b inherit takes them",
                self.count
            );
        }
    }
}

/// Where it listens, in the form in which it would be typed, so that the next image reads it.
fn address(found: &Description, name: &str) -> Result<BindAddress, String> {
    if !found.stream {
        return Err("is no stream socket, so that nothing can be accepted from it".to_owned());
    }
    if found.connected {
        return Err("is a single connection (a socket unit needs Accept=no)".to_owned());
    }
    if !found.listening {
        return Err("is bound perhaps, but does not listen".to_owned());
    }
    let typed: OsString = match &found.local {
        LocalAddress::Internet(address) => address.to_string().into(),
        LocalAddress::Path(path) => unix(path),
        LocalAddress::Unnamed => {
            return Err("is a unix socket without a path, which cannot be taken over".to_owned());
        }
    };
    let address = BindAddress::parse(&typed)
        .map_err(|error| format!("listens at {}: {error}", shown(&typed.to_string_lossy())))?;
    let name = (name != LISTEN_FD_UNNAMED).then(|| name.to_owned());
    Ok(BindAddress { name, ..address })
}

fn unix(path: &Path) -> OsString {
    let mut typed = OsString::from("unix:");
    typed.push(path);
    typed
}

fn number(
    variable: &'static str,
    value: &OsStr,
    what: &'static str,
) -> Result<i32, ActivationError> {
    let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let read = value.to_str().filter(is_number).and_then(|text| text.parse().ok());
    read.ok_or_else(|| Error::NoNumber { variable, value: shown(&value.to_string_lossy()), what })
}
