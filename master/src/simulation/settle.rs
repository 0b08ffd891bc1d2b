//! The end of a history: from here on everybody behaves, and all must come to be well.

use std::time::Duration;

use super::kernel::Forks;
use super::step::{Exec, How, Step};
use super::world::World;
use crate::pool::{Pid, Slot};
use crate::settings::{RecycleRules, Settings};

/// Turns until it must be quiet: more than any upgrade takes, one deadline each.
const TURNS: usize = 600;

impl World {
    pub(super) fn settle(&mut self) {
        self.say(|| "and now everybody behaves".to_string());
        self.kernel.forks = Forks::Work;
        self.mail.clear();
        // A rule goes on for ever; what it has begun must come to an end.
        let recycle = RecycleRules::default();
        self.change(Settings { recycle, ..self.pool.settings().clone() });
        let passes = Exec { how: How::IntoOurs, dies: None, milliseconds: 5, calendar: 0 };
        for _ in 0..TURNS {
            if self.left.is_some() || self.is_quiet() {
                break;
            }
            while !self.kernel.waiting.is_empty() {
                self.answer_start(0, true);
            }
            self.play(&Step::CheckPasses(passes));
            while self.kernel.pick(0, |process| process.asked).is_some() {
                self.play(&Step::Obey(0));
            }
            self.reap();
            while self.pool.draining_slots().next().is_some() {
                self.play(&Step::Drained(0));
            }
            self.acknowledge_all();
            let next = self.pool.next_deadline().unwrap_or_default();
            self.wait(
                next.saturating_sub(self.clock.now().monotonic).max(Duration::from_millis(1)),
            );
        }
        self.check_end();
    }

    fn is_quiet(&self) -> bool {
        let is_asked = self.kernel.children().any(|(_, process)| process.asked);
        let is_unacked = self.pool.workers().any(|worker| !worker.acked);
        !is_asked && !is_unacked && !self.check && self.pool.next_deadline().is_none()
    }

    fn acknowledge_all(&mut self) {
        if !self.is_manual() {
            return;
        }
        let new: Vec<Pid> =
            self.pool.workers().filter(|w| !w.acked).filter_map(|worker| worker.pid).collect();
        for pid in new {
            self.take_acknowledgement(pid);
        }
    }

    fn check_end(&self) {
        assert_eq!(self.callers.count(), 0, "nobody waits for ever");
        if let Some(status) = self.left {
            assert!(status == 1 || self.pool.workers().count() == 0, "all are gone");
            return;
        }
        assert!(!self.pool.is_stopping(), "it leaves when all are gone");
        let (census, target) = (self.pool.census(), self.pool.settings().number as usize);
        assert_eq!(census.counted(), target, "it settles at its target");
        assert_eq!(census.alive(), target, "and nobody else is left");
        if self.pool.is_balanced() {
            let open: Vec<Slot> = self.pool.open_slots().collect();
            let all: Vec<Slot> = (0..self.pool.settings().number).collect();
            assert_eq!(open, all, "each slot has its worker");
        }
        assert!(self.pool.upgrade().is_none(), "no upgrade is left over");
        assert_eq!(census.recycling(), 0, "everyone stale is replaced");
        assert_eq!(self.pool.waiting_to_be_recycled(), 0, "and nobody waits for it");
        assert!(self.pool.pending_reload().is_none(), "no reload is left over");
        assert_eq!(self.pool.next_deadline(), None, "nothing wakes it without cause");
    }
}
