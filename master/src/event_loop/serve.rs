//! A client's turn: bytes → requests → commands → replies and effects.

use std::time::Duration;

use ::log::Level;
use einhorn_protocol::error_code;
use einhorn_protocol::limit::LOG_REPEATS_MAX;
use mio::Token;

use super::Master;
use super::client::Client;
use crate::commands::{self, Context, Effect, Follow, Outcome};
use crate::control::{Reply, Request, Topic};
use crate::log::repeated;
use crate::moment::Moment;
use crate::pool::{Callers, Event, Report, ReportKind, UpgradeEnd, Version};
use crate::psych::Value;
use crate::sys::process::{self, own_pid};

/// Requests of one client that are carried out in one turn.
const REQUESTS_A_TURN: usize = 32;

/// Clients that are read before the first of them is answered.
const TURNS_AT_ONCE: usize = 64;

/// Bytes of replies that are enough to begin to answer.
const UNSENT_AT_ONCE: usize = 64 << 10;

impl Master {
    /// Gives everyone who is ready one turn. Several are read before the first of them is
    /// answered: whoever is answered wants the processor, and interrupts the rest.
    pub(super) fn serve_clients(&mut self, now: Moment) {
        let mut served = std::mem::take(&mut self.served);
        let mut unsent = 0;
        for _ in 0..self.clients.round() {
            let Some(token) = self.clients.next_ready() else { continue };
            // A worker may speak as soon as its pid is on its way.
            if self.preloads.awaits_a_pid() {
                self.read_preloaders();
            }
            self.serve_requests(now, token);
            served.push(token);
            unsent += self.clients.get(token).map_or(0, |client| client.connection.pending().len());
            if served.len() >= TURNS_AT_ONCE || unsent >= UNSENT_AT_ONCE {
                self.end_turns(&mut served);
                unsent = 0;
            }
        }
        self.end_turns(&mut served);
        self.served = served;
    }

    fn end_turns(&mut self, served: &mut Vec<Token>) {
        for token in served.drain(..) {
            self.clients.end_turn(token);
        }
    }

    fn serve_requests(&mut self, now: Moment, token: Token) {
        for _ in 0..REQUESTS_A_TURN {
            let Some(client) = self.clients.get_mut(token) else { return };
            let Some(next) = client.connection.next_request() else { return };
            let answered = match next {
                Ok(request) => self.serve_request(now, token, &request),
                Err(refusal) => {
                    let (pid, why) = (client.peer.pid, &refusal.message);
                    repeated(
                        Level::Warn,
                        "refused requests",
                        LOG_REPEATS_MAX,
                        &format!("request of client (pid {pid}) refused: {why}"),
                    );
                    client.reply(&refusal.reply(), &refusal.address).is_ok()
                }
            };
            self.clients.note_request(token);
            if !answered {
                self.clients.cut_off(token, "it does not read its replies");
                return;
            }
            if self.is_leaving() {
                return;
            }
        }
    }

    /// Whether the client could be answered.
    fn serve_request(&mut self, now: Moment, token: Token, request: &Request) -> bool {
        let Some(client) = self.clients.get(token) else { return true };
        let Outcome { reply, follow, close, effects } = self.run_command(now, client, request);
        let Some(client) = self.clients.get_mut(token) else { return true };
        let mut answered = true;
        if let Some(mut reply) = reply {
            reply.wait &= request.id.is_some();
            answered = client.reply(&reply, &request.address()).is_ok();
        }
        if close && !client.is_given() {
            client.connection.close_after_flush();
        }
        if follow != Follow::Nothing {
            self.follow(token, request, follow);
        }
        for effect in effects {
            self.carry_out(effect);
        }
        answered
    }

    fn run_command(&self, now: Moment, client: &Client, request: &Request) -> Outcome {
        let caller = client.peer.pid;
        let caller_group = || process::group_of(caller);
        let snapshot = || self.capture(false);
        let context = Context {
            pool: &self.pool,
            now,
            pid: own_pid(),
            title: &self.title,
            introduction: &self.introduction,
            generation: self.instance.generation,
            verbosity: crate::log::verbosity(),
            check_until: self.check_until(),
            listeners: &self.listener_facts,
            rights: client.rights,
            caller,
            caller_group: &caller_group,
            snapshot: &snapshot,
        };
        commands::run(&context, request)
    }

