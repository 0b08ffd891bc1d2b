//! Random states cross from us to us, and through Ruby's own YAML library, unchanged.

mod ruby;

use std::collections::BTreeSet;

use einhorn_master::moment::WallTime;
use einhorn_master::psych::{Limits, Value, read};
use einhorn_master::signal::Signal;
use einhorn_master::state::{
    AckMode, AckTimer, Bind, Bytes, Child, ClientConnection, Config, Nice, OurClient, OurFile,
    OurListener, OurPreloader, OurUpgrade, OurVersion, OurWorker, Ours, Rules, Snapshot,
    WorkerChild,
};
use einhorn_protocol::limit;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::Config as RunnerConfig;
use ruby::random::{runner, scalar};

/// Random states that are sent through Ruby at once.
const STATES: usize = 300;

/// Longest state of a fleet without its clients' buffers.
const FLEET_BYTES_MAX: usize = 16 << 20;

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        2 => "[-a-zA-Z0-9/._:= ]{0,20}".prop_map(String::into_bytes),
        2 => ruby::random::text().prop_map(String::into_bytes),
        1 => "\\PC{0,10}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..20),
    ]
}

fn text() -> impl Strategy<Value = String> {
    bytes().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn time() -> impl Strategy<Value = WallTime> {
    (0..4_000_000_000_000_000_000_i128).prop_map(|nanoseconds| WallTime { nanoseconds })
}

fn seconds() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), 0.0..1e9, (0..100_u32).prop_map(f64::from)]
}

fn worker() -> impl Strategy<Value = WorkerChild> {
    let names: Vec<String> = Signal::names().map(str::to_owned).collect();
    (
        any::<u64>(),
        any::<bool>(),
        btree_set(proptest::sample::select(names), 0..4),
        (option::of(time()), option::of(time()), option::of(time())),
        option::of(any::<u32>()),
        option::of(scalar()),
    )
        .prop_map(|(version, acked, signaled, times, index, pinged_request_id)| WorkerChild {
            version,
            acked,
            signaled,
            last_signaled_at: times.0,
            index,
            spinup_time: times.1,
            pinged_at: times.2,
            pinged_request_id,
        })
}

fn child() -> impl Strategy<Value = Child> {
    prop_oneof![9 => worker().prop_map(Child::Worker), 1 => Just(Child::StatePasser)]
}

fn bind() -> impl Strategy<Value = Bind> {
    (
        bytes(),
        any::<u16>(),
        vec(proptest::sample::select(vec!["r".to_owned(), "n".to_owned()]), 0..3),
    )
        .prop_map(|(host, port, flags)| Bind { host, port, flags })
}

fn client() -> impl Strategy<Value = ClientConnection> {
    (1..10_000_i32, bytes(), bytes(), option::of(scalar())).prop_map(
        |(socket, read_buffer, write_buffer, upgrade_subscription)| ClientConnection {
            socket,
            read_buffer,
            write_buffer,
            upgrade_subscription,
        },
    )
}

prop_compose! {
    fn rules()(
        canary in option::of(any::<u32>()),
        soak in seconds(),
        attempts in option::of(any::<u32>()),
        timeout in option::of(seconds()),
    ) -> Rules {
        Rules { canary, soak, attempts, timeout }
    }
}

prop_compose! {
    fn upgrade()(
        request in any::<u64>(),
        flags in any::<(bool, bool)>(),
        rules in rules(),
        begun_monotonic in option::of(any::<u64>()),
        failures in any::<u32>(),
        failed_pid in option::of(1..i32::MAX),
        failed_reason in option::of(text()),
        rollback in option::of(text()),
        rollback_why in option::of(text()),
    ) -> OurUpgrade {
        OurUpgrade {
            request,
            smooth: flags.0,
            rules,
            to: request / 2,
            begun_monotonic,
            canary_passed: flags.1,
            failures,
            failed_pid,
            failed_index: failures / 2,
            failed_reason,
            rollback,
            rollback_why,
        }
    }
}

