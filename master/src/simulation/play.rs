//! What each step does.

use std::time::Duration;

use super::kernel::Process;
use super::reload;
use super::step::{How, Step};
use super::world::World;
use crate::pool::{Event, Exit, Pid, Slot, SpawnId};
use crate::psych::Value;
use crate::settings::Settings;
use crate::signal::Signal;

impl World {
    pub(super) fn play(&mut self, step: &Step) {
        if self.left.is_some() {
            return;
        }
        let seconds = self.clock.seconds();
        self.say(|| format!("{seconds:.3} s: {step}"));
        match step {
            Step::Wait(ms) => self.wait(Duration::from_millis(u64::from(*ms))),
            Step::Sleep(seconds) => {
                self.clock.advance(Duration::from_secs(u64::from(*seconds)));
                self.meet_deadlines();
            }
            Step::SetCalendar(seconds) => self.clock.set_calendar(*seconds),
            Step::CalendarStands(stands) => self.clock.stop_calendar(*stands),
            Step::Wake => self.handle(Event::DeadlineReached),
            Step::Ack(number) => self.acknowledge(*number),
            Step::AckLate(number) => self.mail.extend(self.kernel.pick(*number, |_| true)),
            Step::AckArrives => self.deliver(),
            Step::AckLost => drop(self.mail.pop_front()),
            Step::Ping(number) => self.ping(*number),
            Step::Retire(number) => self.retire(*number),
            Step::Say(number, word) => {
                let text = if *word == 0 { String::new() } else { format!("word {word}") };
                if let Some(id) = self.pick(*number) {
                    self.handle(Event::StatusSaid { id, text });
                }
            }
            Step::Has(number, megabytes) => {
                if let Some(pid) = self.kernel.pick(*number, |_| true) {
                    self.kernel.grow(pid, *megabytes);
                }
            }
            Step::Drained(number) => self.drained(*number),
            Step::Die(number) => self.end(*number, Exit::Status(1), |_| true),
            Step::Obey(number) => self.end(*number, Exit::Status(0), |process| process.asked),
            Step::Reap => self.reap(),
            Step::Forks(forks) => self.kernel.forks = *forks,
            Step::Forked(number) => self.answer_start(*number, true),
            Step::NotForked(number) => self.answer_start(*number, false),
            Step::Target(number) => {
                let number = u32::from(*number);
                self.change(Settings { number, ..self.pool.settings().clone() });
            }
            Step::Configure(settings) => self.configure(settings),
            Step::Signal(signal) => self.handle(Event::SignalRequested(*signal)),
            Step::Reload => self.handle(Event::ReloadRequested),
            Step::Upgrade(mode, rules) => {
                let request = self.pool.next_request();
                let rules = rules.unwrap_or(self.pool.settings().upgrade);
                // While it is stopping, the command itself says so and nobody waits.
                if !self.pool.is_stopping() {
                    self.callers.ask(request);
                }
                self.handle(Event::UpgradeRequested { mode: *mode, rules, request });
            }
            Step::Abort => self.handle(Event::AbortRequested),
            Step::Recycle(number) => {
                if let Some(id) = self.pick(*number) {
                    self.handle(Event::RecycleRequested(vec![id]));
                }
            }
            Step::RecycleAll => {
                let all = self.pool.workers().map(|worker| worker.id).collect();
                self.handle(Event::RecycleRequested(all));
            }
            Step::CheckFails => self.fail_reload("check that failed", "the check said no"),
            // A re-exec waits until no pid is on its way.
            Step::CheckPasses(_) if !self.check || !self.kernel.waiting.is_empty() => {}
            // Another master knows no slots, and is refused.
            Step::CheckPasses(exec)
                if exec.how == How::Fails
                    || (exec.how == How::ByAnother && self.pool.is_balanced()) =>
            {
                self.reap();
                self.fail_reload("exec that failed", "no such file");
            }
            Step::CheckPasses(exec) => reload::cross(self, *exec),
            Step::Stop(signal) => self.handle(Event::StopRequested(*signal)),
            Step::Quit => self.handle(Event::QuitRequested(Signal::QUIT)),
        }
    }