    fn follow(&mut self, token: Token, request: &Request, follow: Follow) {
        let next = self.pool.next_request();
        let Some(client) = self.clients.get_mut(token) else { return };
        match follow {
            Follow::Nothing => return,
            Follow::Upgrade => {
                if request.id.is_none() {
                    return;
                }
                client.request = next;
                if let Some(former) = client.connection.subscribe(Topic::Upgrade, request.address())
                {
                    let message = "superseded by another upgrade on the same connection";
                    let reply = Reply::failed(error_code::SUPERSEDED, message);
                    // A client that is too far behind is found out at its next reply.
                    let _ = client.reply(&reply, &former);
                }
            }
            Follow::Reload => client.reloads.push(request.address()),
        }
        self.clients.follow(token);
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Pool(event) => self.tell_pool(event),
            Effect::Verbosity(level) => crate::log::set_verbosity(level),
            Effect::Backlog(backlog) => self.set_backlog(backlog),
            Effect::Log(level, text) => {
                repeated(level, "requests", LOG_REPEATS_MAX, &text);
            }
        }
    }

    /// Says it in the log, and to those who follow an upgrade.
    pub(super) fn publish(&mut self, report: &Report) {
        self.log_report(report);
        match report {
            Report::UpgradeEnded { end, callers, from, to, took } => {
                let lost =
                    end.is_back().then(|| self.versions.warn_of_overwritten(*from)).flatten();
                let result = upgrade_result(end, *from, *to, *took, lost.as_deref());
                let text = match lost {
                    Some(lost) => format!("{report}; {lost}"),
                    None => report.to_string(),
                };
                let reply = match end.error() {
                    None => Reply::done(text),
                    Some(code) => Reply::failed(code, text),
                };
                let callers = *callers;
                self.clients.for_each_follower(|client| {
                    if is_among(client, callers) {
                        client.end_subscription(&reply, &result)
                    } else {
                        Ok(())
                    }
                });
                if matches!(end, UpgradeEnd::ReloadFailed(_) | UpgradeEnd::ShuttingDown) {
                    self.answer_reloads(&reply);
                }
            }
            Report::ReloadFailed { .. } => {
                self.answer_reloads(&Reply::failed(error_code::RELOAD_FAILED, report.to_string()));
            }
            report if report.is_progress() => {
                let reply = Reply::progress(report.to_string());
                self.clients.for_each_follower(|client| {
                    match client.connection.subscription(Topic::Upgrade).cloned() {
                        Some(address) => client.reply(&reply, &address),
                        None => Ok(()),
                    }
                });
            }
            _ => {}
        }
    }

    fn log_report(&self, report: &Report) {
        let target = usize::try_from(self.pool.settings().number).unwrap_or(usize::MAX);
        match report.repeats() {
            None => ::log::log!(report.level(), "{report}"),
            Some(ReportKind::Failure(kind)) => {
                repeated(report.level(), kind, LOG_REPEATS_MAX, &report.to_string());
            }
            Some(ReportKind::OfEachWorker(kind)) => {
                let allowed = LOG_REPEATS_MAX.max(target.saturating_mul(2));
                repeated(report.level(), kind, allowed, &report.to_string());
            }
        }
    }

    /// Whoever asked for a reload is told how it went.
    pub(super) fn answer_reloads(&mut self, reply: &Reply) {
        self.clients.for_each_follower(|client| {
            for address in std::mem::take(&mut client.reloads) {
                client.reply(reply, &address)?;
            }
            Ok(())
        });
    }

    /// Something happened to the pool: it is told, and what it wants is done.
    pub(super) fn tell_pool(&mut self, event: Event) {
        self.hand_to_pool(event);
        self.perform_actions();
    }
}

/// How an upgrade ended, for programs.
fn upgrade_result(
    end: &UpgradeEnd,
    from: Version,
    to: Version,
    took: Option<Duration>,
    lost: Option<&str>,
) -> Value {
    let text = |text: &str| Value::String(text.to_string());
    let number = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let mut entries = vec![
        (text("outcome"), text(end.name())),
        (text("from_version"), number(from)),
        (text("to_version"), number(to)),
    ];
    if let Some(took) = took {
        entries.push((text("seconds"), Value::Float(took.as_secs_f64())));
    }
    if let UpgradeEnd::RolledBack { why, .. } | UpgradeEnd::ReloadFailed(why) = end {
        entries.push((text("reason"), text(why)));
    }
    if let UpgradeEnd::RolledBack { failure: Some(failure), .. } = end {
        let pid = failure.pid.map_or(Value::Null, |pid| Value::Integer(pid.into()));
        let worker = vec![
            (text("pid"), pid),
            (text("index"), number(failure.index.into())),
            (text("reason"), text(&failure.reason)),
        ];
        entries.push((text("worker"), Value::Mapping(worker)));
    }
    if let Some(lost) = lost {
        entries.push((text("warning"), text(lost)));
    }
    Value::Mapping(entries)
}

fn is_among(client: &Client, callers: Callers) -> bool {
    if client.connection.subscription(Topic::Upgrade).is_none() {
        return false;
    }
    match callers {
        Callers::UpTo(request) => client.request <= request,
        Callers::After(request) => client.request > request,
    }
}
