//! `-b`: what is taken means the same when it is typed again, from what was typed and from
//! what a state has of it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use einhorn_protocol::limit::UNIX_PATH_BYTES_MAX;

use super::{message, owned};
use crate::handover::typed_address;
use crate::options::{Bind, BindAddress, Endpoint};
use crate::state;

pub(super) fn run(data: &[u8]) {
    match Bind::parse(OsStr::from_bytes(data)) {
        Err(error) => message::check(&error.to_string()),
        Ok(bind) => {
            let typed = bind.typed();
            assert_eq!(Bind::parse(&typed).as_ref(), Ok(&bind), "as typed again");
            if let Bind::Open(address) = bind {
                check(&address);
            }
        }
    }
}

fn check(address: &BindAddress) {
    match &address.endpoint {
        Endpoint::Ip(_) => {}
        Endpoint::Host { host, .. } => assert!((1..=253).contains(&host.len())),
        Endpoint::Unix(path) => {
            assert!((1..=UNIX_PATH_BYTES_MAX).contains(&path.as_os_str().len()));
            assert!(!path.as_os_str().as_bytes().contains(&0));
            assert!(!address.balanced);
        }
    }
    // As it stands in a state, and as another image makes an address of that.
    let flags = [("r", address.reuse_address), ("n", address.non_blocking)];
    let stored = state::Bind {
        host: address.endpoint.host().into_vec(),
        port: address.endpoint.port().unwrap_or(0),
        flags: flags.iter().filter(|(_, set)| *set).map(|(flag, _)| (*flag).into()).collect(),
    };
    let typed = OsString::from_vec(typed_address(&stored));
    let again = BindAddress::parse(&typed);
    let expect = BindAddress { name: None, balanced: false, typed, ..address.clone() };
    assert_eq!(again, Ok(expect), "from the state");
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    owned(&[
        "127.0.0.1:8080",
        "[::1]:65535,r,n",
        "[fe80::1%2]:80",
        "[::ffff:1.2.3.4]:0",
        "web=localhost:80,so_reuseaddr,O_NONBLOCK",
        "my-host.example_1.:080,balance",
        "unix:/run/a b.sock,n",
        "u=unix:a=b:c",
        "inherit",
        "inherit:web",
        "=x",
        "::1:80",
        "256.1.1.1:80",
    ])
}
