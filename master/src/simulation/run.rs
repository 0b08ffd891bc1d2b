//! Histories from seeds, played, counted, and shrunk where one breaks an invariant.

use std::any::Any;
use std::cell::Cell;
use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::time::Duration;

use proptest::arbitrary::any;
use proptest::collection::vec;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::reached::Reached;
use super::reload::summary;
use super::settings::settings;
use super::step::{Step, steps};
use super::world::World;
use crate::options::{self, Invocation, Launch};
use crate::pool::Event;
use crate::settings::Settings;
use crate::sys::clock;

/// Steps of one history, at most.
const STEPS_MAX: usize = 200;
/// Attempts to make a history that fails shorter.
const SHRINKS_MAX: usize = 20_000;
/// The part of a run that every `make test` has: a second or so without optimisation.
const SHARE: u64 = 20_000;

#[derive(Clone, Debug)]
struct History {
    settings: Settings,
    /// Workers have slots.
    balanced: bool,
    steps: Vec<Step>,
}

fn histories() -> impl Strategy<Value = History> {
    (settings(), any::<bool>(), vec(steps(), 0..STEPS_MAX))
        .prop_map(|(settings, balanced, steps)| History { settings, balanced, steps })
}

/// The same seed is the same history, on every machine.
fn tree(seed: u64) -> impl ValueTree<Value = History> {
    let mut bytes = [0xA5; 16];
    bytes[..8].copy_from_slice(&seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    bytes[8..].copy_from_slice(&(!seed).to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::XorShift, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    histories().new_tree(&mut runner).expect("a history can always be made")
}

fn launch() -> Launch {
    match options::parse(vec!["program".into()], NonZeroU32::MIN) {
        Ok(Invocation::Run(launch)) => *launch,
        other => panic!("{other:?}"),
    }
}

struct Played {
    world: World,
    /// What broke, where something did.
    broken: Option<String>,
}

fn play(launch: &Launch, history: &History, with_transcript: bool) -> Played {
    let mut world = World::new(launch, history.settings.clone(), history.balanced);
    world.transcript = with_transcript.then(String::new);
    let result = quietly(|| {
        world.handle(Event::Start);
        for step in &history.steps {
            world.play(step);
            world.say_summary();
        }
        world.settle();
    });
    Played { world, broken: result.err().map(|payload| message(&*payload)) }
}

impl World {
    fn say_summary(&mut self) {
        if self.transcript.is_some() {
            let line = summary(&self.pool);
            self.say(|| format!("        ({line})"));
        }
    }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `play` and catches its panic, which is not printed.
fn quietly(play: impl FnOnce()) -> Result<(), Box<dyn Any + Send>> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                usual(info);
            }
        }));
    });
    QUIET.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(play));
    QUIET.set(false);
    result
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_string()
}

/// The shortest history found that still breaks something.
fn shrink(launch: &Launch, mut tree: impl ValueTree<Value = History>) -> History {
    let mut shortest = tree.current();
    let mut goes_on = tree.simplify();
    for _ in 0..SHRINKS_MAX {
        if !goes_on {
            break;
        }
        let history = tree.current();
        if play(launch, &history, false).broken.is_some() {
            shortest = history;
            goes_on = tree.simplify();
        } else {
            goes_on = tree.complicate();
        }
    }
    shortest
}

/// Plays the history of `seed`; if it breaks something, says what, as a short script.
fn check(launch: &Launch, seed: u64) -> (u64, Reached) {
    let tree = tree(seed);
    let history = tree.current();
    let played = play(launch, &history, false);
    if let Some(broken) = played.broken {
        let steps = history.steps.len();
        panic!("{}", script(launch, seed, steps, &broken, &shrink(launch, tree)));
    }
    (history.steps.len() as u64, played.world.reached)
}

fn script(launch: &Launch, seed: u64, steps: usize, broken: &str, shortest: &History) -> String {
    let played = play(launch, shortest, true);
    let mut text = String::new();
    let _ = writeln!(text, "seed {seed}: {broken}");
    let _ = writeln!(text, "shrunk from {steps} steps to {}:\n", shortest.steps.len());
    let balanced = if shortest.balanced { "workers have slots, " } else { "" };
    let _ = writeln!(text, "{balanced}{:?}", shortest.settings);
    text.push_str(&played.world.transcript.unwrap_or_default());
    let _ = writeln!(text, "=> {}", played.broken.unwrap_or_default());
    let _ = writeln!(text, "\nreplay it: make sim SEED={seed}");
    text
}

/// What a run came to.
#[derive(Default)]
struct Run {
    steps: u64,
    histories: u64,
    reached: Reached,
    /// The seed of the history that took longest, its steps and its time.
    slowest: (u64, u64, Duration),
}

/// Plays histories from `first` on until `steps` have been taken.
fn run(first: u64, steps: u64) -> Run {
    let launch = launch();
    let mut run = Run::default();
    while run.steps < steps {
        let seed = first.wrapping_add(run.histories);
        let begun = clock::now();
        let (of_this, by_this) = check(&launch, seed);
        let time = clock::now().since(begun);
        if time > run.slowest.2 {
            run.slowest = (seed, of_this, time);
        }
        run.steps += of_this;
        run.histories += 1;
        run.reached.add(&by_this);
    }
    run
}

#[test]
fn whatever_happens_the_invariants_hold_and_the_pool_settles() {
    let run = run(1, SHARE);
    assert_eq!(run.reached.never(), [""; 0], "the histories come to nothing");
}

#[test]
fn a_seed_replays_exactly() {
    let launch = launch();
    for seed in 0..20 {
        let transcript = || play(&launch, &tree(seed).current(), true).world.transcript;
        assert_eq!(transcript(), transcript());
    }
}

/// `make sim`. `SEED` replays one history, `STEPS` says how many steps there are to be.
#[test]
#[ignore = "for make sim, which says how long"]
fn simulate() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let started = clock::now();
    let calendar = u64::try_from(started.wall.nanoseconds / 1_000_000).unwrap_or_default();
    let seed = number("SEED");
    let steps = seed.map_or_else(|| number("STEPS").unwrap_or(1_000_000), |_| 1);
    let first = seed.unwrap_or(calendar);
    let run = run(first, steps);
    let time = clock::now().since(started).max(Duration::from_millis(1));
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = run.steps as f64 / time.as_secs_f64() * 60.0;
    println!("{}", run.reached);
    println!("{} histories from seed {first} on, {} steps", run.histories, run.steps);
    println!("{:.1} s, {rate:.0} steps a minute", time.as_secs_f64());
    let (slowest, its_steps, its_time) = run.slowest;
    let milliseconds = its_time.as_secs_f64() * 1000.0;
    println!("the slowest is seed {slowest}: {its_steps} steps in {milliseconds:.1} ms");
    if seed.is_none() {
        assert_eq!(run.reached.never(), [""; 0], "the histories come to nothing");
    }
}