prop_compose! {
    fn version()(
        version in any::<u64>(),
        command in vec(bytes(), 0..3),
        environment in option::of(vec(bytes(), 0..3)),
        folder in option::of(bytes().prop_filter("a path", |path| !path.is_empty())),
        folder_fd in option::of(any::<i32>()),
        file in option::of((any::<u32>(), bytes(), any::<[u64; 4]>())),
    ) -> OurVersion {
        let files = file.into_iter().map(|(word, real, [device, inode, size, modified])| {
            OurFile { word, real, device, inode, size, modified }
        });
        OurVersion { version, command, environment, folder, folder_fd, files: files.collect() }
    }
}

prop_compose! {
    fn preloader()(
        pid in option::of(any::<i32>()),
        channel in option::of(any::<i32>()),
        version in option::of(any::<u64>()),
        words in vec(bytes(), 0..3),
    ) -> OurPreloader {
        OurPreloader { pid, channel, version, words }
    }
}

fn our_worker() -> impl Strategy<Value = OurWorker> {
    (option::of(any::<u64>()), any::<bool>(), any::<bool>()).prop_map(
        |(spinup_monotonic, newcomer, failed)| OurWorker {
            spinup_monotonic,
            signaled_monotonic: spinup_monotonic.map(|start| start / 2),
            acked_monotonic: spinup_monotonic.map(|start| start / 3),
            soaking: failed && newcomer,
            newcomer,
            failed,
            stale: failed.then(|| "requested".to_string()),
            recycling: newcomer,
            slot: spinup_monotonic.and_then(|start| u32::try_from(start / 4).ok()),
            retiring: newcomer,
            status: failed.then(|| "4 of 9: \u{e9}".to_owned()),
            ready_fd: failed.then_some(17),
            silent: newcomer && !failed,
            lingering: failed,
            pinged_monotonic: spinup_monotonic.map(|start| start / 5),
        },
    )
}

fn ours() -> impl Strategy<Value = Ours> {
    let file = || option::of((any::<u64>(), any::<u64>()));
    let slot_fds = option::of(vec(any::<i32>(), 0..3));
    let listener = (option::of(text()), bytes(), file(), slot_fds).prop_map(
        |(name, typed, unix_file, slot_fds)| OurListener { name, typed, unix_file, slot_fds },
    );
    let client =
        (any::<bool>(), any::<u64>()).prop_map(|(json, request)| OurClient { json, request });
    (
        option::of(seconds()),
        option::of(0..2_u8),
        vec(listener, 0..3).boxed(),
        file(),
        btree_map(1..i32::MAX, client, 0..3).boxed(),
        btree_map(1..i32::MAX, our_worker(), 0..3).boxed(),
        (any::<u64>(), any::<bool>(), vec(version(), 0..3).boxed(), bytes()),
        (rules(), option::of(upgrade()).boxed(), vec(preloader(), 0..3).boxed()),
    )
        .prop_map(
            |(
                ack_timeout,
                fd_base,
                listeners,
                file,
                clients,
                workers,
                number,
                (rules, upgrade, preloaders),
            )| Ours {
                ack_timeout,
                ack_mode: (!number.1).then(|| "fd".to_owned()),
                notify_fd: number.1.then_some(9),
                stop_signal: number.1.then(|| "TERM".to_owned()),
                fd_base,
                listen_fds: !number.1,
                allow_uids: if number.1 { vec![b"deploy".to_vec()] } else { Vec::new() },
                allow_gids: if number.1 { Vec::new() } else { vec![b"50".to_vec()] },
                chdir: number.1.then(|| b"/srv/current".to_vec()),
                versions: number.2,
                gc_before_fork: number.1,
                preload_timeout: ack_timeout,
                max_age: ack_timeout,
                max_rss: number.1.then_some(number.0),
                ping_timeout: ack_timeout,
                ping_signal: number.1.then(|| "QUIT".to_owned()),
                preloaders,
                listeners,
                command_socket_file: file,
                open_files: number.1.then_some(number.0),
                clients,
                workers,
                committed_version: number.0,
                last_request: number.0 / 2,
                rules,
                next_rules: number.1.then_some(rules),
                upgrade,
                superseding: number.1,
                fleet_was_up: !number.1,
                log_unwritten: number.3,
                log_dropped: number.0 / 3,
                last_spinup_monotonic: number.1.then_some(number.0),
                old_deaths_before_ack: u32::from(number.1),
                old_last_spinup_monotonic: number.1.then_some(number.0),
            },
        )
}

