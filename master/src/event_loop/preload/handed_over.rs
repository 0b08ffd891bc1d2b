//! Preloaders between images.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use super::generation::Generation;
use super::next::adopt;
use super::{Master, Which};
use crate::handover::AdoptedPreloader;
use crate::pool::Version;
use crate::spawn::Source;
use crate::spawn::preloader::{Lifecycle, Preloader};
use crate::state::OurPreloader;

impl Master {
    /// What the next image is told of preloaders, if it is ours.
    pub(in super::super) fn preloader_records(&self) -> Vec<OurPreloader> {
        self.preloads.all().into_iter().filter_map(|which| self.record(which)).collect()
    }

    fn record(&self, which: Which) -> Option<OurPreloader> {
        let of = self.preloads.get(which)?;
        let version = match which {
            Which::Version(version) => Some(version),
            Which::Next => None,
        };
        match of.to_hand_over() {
            Some(process) => Some(OurPreloader {
                pid: Some(process.pid()),
                channel: Some(process.channel().as_raw_fd()),
                version,
                words: process.words().iter().map(|word| word.as_bytes().to_vec()).collect(),
            }),
            None if of.lifecycle.is_given_up() => {
                Some(OurPreloader { version, ..OurPreloader::default() })
            }
            None => None,
        }
    }

    /// The channels that cross.
    pub(in super::super) fn preloader_channels(&self) -> Vec<BorrowedFd<'_>> {
        self.preloads.generations().filter_map(|of| Some(of.to_hand_over()?.channel())).collect()
    }

    /// Takes in the preloaders of the former image. Those of its versions have their places
    /// already; that of this image waits until it is known whether its upgrade begins.
    pub fn take_over_preloaders(&mut self, preloaders: Vec<AdoptedPreloader>) {
        for adopted in preloaders {
            let Some(version) = adopted.version else {
                self.preloads.handed_over = Some(adopted);
                continue;
            };
            let source = self.versions.source(version);
            if let Some(generation) = self.adopted(adopted.process, source) {
                self.preloads.by_version.insert(version, generation);
            }
        }
    }

    /// The image has begun. What was loaded for it takes its place, unless it was for an
    /// upgrade that did not begin: `left` is the version from before, and `upgrades` says
    /// whether there was to be one.
    pub(in super::super) fn place_preloaders(&mut self, left: Version, upgrades: bool) {
        if let Some(adopted) = self.preloads.handed_over.take() {
            let version = self.pool.version();
            if !upgrades || version != left {
                let source = self.versions.prepared().or_else(|| self.versions.source(version));
                if let Some(generation) = self.adopted(adopted.process, source)
                    && let Some(replaced) = self.preloads.by_version.insert(version, generation)
                {
                    self.dismiss(replaced);
                }
            }
        }
        if self.preloads.generations().any(|of| of.process.is_some()) {
            adopt(true);
        }
    }

    /// A preloader that was handed over, if it has the code loaded that is wanted for `source`.
    fn adopted(&self, process: Option<Preloader>, source: Option<&Source>) -> Option<Generation> {
        let Some(process) = process else {
            return Some(Generation::new(Lifecycle::given_up(), None));
        };
        let wanted = source.and_then(|source| self.code(source).ok());
        if wanted.is_none_or(|code| code.words() != process.words()) {
            ::log::info!("preloader {} has other code loaded, and ends", process.pid());
            return None;
        }
        match self.listen_to(&process) {
            Ok(()) => Some(Generation::new(Lifecycle::ready(), Some(process))),
            Err(reason) => {
                ::log::error!("{reason}");
                None
            }
        }
    }
}
