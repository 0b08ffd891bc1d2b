//! `ehlo` and `help`.

use std::sync::LazyLock;

use einhorn_protocol::{PROTOCOL_EDITION, key};

use super::{Context, Outcome, TABLE};
use crate::control::{FixedKeys, Reply, Request};
use crate::psych::Value;

/// What this master can do beyond the protocol of 2012, for programs that ask.
const CAPABILITIES: [&str; 6] = ["json", "error", "status", "abort", "set_workers", "recycle"];

/// What it is told beside the greeting, the same every time.
static FACTS: LazyLock<FixedKeys> = LazyLock::new(|| {
    let capabilities = CAPABILITIES.iter().map(|name| Value::from(*name)).collect();
    FixedKeys::new(vec![
        (key::PROTOCOL, Value::Integer(PROTOCOL_EDITION.into())),
        (key::CAPABILITIES, Value::Sequence(capabilities)),
    ])
});

/// What a master says of itself.
pub fn introduction(pid: i32, title: &str) -> String {
    format!("This is einhorn {}, pid {pid}, running {title}.", env!("CARGO_PKG_VERSION"))
}

pub(super) fn ehlo(context: &Context<'_>, request: &Request) -> Outcome {
    let user = request.user.as_deref().unwrap_or("stranger");
    let message = format!("Welcome, {user}! {}", context.introduction);
    Outcome::reply(Reply { fixed: Some(&*FACTS), ..Reply::done(message) })
}

pub(super) fn help(_: &Context<'_>, _: &Request) -> Outcome {
    let usage = |row: &super::Command| format!("{} {}", row.name, row.arguments);
    let width = TABLE.iter().map(|row| usage(row).chars().count()).max().unwrap_or(0);
    let lines: Vec<String> =
        TABLE.iter().map(|row| format!("{:width$}  {}", usage(row), row.summary)).collect();
    Outcome::done(lines.join("\n"))
}
