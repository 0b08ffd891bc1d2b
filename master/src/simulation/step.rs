//! What may happen, how often it does, and how it reads in a script.
//!
//! A number in a step picks one of those that it could happen to, so that a step still means
//! something when those before it have been taken away.

use std::fmt;

use proptest::option;
use proptest::prelude::*;

use super::kernel::Forks;
use super::settings::{rules, settings};
use crate::pool::UpgradeMode;
use crate::settings::{Settings, UpgradeRules};
use crate::signal::Signal;

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Milliseconds; the master wakes at each deadline.
    Wait(u16),
    /// Seconds in which the master does not run.
    Sleep(u16),
    /// Seconds by which somebody sets the calendar.
    SetCalendar(i32),
    CalendarStands(bool),
    /// The master wakes for nothing.
    Wake,
    Ack(u8),
    /// An acknowledgement is sent and stays on its way.
    AckLate(u8),
    /// The oldest one on its way arrives.
    AckArrives,
    /// The oldest one on its way does not.
    AckLost,
    Ping(u8),
    /// A worker says that it ends of its own accord.
    Retire(u8),
    /// A worker says how it is.
    Say(u8, u8),
    /// A worker has so many megabytes of memory from now on.
    Has(u8, u8),
    /// Nobody waits any more in the queue of one of the slots that drain.
    Drained(u8),
    Die(u8),
    /// Who was asked to stop, stops.
    Obey(u8),
    Reap,
    Forks(Forks),
    Forked(u8),
    NotForked(u8),
    Target(u8),
    Configure(Box<Settings>),
    Signal(Signal),
    Reload,
    Upgrade(UpgradeMode, Option<UpgradeRules>),
    Abort,
    /// A worker is to be replaced.
    Recycle(u8),
    RecycleAll,
    CheckFails,
    CheckPasses(Exec),
    Stop(Signal),
    Quit,
}

/// What becomes of a re-exec.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exec {
    pub(super) how: How,
    /// A worker that ends meanwhile.
    pub(super) dies: Option<u8>,
    /// How long it takes.
    pub(super) milliseconds: u16,
    /// By how many seconds somebody sets the calendar meanwhile.
    pub(super) calendar: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Fails,
    IntoOurs,
    /// The new image finds no program to upgrade to.
    ProgramGone,
    /// Another master, which drops what is ours alone, and back.
    ByAnother,
}

fn calendar() -> impl Strategy<Value = i32> {
    prop_oneof![3 => Just(0), 1 => -5000..5000_i32]
}

fn exec() -> impl Strategy<Value = Exec> {
    let how = prop_oneof![
        1 => Just(How::Fails),
        6 => Just(How::IntoOurs),
        1 => Just(How::ProgramGone),
        1 => Just(How::ByAnother),
    ];
    (how, option::of(any::<u8>()), 0..3000_u16, calendar())
        .prop_map(|(how, dies, milliseconds, calendar)| Exec { how, dies, milliseconds, calendar })
}

fn signal(names: &'static [Signal]) -> impl Strategy<Value = Signal> {
    proptest::sample::select(names)
}

