//! The command socket: however a client's bytes are cut, the same requests come out of them,
//! each within its limits and each answered with one line that reads as what was meant; and no
//! command makes of one what must not be.

use std::num::NonZeroU32;
use std::time::Duration;

use einhorn_protocol::{framing, key, limit};

use super::{message, owned, recorded_lines};
use crate::commands::{self, Context, Effect, ListenerFacts, Rights};
use crate::control::{
    Connection, Dialect, LineBuffer, Refusal, Reply, Request, ReturnAddress, decode_reply,
    encode_request,
};
use crate::handover::capture_pool;
use crate::moment::{Moment, WallTime};
use crate::pool::{Action, Event, Pool};
use crate::psych::Value;
use crate::settings::{AckMode, Settings};

const NOW: Moment =
    Moment { monotonic: Duration::from_secs(100), wall: WallTime { nanoseconds: 0 } };
/// A line's greatest length where it is to be passed by small inputs.
const SHORT_LINE_BYTES: usize = 32;

pub(super) fn run(data: &[u8]) {
    let whole = requests(data, usize::MAX);
    for piece in [1, 7] {
        assert_eq!(requests(data, piece), whole, "in pieces of {piece}");
        assert_eq!(short_lines(data, piece), short_lines(data, usize::MAX));
    }
    for request in whole {
        match request {
            Ok(request) => check(&request),
            Err(refusal) => check_refusal(&refusal),
        }
    }
}

/// What comes out of a connection whose client sends `data` in pieces.
fn requests(data: &[u8], piece: usize) -> Vec<Result<Request, Refusal>> {
    let mut connection = Connection::new(0);
    let mut requests = Vec::new();
    for bytes in data.chunks(piece.min(data.len()).max(1)) {
        connection.receive(bytes);
        while let Some(request) = connection.next_request() {
            requests.push(request);
        }
        assert!(connection.held() <= 2 * data.len() + limit::LINE_BYTES_MAX);
    }
    requests
}

/// The lines of a buffer that takes only short ones, and whether it stopped at a longer one.
fn short_lines(data: &[u8], piece: usize) -> (Vec<Vec<u8>>, bool) {
    let mut buffer = LineBuffer::new(SHORT_LINE_BYTES);
    let mut lines = Vec::new();
    for bytes in data.chunks(piece.min(data.len()).max(1)) {
        buffer.push(bytes);
        while let Some(line) = buffer.next_line() {
            let Ok(line) = line else { return (lines, true) };
            assert!(line.len() < SHORT_LINE_BYTES && !line.contains(&b'\n'));
            lines.push(line.to_vec());
        }
    }
    assert!(buffer.unread().len() < SHORT_LINE_BYTES, "more than a line is kept");
    (lines, false)
}

fn check_refusal(refusal: &Refusal) {
    message::check(&refusal.message);
    check_reply(&refusal.reply(), &refusal.address);
}

fn check(request: &Request) {
    let ids = [&request.id, &request.request_id];
    for id in ids.into_iter().flatten() {
        assert!(id.is_scalar(), "{id:?}");
        let length = id.as_bytes().map_or(0, <[u8]>::len);
        assert!(length <= limit::ID_BYTES_MAX, "an id of {length} bytes");
    }
    assert!(request.args.len() <= limit::REQUEST_VALUES_MAX);
    let address = request.address();
    check_reply(&Reply::progress("50% of\n\u{85}\u{2028}\u{1f984}"), &address);
    check_sent_again(request);
    for rights in [Rights::All, Rights::OfAWorker, Rights::OfAGivenConnection] {
        check_command(request, rights);
    }
}

/// The shell's own writing of it is the same request.
fn check_sent_again(request: &Request) {
    let text = |text: &String| Value::String(text.clone());
    let args = Value::Sequence(request.args.iter().map(text).collect());
    let mut entries = vec![(key::COMMAND.into(), text(&request.command)), (key::ARGS.into(), args)];
    let id = request.id.as_ref().filter(|id| is_json(id));
    entries.extend(id.map(|id| (key::ID.into(), id.clone())));
    entries.extend(request.user.iter().map(|user| (key::USER.into(), text(user))));
    let line = encode_request(&Value::Mapping(entries));
    let again = Request::parse(line.strip_suffix(b"\n").expect("a line")).expect("a request");
    assert_eq!((&again.command, &again.args), (&request.command, &request.args));
    assert_eq!((again.id.as_ref(), &again.user), (id, &request.user));
}

/// What JSON has a word for.
fn is_json(value: &Value) -> bool {
    match value {
        Value::Float(number) => number.is_finite(),
        Value::Integer(_) | Value::Bool(_) | Value::String(_) => true,
        _ => false,
    }
}

