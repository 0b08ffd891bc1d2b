//! Preloaders of a [`Snapshot`], looked at one by one.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;

use super::inherited::Inherited;
use super::patience::insist;
use crate::pool::Version;
use crate::spawn::preloader::Preloader;
use crate::state::{OurPreloader, Snapshot};
use crate::sys::{channel, children, descriptor, reason};

/// A preloader that was handed over.
#[derive(Debug)]
pub struct AdoptedPreloader {
    /// None: the code of its version could not be loaded.
    pub process: Option<Preloader>,
    /// The version whose workers it forks; none: the one that this image brings in.
    pub version: Option<Version>,
}

/// Those that are there; the others are named in the log.
pub(super) fn take_over(snapshot: &Snapshot, inherited: &mut Inherited) -> Vec<AdoptedPreloader> {
    let records = snapshot.ours.iter().flat_map(|ours| &ours.preloaders);
    let mut adopted = Vec::new();
    for record in records {
        let version = record.version;
        match (record.pid, record.channel) {
            (Some(pid), _) if snapshot.children.contains_key(&pid) => {
                ::log::error!("process {pid}, said to be a preloader, is a worker too");
            }
            (None, None) => adopted.push(AdoptedPreloader { process: None, version }),
            (Some(pid), Some(number)) => match take_over_one(pid, number, record, inherited) {
                Ok(process) => adopted.push(AdoptedPreloader { process: Some(process), version }),
                Err(reason) => ::log::error!(
                    "process {pid} on descriptor {number}, said to be a preloader, is lost: \
                     {reason}"
                ),
            },
            (pid, number) => ::log::error!(
                "the state names a preloader without its process ({pid:?}) or its descriptor \
                 ({number:?})"
            ),
        }
    }
    adopted
}

fn take_over_one(
    pid: i32,
    number: i32,
    record: &OurPreloader,
    inherited: &mut Inherited,
) -> Result<Preloader, String> {
    let end = inherited.take(number).map_err(|error| reason(&error))?;
    if !insist(|| channel::is_end(end.as_fd())).map_err(|error| reason(&error))? {
        return Err("the descriptor is no channel".to_string());
    }
    if !children::is_living_child(pid).map_err(|error| reason(&error))? {
        return Err("the process is no living child".to_string());
    }
    descriptor::set_nonblocking(end.as_fd(), true).map_err(|error| reason(&error))?;
    let words = record.words.iter().cloned().map(OsString::from_vec).collect();
    Ok(Preloader::taken_over(pid, end, words))
}
