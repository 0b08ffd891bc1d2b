//! `quieter` and `louder`. The reply is the new level as a number: 0 debug, 1 info, 2 errors.

use super::{Context, Effect, Outcome};
use crate::control::Request;

/// Errors only.
const QUIETEST: u8 = 2;

pub(super) fn quieter(context: &Context<'_>, _: &Request) -> Outcome {
    set(context.verbosity.saturating_add(1).min(QUIETEST))
}

pub(super) fn louder(context: &Context<'_>, _: &Request) -> Outcome {
    set(context.verbosity.saturating_sub(1))
}

fn set(level: u8) -> Outcome {
    Outcome::done(level.to_string()).with(Effect::Verbosity(level))
}
