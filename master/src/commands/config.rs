//! `config`: settings from a YAML mapping, all of them or none.

use super::{Context, Effect, Outcome};
use crate::control::Request;
use crate::pool::Event;
use crate::psych::{Limits, read};

pub(super) fn config(context: &Context<'_>, request: &Request) -> Outcome {
    // The shell splits at blanks, so a mapping arrives in pieces.
    let text = request.args.join(" ");
    if text.trim().is_empty() {
        return Outcome::bad_arguments("config needs a mapping, such as {seconds: 0.5}");
    }
    let mapping = match read(text.as_bytes(), &Limits::request()) {
        Ok(mapping) => mapping,
        Err(error) => return Outcome::bad_arguments(format!("cannot read {text:?}: {error}")),
    };
    let before = context.pool.settings();
    match before.merge(&mapping) {
        Err(error) => Outcome::bad_arguments(error.to_string()),
        Ok((_, changes)) if changes.is_empty() => Outcome::done("Nothing changed"),
        Ok((settings, changes)) => {
            let mut outcome = Outcome::done(format!("Changed {}", changes.join(", ")));
            if settings.backlog != before.backlog {
                outcome = outcome.with(Effect::Backlog(settings.backlog));
            }
            outcome.with(Effect::Pool(Event::SettingsChanged(settings)))
        }
    }
}
