//! Ruby's own YAML library reads every line on the command socket as what was meant: the replies
//! to every command, whatever texts stand in them, in both dialects, and the requests of einhornsh.
//!
//! Runs where a `ruby` is installed. Under continuous integration (`CI=true`) there must be one.

mod ruby;

use std::num::NonZeroU32;
use std::time::Duration;

use einhorn_master::commands::{Context, ListenerFacts, Rights, TABLE, introduction, run};
use einhorn_master::control::{Dialect, Reply, Request, ReturnAddress, encode_request};
use einhorn_master::moment::{Moment, WallTime};
use einhorn_master::pool::{Action, Event, Pool, SpawnId};
use einhorn_master::psych::Value;
use einhorn_master::settings::{AckMode, Settings};
use einhorn_master::state::Snapshot;
use einhorn_protocol::{framing, key};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use ruby::random::{runner, scalar, text};

/// Rounds; each makes a reply in either dialect, a reply about an upgrade, and a request.
const ROUNDS: usize = 1500;
const NOW: Moment =
    Moment { monotonic: Duration::from_secs(100), wall: WallTime { nanoseconds: 0 } };

/// What some command takes.
const ARGUMENTS: [&str; 9] =
    ["json", "all", "1", "USR1", "--canary", "2", "--soak", "0.5", "{seconds: 0.5}"];

/// What stands in a reply, and how it is asked for.
#[derive(Clone, Debug)]
struct Round {
    command: String,
    args: Vec<String>,
    id: Option<Value>,
    user: Option<String>,
    /// The master's title, a listener's name, a worker's status and why it could not start.
    texts: [String; 4],
    ping: Option<Value>,
    /// Of very many bytes.
    long: bool,
}

fn command() -> impl Strategy<Value = String> {
    let names: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
    prop_oneof![9 => proptest::sample::select(names).prop_map(str::to_owned), 1 => text()]
}

fn argument() -> impl Strategy<Value = String> {
    prop_oneof![proptest::sample::select(&ARGUMENTS[..]).prop_map(str::to_owned), text()]
}

fn round() -> impl Strategy<Value = Round> {
    (
        command(),
        vec(argument(), 0..3),
        proptest::option::of(scalar()),
        proptest::option::of(text()),
        [text().boxed(), text().boxed(), text().boxed(), text().boxed()],
        proptest::option::of(scalar()),
        proptest::bool::weighted(0.01),
    )
        .prop_map(|(command, args, id, user, texts, ping, long)| Round {
            command,
            args,
            id,
            user,
            texts,
            ping,
            long,
        })
}

impl Round {
    /// A worker that has said how it is, and one that could not be started.
    fn pool(&self) -> (Pool, Vec<String>) {
        let settings = Settings {
            number: 2,
            ack_mode: AckMode::Manual,
            ..Settings::default_for(NonZeroU32::MIN)
        };
        let mut pool = Pool::new(settings);
        pool.handle(NOW, Event::Start);
        let mut reports = Vec::new();
        while let Some(action) = pool.poll_action() {
            match action {
                Action::Spawn { id: SpawnId(0), .. } => {
                    pool.handle(NOW, Event::Spawned { id: SpawnId(0), pid: 500 });
                }
                Action::Spawn { id, .. } => {
                    let reason = self.texts[3].clone();
                    pool.handle(NOW, Event::SpawnFailed { id, reason });
                }
                Action::Report(report) => reports.push(report.to_string()),
                _ => {}
            }
        }
        let status = Event::StatusSaid { id: SpawnId(0), text: self.texts[2].clone() };
        pool.handle(NOW, status);
        let ping = Event::Pinged { id: SpawnId(0), request_id: self.ping.clone() };
        pool.handle(NOW, ping);
        (pool, reports)
    }

