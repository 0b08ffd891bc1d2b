//! `signal` and `die`.

use einhorn_protocol::error_code;

use super::{Context, Effect, Outcome};
use crate::control::{Reply, Request};
use crate::pool::Event;
use crate::signal::Signal;

pub(super) fn signal(context: &Context<'_>, request: &Request) -> Outcome {
    if request.args.is_empty() {
        return Outcome::bad_arguments("signal needs the name of a signal, such as USR1");
    }
    let signals: Result<Vec<Signal>, Outcome> =
        request.args.iter().map(|name| named(name)).collect();
    let signals = match signals {
        Ok(signals) => signals,
        Err(refusal) => return refusal,
    };
    let names: Vec<String> = signals.iter().map(ToString::to_string).collect();
    let count = context.pool.census().alive();
    let message = format!("Sending {} to all workers ({count})", names.join(", "));
    Outcome {
        effects: signals
            .into_iter()
            .map(|signal| Effect::Pool(Event::SignalRequested(signal)))
            .collect(),
        ..Outcome::done(message)
    }
}

pub(super) fn die(context: &Context<'_>, request: &Request) -> Outcome {
    let signal = match request.args.first().map(|name| named(name)) {
        None => context.pool.settings().stop_signal(),
        Some(Ok(signal)) => signal,
        Some(Err(refusal)) => return refusal,
    };
    let count = context.pool.census().alive();
    Outcome::done(format!("Stopping all workers ({count}) with {signal}, then the master"))
        .with(Effect::Pool(Event::StopRequested(signal)))
}

fn named(name: &str) -> Result<Signal, Outcome> {
    Signal::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Signal::names().collect();
        let message = format!("no signal is called {name:?}; there are: {}", names.join(" "));
        Outcome::reply(Reply::failed(error_code::UNKNOWN_SIGNAL, message))
    })
}
