//! What each signal to the master leads to (`protocol.md §5`): a table.

use super::Master;
use crate::pool::{Event, UpgradeMode};
use crate::settings::Settings;
use crate::signal::Signal;

/// What a signal leads to.
enum Effect {
    Stop,
    Quit,
    Upgrade,
    Reap,
    Target(i8),
    Note,
}

/// A row for each signal that the master takes.
static TABLE: [(Signal, Effect); 11] = [
    (Signal::INT, Effect::Stop),
    (Signal::USR2, Effect::Stop),
    (Signal::TERM, Effect::Stop),
    (Signal::QUIT, Effect::Quit),
    (Signal::HUP, Effect::Upgrade),
    (Signal::ALRM, Effect::Upgrade),
    (Signal::CHLD, Effect::Reap),
    (Signal::TTIN, Effect::Target(1)),
    (Signal::TTOU, Effect::Target(-1)),
    (Signal::USR1, Effect::Note),
    (Signal::PIPE, Effect::Note),
];

/// What workers get when the master gets `signal`: all but TERM ask for a graceful stop.
fn passed_on(signal: Signal, settings: &Settings) -> Signal {
    if signal == Signal::TERM { signal } else { settings.stop_signal() }
}

impl Master {
    pub(super) fn take_signals(&mut self) {
        match self.signals.read_all() {
            Ok(signals) => signals.into_iter().for_each(|signal| self.take_signal(signal)),
            Err(error) => self.ask_again("cannot read signals", &error),
        }
    }

    fn take_signal(&mut self, signal: Signal) {
        let Some((_, effect)) = TABLE.iter().find(|(of, _)| *of == signal) else { return };
        match effect {
            Effect::Reap => self.reap(),
            Effect::Stop => {
                ::log::info!("{signal}: stopping");
                let signal = passed_on(signal, self.pool.settings());
                self.tell_pool(Event::StopRequested(signal));
            }
            Effect::Quit => {
                ::log::info!("{signal}: leaving at once");
                self.tell_pool(Event::QuitRequested(signal));
            }
            Effect::Upgrade => self.upgrade_by_signal(signal),
            Effect::Target(step) => self.step_target(signal, *step),
            Effect::Note => ::log::info!("{signal}: nothing is done for it"),
        }
    }

    fn upgrade_by_signal(&mut self, signal: Signal) {
        if self.pool.is_stopping() {
            ::log::warn!("{signal}: no upgrade, the master is shutting down");
            return;
        }
        ::log::info!("{signal}: upgrading");
        let (mode, request) = (UpgradeMode::Smooth, self.pool.next_request());
        let rules = self.pool.settings().upgrade;
        self.tell_pool(Event::UpgradeRequested { mode, rules, request });
    }

    fn step_target(&mut self, signal: Signal, step: i8) {
        let before = self.pool.settings().number;
        let number = before
            .saturating_add_signed(step.into())
            .clamp(1, einhorn_protocol::limit::WORKERS_MAX);
        ::log::info!("{signal}: number of workers: {before} -> {number}");
        let settings = Settings { number, ..self.pool.settings().clone() };
        self.tell_pool(Event::SettingsChanged(settings));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::signals::OF_THE_MASTER;

    #[test]
    fn every_signal_of_the_master_has_one_row() {
        for signal in OF_THE_MASTER {
            assert_eq!(TABLE.iter().filter(|(of, _)| *of == signal).count(), 1, "{signal}");
        }
    }

    #[test]
    fn all_but_term_ask_workers_for_a_graceful_stop() {
        let mut settings = Settings::default_for(std::num::NonZeroU32::MIN);
        for stop in [Signal::USR2, Signal::QUIT] {
            settings.stop_signal = Some(stop);
            assert_eq!(passed_on(Signal::INT, &settings), stop);
            assert_eq!(passed_on(Signal::USR2, &settings), stop);
            assert_eq!(passed_on(Signal::TERM, &settings), Signal::TERM);
        }
    }
}