    fn reply(&self, pool: &Pool) -> Option<Reply> {
        let listeners = [ListenerFacts {
            name: Some(self.texts[1].clone()),
            address: "127.0.0.1:8080".into(),
            port: Some(8080),
            descriptor: 7,
            balanced: false,
        }];
        let context = Context {
            pool,
            now: NOW,
            pid: 42,
            title: &self.texts[0],
            introduction: &introduction(42, &self.texts[0]),
            generation: 3,
            verbosity: 1,
            check_until: None,
            listeners: &listeners,
            rights: Rights::All,
            caller: 777,
            caller_group: &|| None,
            snapshot: &|| Snapshot {
                orig_cmd: self.texts.iter().map(|text| text.clone().into_bytes()).collect(),
                ..Snapshot::default()
            },
        };
        let mut reply = run(&context, &self.request()).reply?;
        if self.long {
            reply.message.push_str(&self.texts.concat().repeat(500));
        }
        Some(reply)
    }

    fn request(&self) -> Request {
        Request {
            command: self.command.clone(),
            args: self.args.clone(),
            id: self.id.clone(),
            pid: None,
            user: self.user.clone(),
            request_id: None,
            dialect: Dialect::Yaml,
        }
    }
}

/// The line as a Ruby client takes it from the socket, and what it says.
fn in_yaml(reply: &Reply, id: Option<&Value>) -> (Value, String) {
    let address = ReturnAddress { dialect: Dialect::Yaml, id: id.cloned() };
    (meaning(reply, id), unframed(&reply.encode(&address)))
}

/// The same to a client that asked in JSON and reads YAML. Where JSON has no word for an id,
/// another one takes its place.
fn in_json(reply: &Reply, id: Option<&Value>) -> (Value, String) {
    let id = id.map(|id| match id {
        Value::String(_) | Value::Integer(_) | Value::BigInteger(_) | Value::Bool(_) => id.clone(),
        _ => Value::String("id".to_owned()),
    });
    let address = ReturnAddress { dialect: Dialect::Json, id: id.clone() };
    (meaning(reply, id.as_ref()), unframed(&reply.encode(&address)))
}

fn unframed(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").expect("a line");
    assert!(!line.contains(&b'\n'), "one line");
    String::from_utf8(framing::unescape(line).into_owned()).expect("UTF-8")
}

fn meaning(reply: &Reply, id: Option<&Value>) -> Value {
    let mut entries = vec![(key::MESSAGE.into(), reply.message.as_str().into())];
    if let Some(id) = id {
        entries.push((key::REQUEST_ID.into(), id.clone()));
        if reply.wait {
            entries.push((key::WAIT.into(), true.into()));
        }
    }
    entries.extend(reply.error.map(|code| (key::ERROR.into(), code.into())));
    let fixed = reply.fixed.iter().flat_map(|fixed| fixed.entries());
    let others = reply.extra.iter().chain(fixed);
    entries.extend(others.map(|(key, value)| ((*key).into(), value.clone())));
    Value::Mapping(entries)
}

/// As einhornsh asks.
fn asked(round: &Round) -> (Value, String) {
    let args = round.args.iter().map(|text| text.as_str().into()).collect();
    let meant = Value::Mapping(vec![
        (key::COMMAND.into(), round.command.as_str().into()),
        (key::ARGS.into(), Value::Sequence(args)),
        (key::USER.into(), round.user.as_deref().unwrap_or("ann").into()),
    ]);
    let line = encode_request(&meant);
    (meant, unframed(&line))
}

#[test]
fn every_line_on_the_command_socket_is_read_as_what_was_meant() {
    let Some(ruby) = ruby::installed() else { return };
    let (mut runner, strategy) = (runner(), round());
    let mut meant = Vec::new();
    let mut replied = std::collections::BTreeSet::new();
    for _ in 0..ROUNDS {
        let round = strategy.new_tree(&mut runner).expect("a round").current();
        let (pool, reports) = round.pool();
        let id = round.id.as_ref();
        let progress = reports.iter().map(|report| in_yaml(&Reply::progress(report), id));
        meant.extend(progress);
        if let Some(reply) = round.reply(&pool) {
            replied.insert(round.command.clone());
            meant.push(in_yaml(&reply, id));
            meant.push(in_json(&reply, id));
        }
        meant.push(asked(&round));
    }
    for row in &TABLE {
        assert!(replied.contains(row.name), "no reply to {}", row.name);
    }
    assert!(meant.len() >= 4 * ROUNDS, "{} lines", meant.len());
    ruby.check(&meant);
}