/// One line, which says what was meant to each kind of client.
#[track_caller]
fn check_reply(reply: &Reply, address: &ReturnAddress) {
    let line = reply.encode(address);
    let line = line.strip_suffix(b"\n").expect("a line");
    assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
    let read = decode_reply(line).expect("a message");
    assert_eq!(read.get(key::MESSAGE), Some(&Value::String(reply.message.clone())));
    assert_eq!(read.get(key::WAIT).is_some(), reply.wait && address.id.is_some());
    let id = read.get(key::REQUEST_ID);
    assert_eq!(id.is_some(), address.id.is_some());
    match address.dialect {
        Dialect::Yaml => assert_eq!(id, address.id.as_ref()),
        Dialect::Json => {
            assert_eq!(&*framing::unescape(line), line, "nothing to unescape");
            serde_json::from_slice::<serde_json::Value>(line).expect("JSON to everybody");
            if address.id.as_ref().is_some_and(is_json) {
                assert_eq!(id, address.id.as_ref());
            }
        }
    }
}

/// Two workers, of the pids 500 and 501.
fn pool() -> Pool {
    let mut pool = Pool::new(Settings {
        number: 2,
        ack_mode: AckMode::Manual,
        ..Settings::default_for(NonZeroU32::MIN)
    });
    pool.handle(NOW, Event::Start);
    let mut pid = 500;
    while let Some(action) = pool.poll_action() {
        if let Action::Spawn { id, .. } = action {
            pool.handle(NOW, Event::Spawned { id, pid });
            pid += 1;
        }
    }
    pool
}

fn check_command(request: &Request, rights: Rights) {
    let mut pool = pool();
    let listeners = [ListenerFacts {
        name: Some("web".into()),
        address: "127.0.0.1:8080".into(),
        port: Some(8080),
        descriptor: 7,
        balanced: false,
    }];
    let context = Context {
        pool: &pool,
        now: NOW,
        pid: 42,
        title: "shop",
        introduction: &commands::introduction(42, "shop"),
        generation: 3,
        verbosity: 1,
        check_until: None,
        listeners: &listeners,
        rights,
        caller: 500,
        caller_group: &|| Some(500),
        snapshot: &|| capture_pool(&pool.to_restored()),
    };
    let outcome = commands::run(&context, request);
    if let Some(reply) = &outcome.reply {
        check_reply(reply, &request.address());
        assert!(reply.error.is_none() || outcome.effects.iter().all(is_line), "refused, yet done");
    }
    for effect in outcome.effects {
        match effect {
            Effect::Pool(event) => {
                assert!(rights == Rights::All || is_of_a_worker(&event), "{event:?}");
                check_event(&event);
                pool.handle(NOW, event);
            }
            Effect::Verbosity(level) => assert!(level <= 2),
            Effect::Backlog(backlog) => assert!(backlog > 0),
            Effect::Log(_, line) => assert!(line.len() < 4096, "{} bytes", line.len()),
        }
    }
    assert!(pool.workers().count() <= limit::WORKERS_MAX as usize + 2);
}

fn is_line(effect: &Effect) -> bool {
    matches!(effect, Effect::Log(..))
}

fn is_of_a_worker(event: &Event) -> bool {
    matches!(event, Event::Acknowledged { .. } | Event::Pinged { .. })
}

fn check_event(event: &Event) {
    if let Event::SettingsChanged(settings) = event {
        assert!((1..=limit::WORKERS_MAX).contains(&settings.number));
        assert_eq!(settings.check_together(), Ok(()));
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = recorded_lines();
    seeds.extend(owned(&[
        "{\"command\":\"worker:ack\",\"pid\":500}\n",
        "{\"command\":\"help\"}\n\n[]\r\n{\"command\":\"state\",\"id\":1.5}\n",
        "{\"command\":\"upgrade\",\"args\":[\"--canary\",\"2\",\"--soak\",\"0.5\"],\"id\":\"u%25\"}\n",
        "{\"command\":\"config\",\"args\":[\"{seconds: 0.5, signal_timeout: 30}\"],\"id\":[1]}\n",
        "---%0Acommand: set_workers%0Aargs: ['10000']%0Arequest_id: 2026-11-23 10:18:47 Z%0A\n",
        "---%0Acommand: recycle%0Aargs:%0A- all%0Aid: !binary Ymlu/w==%0A\n",
        "command: status%0Aargs: [json]%0Aid: &a .inf%0A\n",
        "{\"command\":\"die\",\"args\":[\"KILL\"]}\n{\"command\":\"signal\",\"args\":[\"hup\",\"x\"]}\n",
        "{\"command\":\"abort\"}\n{\"command\":\"louder\"}\n{\"command\":\"ehlo\",\"user\":\"ann\"}\n",
    ]));
    seeds
}