pub(super) fn steps() -> impl Strategy<Value = Step> {
    const ANY: &[Signal] = &[Signal::HUP, Signal::TERM, Signal::USR2, Signal::KILL];
    const STOP: &[Signal] = &[Signal::TERM, Signal::USR2];
    let mode = prop_oneof![2 => Just(UpgradeMode::Smooth), 1 => Just(UpgradeMode::Fleet)];
    let forks = prop_oneof![3 => Just(Forks::Work), 1 => Just(Forks::Fail), 1 => Just(Forks::Wait)];
    let upgrade = (mode, option::of(rules())).prop_map(|(mode, rules)| Step::Upgrade(mode, rules));
    let configure = settings().prop_map(|settings| Step::Configure(Box::new(settings)));
    prop_oneof![
        120 => (0..5000_u16).prop_map(Step::Wait),
        6 => (0..2000_u16).prop_map(Step::Sleep),
        4 => calendar().prop_map(Step::SetCalendar),
        4 => any::<bool>().prop_map(Step::CalendarStands),
        10 => Just(Step::Wake),
        160 => any::<u8>().prop_map(Step::Ack),
        20 => any::<u8>().prop_map(Step::AckLate),
        10 => Just(Step::AckArrives),
        10 => Just(Step::AckLost),
        40 => any::<u8>().prop_map(Step::Ping),
        6 => any::<u8>().prop_map(Step::Retire),
        3 => (any::<u8>(), 0..4_u8).prop_map(|(number, word)| Step::Say(number, word)),
        10 => any::<(u8, u8)>().prop_map(|(number, megabytes)| Step::Has(number, megabytes)),
        40 => any::<u8>().prop_map(Step::Drained),
        60 => any::<u8>().prop_map(Step::Die),
        120 => any::<u8>().prop_map(Step::Obey),
        80 => Just(Step::Reap),
        20 => forks.prop_map(Step::Forks),
        40 => any::<u8>().prop_map(Step::Forked),
        5 => any::<u8>().prop_map(Step::NotForked),
        20 => (1..8_u8).prop_map(Step::Target),
        5 => configure,
        5 => signal(ANY).prop_map(Step::Signal),
        5 => Just(Step::Reload),
        30 => upgrade,
        12 => Just(Step::Abort),
        20 => any::<u8>().prop_map(Step::Recycle),
        5 => Just(Step::RecycleAll),
        6 => Just(Step::CheckFails),
        50 => exec().prop_map(Step::CheckPasses),
        1 => signal(STOP).prop_map(Step::Stop),
        1 => Just(Step::Quit),
    ]
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait(ms) => write!(f, "{ms} ms pass"),
            Self::Sleep(seconds) => write!(f, "the master does not run for {seconds} s"),
            Self::SetCalendar(seconds) => write!(f, "the calendar is set by {seconds} s"),
            Self::CalendarStands(true) => f.write_str("the calendar stands still"),
            Self::CalendarStands(false) => f.write_str("the calendar goes on"),
            Self::Wake => f.write_str("the master wakes for nothing"),
            Self::Ack(number) => write!(f, "unacknowledged worker #{number} acknowledges"),
            Self::AckLate(number) => write!(f, "worker #{number} sends an acknowledgement"),
            Self::AckArrives => f.write_str("a sent acknowledgement arrives"),
            Self::AckLost => f.write_str("a sent acknowledgement is lost"),
            Self::Ping(number) => write!(f, "worker #{number} pings"),
            Self::Retire(number) => write!(f, "worker #{number} retires of its own accord"),
            Self::Say(number, 0) => write!(f, "worker #{number} says nothing any more"),
            Self::Say(number, word) => write!(f, "worker #{number} says \"word {word}\""),
            Self::Has(number, megabytes) => write!(f, "worker #{number} has {megabytes} MiB"),
            Self::Drained(number) => write!(f, "slot #{number} of those that drain is empty"),
            Self::Die(number) => write!(f, "worker #{number} ends"),
            Self::Obey(number) => write!(f, "worker #{number} of those asked to stop ends"),
            Self::Reap => f.write_str("the master reaps"),
            Self::Forks(forks) => write!(f, "forks from now on: {forks:?}"),
            Self::Forked(number) => write!(f, "start #{number} of those that wait is done"),
            Self::NotForked(number) => write!(f, "start #{number} of those that wait fails"),
            Self::Target(number) => write!(f, "the target is {number}"),
            Self::Configure(settings) => write!(f, "settings: {settings:?}"),
            Self::Signal(signal) => write!(f, "{signal} for everyone"),
            Self::Reload => f.write_str("reload is asked for"),
            Self::Upgrade(mode, None) => write!(f, "upgrade is asked for, {mode:?}"),
            Self::Upgrade(mode, Some(rules)) => {
                write!(f, "upgrade is asked for, {mode:?} with {rules:?}")
            }
            Self::Abort => f.write_str("abort"),
            Self::Recycle(number) => write!(f, "worker #{number} is to be replaced"),
            Self::RecycleAll => f.write_str("everyone is to be replaced"),
            Self::CheckFails => f.write_str("the check fails"),
            Self::CheckPasses(exec) => write!(f, "the check passes: {exec:?}"),
            Self::Stop(signal) => write!(f, "the master is to stop ({signal})"),
            Self::Quit => f.write_str("the master is to quit"),
        }
    }
}