prop_compose! {
    fn config()(
        number in option::of(any::<u32>()),
        backlog in option::of(any::<i32>()),
        seconds in option::of(seconds()),
        max_unacked in option::of(any::<u32>()),
        max_upgrade_additional in option::of(any::<u32>()),
    ) -> Config {
        Config { number, backlog, seconds, max_unacked, max_upgrade_additional }
    }
}

prop_compose! {
    fn nice()(
        master in option::of(any::<i32>()),
        worker in option::of(any::<i32>()),
        renice_cmd in option::of(bytes()),
    ) -> Nice {
        Nice { master, worker, renice_cmd }
    }
}

/// The parts of a state that the policy counts.
fn counts() -> impl Strategy<Value = Snapshot> {
    let flag = any::<bool>;
    (
        btree_map(1..i32::MAX, child().boxed(), 0..4),
        config(),
        (any::<u64>(), any::<u64>(), any::<u32>(), any::<u8>()),
        [flag(), flag(), flag(), flag(), flag(), flag(), flag()],
        (option::of(time()), option::of(time())),
        prop_oneof![Just(AckMode::Manual), seconds().prop_map(AckMode::Timer)],
        option::of(seconds()),
    )
        .prop_map(|(children, config, numbers, flags, times, ack_mode, signal_timeout)| {
            Snapshot {
                children,
                config,
                version: numbers.0,
                generation: numbers.1,
                consecutive_deaths_before_ack: numbers.2,
                verbosity: numbers.3,
                respawn: flags[0],
                upgrading: flags[1],
                smooth_upgrade: flags[2],
                reloading_for_upgrade: flags[3],
                kill_children_on_exit: flags[4],
                command_socket_as_fd: flags[5],
                preloaded: flags[6],
                last_spinup: times.0,
                last_upgraded: times.1,
                ack_mode,
                signal_timeout,
                ..Snapshot::default()
            }
        })
}

/// Boxed, part by part: a test's stack does not hold the whole strategy by value.
fn snapshot() -> BoxedStrategy<Snapshot> {
    let words = || vec(bytes(), 0..4).boxed();
    let path = || option::of(bytes()).boxed();
    let bound = vec((bind().boxed(), any::<i32>(), option::of(any::<u16>())), 0..4);
    let timer = (seconds(), time(), 1..i32::MAX).prop_map(|(time, start, pid)| AckTimer {
        time,
        start,
        pid,
    });
    (
        counts().boxed(),
        (words(), words(), words(), option::of(words())),
        bound,
        [path(), path(), path(), path(), path(), path()],
        nice(),
        option::of(any::<i32>()),
        (vec(client(), 0..4).boxed(), vec(timer, 0..3).boxed()),
        option::of(ours()).boxed(),
    )
        .prop_map(|(counts, words, bound, paths, nice, command_server, events, ours)| {
            let [script_name, path, cmd_name, socket_path, pidfile, lockfile] = paths;
            Snapshot {
                orig_cmd: words.0,
                cmd: words.1,
                drop_environment_variables: words.2,
                reexec_commandline: words.3,
                bind: bound.iter().map(|(bind, ..)| bind.clone()).collect(),
                bind_fds: bound.iter().map(|(_, descriptor, _)| *descriptor).collect(),
                bound_ports: bound.iter().map(|(.., port)| *port).collect(),
                script_name,
                path,
                cmd_name,
                socket_path,
                pidfile,
                lockfile,
                nice,
                command_server,
                connections: events.0,
                ack_timers: events.1,
                ours,
                ..counts
            }
        })
        .boxed()
}

