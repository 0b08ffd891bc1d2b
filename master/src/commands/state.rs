//! `state`: what would cross a reload, as text.

use super::{Context, Outcome};
use crate::control::Request;

pub(super) fn state(context: &Context<'_>, _: &Request) -> Outcome {
    Outcome::done((context.snapshot)().state_text())
}
