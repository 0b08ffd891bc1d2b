//! What the master says about itself: its title, its listeners.

use std::os::fd::AsRawFd;

use super::Master;
use crate::commands::ListenerFacts;
use crate::instance::Instance;
use crate::start::Listener;
use crate::sys::{reason, socket};

/// `-c`, or the program and its arguments.
pub(super) fn title(instance: &Instance) -> String {
    if let Some(name) = &instance.launch.command_name {
        return name.to_string_lossy().into_owned();
    }
    let words: Vec<_> =
        instance.launch.orig_cmd.iter().map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

pub(super) fn listeners(instance: &Instance) -> Vec<ListenerFacts> {
    let facts = |listener: &Listener| ListenerFacts {
        name: listener.address.name.clone(),
        address: listener.local.to_string(),
        port: listener.bound_port(),
        descriptor: listener.descriptor.as_raw_fd(),
        balanced: listener.is_balanced(),
    };
    instance.listeners.iter().map(facts).collect()
}

impl Master {
    /// Listening again on a listening socket changes its backlog and nothing else.
    pub(super) fn set_backlog(&mut self, backlog: i32) {
        for listener in &self.instance.listeners {
            for socket in listener.sockets() {
                if let Err(error) = socket::set_backlog(socket, backlog) {
                    let address = &listener.local;
                    ::log::error!("cannot set the backlog of {address}: {}", reason(&error));
                }
            }
        }
    }
}