#[test]
fn through_ruby_and_back() {
    let Some(ruby) = ruby::installed() else { return };
    let (mut runner, strategy) = (runner(), snapshot());
    let mut snapshots: Vec<Snapshot> =
        (0..STATES).map(|_| strategy.new_tree(&mut runner).expect("a state").current()).collect();
    for text in [
        include_str!("vectors/state-manual.yaml"),
        include_str!("vectors/state-timer.yaml"),
        include_str!("vectors/state-mid-upgrade.yaml"),
    ] {
        snapshots.push(Snapshot::from_yaml(text.as_bytes()).expect("a sample").0);
    }
    let meant: Vec<(Value, String)> = snapshots
        .iter()
        .map(Snapshot::to_yaml)
        .map(|text| (read(text.as_bytes(), &Limits::state()).expect(&text), text))
        .collect();
    for (snapshot, answer) in snapshots.iter().zip(ruby.check(&meant)) {
        let Some(text) = answer.readable() else { continue };
        let (again, notes) = Snapshot::from_yaml(text.as_bytes()).expect(&text);
        assert_eq!(&again, snapshot, "Ruby wrote\n{text}");
        assert_eq!(notes, [], "Ruby wrote\n{text}");
    }
}

proptest! {
    #![proptest_config(RunnerConfig { cases: 500, failure_persistence: None, ..RunnerConfig::default() })]

    #[test]
    fn from_us_to_us(snapshot in snapshot()) {
        let text = snapshot.to_yaml();
        let (again, notes) = Snapshot::from_yaml(text.as_bytes()).expect(&text);
        prop_assert_eq!(&again, &snapshot, "{}", text);
        prop_assert_eq!(notes, vec![]);
        prop_assert!(text.is_ascii());
    }

    /// Damage costs notes or an error, and nothing else.
    #[test]
    fn damaged(snapshot in snapshot(), places in vec((any::<usize>(), any::<u8>()), 1..6)) {
        let mut text = snapshot.to_yaml().into_bytes();
        for (place, byte) in places {
            let place = place % text.len();
            text[place] = byte;
        }
        let _ = Snapshot::from_yaml(&text);
    }
}

#[test]
fn the_largest_fleet() {
    let worker = WorkerChild {
        pinged_request_id: Some("r".repeat(100).into()),
        signaled: BTreeSet::from(["USR2".to_owned()]),
        ..WorkerChild::default()
    };
    let pids = 1..=i32::try_from(limit::WORKERS_MAX).expect("fits");
    let snapshot = Snapshot {
        children: pids.clone().map(|pid| (pid, Child::Worker(worker.clone()))).collect(),
        ours: Some(Ours {
            workers: pids.map(|pid| (pid, OurWorker::default())).collect(),
            ..Ours::default()
        }),
        ..Snapshot::default()
    };
    let text = snapshot.to_yaml();
    assert!(text.len() < FLEET_BYTES_MAX, "{} bytes", text.len());
    let (again, _) = Snapshot::from_yaml(text.as_bytes()).expect("within the limits");
    assert!(again == snapshot);
}

/// The bytes that take most room; so buffers that are as full as may be have room too.
#[test]
fn the_fullest_buffers() {
    for byte in [b"\x01", "\u{80}".as_bytes(), "\u{10ffff}".as_bytes(), b"\xff", b"\""] {
        let buffer = byte.repeat((1 << 18) / byte.len());
        let length = buffer.len();
        let client = ClientConnection { socket: 9, read_buffer: buffer, ..Default::default() };
        let snapshot = Snapshot { connections: vec![client], ..Snapshot::default() };
        let text = snapshot.to_yaml();
        let empty = Snapshot::default().to_yaml();
        assert!(text.len() <= empty.len() + 4 * length + 200, "{byte:?}: {} bytes", text.len());
        assert!(Snapshot::from_yaml(text.as_bytes()).expect("readable").0 == snapshot, "{byte:?}");
    }
    let buffers = 4 * limit::BUFFERS_BYTES_MAX + limit::CLIENTS_MAX * 200;
    assert!(buffers + FLEET_BYTES_MAX < limit::STATE_BYTES_MAX);
}