    /// Time passes, and the master wakes whenever it wants to.
    pub(super) fn wait(&mut self, span: Duration) {
        self.reap();
        let end = self.clock.now().monotonic + span;
        self.meet_deadlines();
        while let Some(next) = self.pool.next_deadline().filter(|next| *next <= end) {
            if self.left.is_some() {
                return;
            }
            self.clock.advance_to(next);
            self.reap();
            self.meet_deadlines();
        }
        self.clock.advance_to(end);
    }

    fn acknowledge(&mut self, number: u8) {
        let is_new = |process: &Process| {
            self.pool.worker(process.worker).is_some_and(|worker| !worker.acked)
        };
        if let Some(pid) = self.kernel.pick(number, is_new) {
            self.take_acknowledgement(pid);
        }
    }

    /// Its sender may be gone by now, and its pid another's.
    fn deliver(&mut self) {
        if let Some(pid) = self.mail.pop_front() {
            self.take_acknowledgement(pid);
        }
    }

    pub(super) fn take_acknowledgement(&mut self, pid: Pid) {
        match self.pool.find(pid).map(|worker| worker.id) {
            Some(id) => self.handle(Event::Acknowledged { id }),
            None => self.reached.note("acknowledgement for nobody"),
        }
    }

    /// Of the living workers the one that `number` stands for.
    fn pick(&self, number: u8) -> Option<SpawnId> {
        let pid = self.kernel.pick(number, |_| true)?;
        self.pool.find(pid).map(|worker| worker.id)
    }

    fn ping(&mut self, number: u8) {
        if let Some(id) = self.pick(number) {
            let request_id = number.is_multiple_of(2).then(|| Value::Integer(i64::from(number)));
            self.handle(Event::Pinged { id, request_id });
        }
    }

    fn retire(&mut self, number: u8) {
        if let Some(pid) = self.kernel.pick(number, |_| true) {
            self.kernel.retire(pid);
            let id = self.pool.find(pid).expect("a child is known").id;
            self.handle(Event::Retiring { id });
        }
    }

    /// One of the slots that drain has drained; where none does, the word comes too late.
    fn drained(&mut self, number: u8) {
        let draining: Vec<Slot> = self.pool.draining_slots().collect();
        let slot = draining.get(usize::from(number) % draining.len().max(1)).copied();
        if slot.is_some() {
            self.reached.note("slot that drained");
        }
        self.handle(Event::Drained { slot: slot.unwrap_or_else(|| Slot::from(number % 8)) });
    }

    fn end(&mut self, number: u8, exit: Exit, wanted: impl Fn(&Process) -> bool) {
        if let Some(pid) = self.kernel.pick(number, wanted) {
            self.kernel.end(pid, exit);
        }
    }

    pub(super) fn answer_start(&mut self, number: u8, works: bool) {
        let waiting = &mut self.kernel.waiting;
        if waiting.is_empty() {
            return;
        }
        let id = waiting.remove(usize::from(number) % waiting.len());
        self.reached.note("start told late");
        let pid = if works { self.kernel.fork(id) } else { None };
        self.handle(match pid {
            Some(pid) => Event::Spawned { id, pid },
            None => Event::SpawnFailed { id, reason: "the preloader cannot fork".to_string() },
        });
    }

    pub(super) fn change(&mut self, settings: Settings) {
        self.handle(Event::SettingsChanged(settings));
    }

    /// What the `config` command can change, which leaves out how workers are acknowledged.
    fn configure(&mut self, settings: &Settings) {
        let ack_mode = self.pool.settings().ack_mode.clone();
        let settings = Settings { ack_mode, ..settings.clone() };
        if settings.check_together().is_ok() {
            self.change(settings);
        }
    }

    fn fail_reload(&mut self, what: &'static str, reason: &str) {
        if self.check {
            self.check = false;
            self.reached.note(what);
            self.handle(Event::ReloadFailed { reason: reason.to_string() });
        }
    }

    pub(super) fn is_manual(&self) -> bool {
        self.pool.settings().ack_mode.timer().is_none()
    }
}
