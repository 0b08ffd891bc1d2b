//! What crosses a reload, as plain data, named as the Ruby master names it (`protocol.md §8`).
//!
//! A field is added here and, as a row, in `fields`.

use std::collections::{BTreeMap, BTreeSet};

use einhorn_protocol::default;

use crate::moment::WallTime;
use crate::psych::Value;

/// The newest format of [`Ours`] that is understood: with sockets for slots.
pub const FORMAT: u64 = 2;
/// The format of a state in which no slot has a socket of its own.
const FORMAT_WITHOUT_SLOTS: u64 = 1;

/// Bytes that are mostly text: paths and words of command lines need not be UTF-8.
pub type Bytes = Vec<u8>;

/// Everything that one image of the master tells the next.
#[expect(clippy::struct_excessive_bools, reason = "the format has them")]
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// By pid.
    pub children: BTreeMap<i32, Child>,
    /// What `config` can change.
    pub config: Config,
    /// Counts upgrades.
    pub version: u64,
    /// The program and its arguments as typed.
    pub orig_cmd: Vec<Bytes>,
    /// The same with the program resolved.
    pub cmd: Vec<Bytes>,
    /// What was to be bound, in order. A Ruby master only knows host and port.
    pub bind: Vec<Bind>,
    /// The sockets' descriptors, aligned with `bind`.
    pub bind_fds: Vec<i32>,
    /// The real ports, aligned with `bind`; none for a unix socket.
    pub bound_ports: Vec<Option<u16>>,
    /// The preloaded script's name, as a Ruby master keeps it.
    pub script_name: Option<Bytes>,
    /// False while the master is leaving.
    pub respawn: bool,
    /// An upgrade is in progress.
    pub upgrading: bool,
    /// The mode of the last upgrade asked for.
    pub smooth_upgrade: bool,
    /// The next image is to begin an upgrade.
    pub reloading_for_upgrade: bool,
    /// `-p`.
    pub path: Option<Bytes>,
    /// `-c`.
    pub cmd_name: Option<Bytes>,
    /// 0 debug, 1 info, 2 errors only.
    pub verbosity: u8,
    /// Counts reloads.
    pub generation: u64,
    /// The last start of a worker.
    pub last_spinup: Option<WallTime>,
    /// `-m`.
    pub ack_mode: AckMode,
    /// `-k`.
    pub kill_children_on_exit: bool,
    /// `-g`.
    pub command_socket_as_fd: bool,
    /// The command socket.
    pub socket_path: Option<Bytes>,
    /// The pid file.
    pub pidfile: Option<Bytes>,
    /// The lock file.
    pub lockfile: Option<Bytes>,
    /// Deaths before acknowledgement in a row.
    pub consecutive_deaths_before_ack: u32,
    /// The beginning of the last upgrade.
    pub last_upgraded: Option<WallTime>,
    /// `--nice`.
    pub nice: Nice,
    /// `--reexec-as`; none: the command by which the master itself was started.
    pub reexec_commandline: Option<Vec<Bytes>>,
    /// `--drop-env-var`.
    pub drop_environment_variables: Vec<Bytes>,
    /// `-t`, in seconds.
    pub signal_timeout: Option<f64>,
    /// Whether the Ruby master had the program's code loaded.
    pub preloaded: bool,
    /// The command socket's descriptor.
    pub command_server: Option<i32>,
    /// The clients of the command socket.
    pub connections: Vec<ClientConnection>,
    /// Timers of acknowledgement, one for each worker that a timer runs for.
    pub ack_timers: Vec<AckTimer>,
    /// What is ours alone; absent after a master that is not ours.
    pub ours: Option<Ours>,
}

/// What holds where a state says nothing.
impl Default for Snapshot {
    fn default() -> Self {
        Self {
            children: BTreeMap::new(),
            config: Config::default(),
            version: 0,
            orig_cmd: Vec::new(),
            cmd: Vec::new(),
            bind: Vec::new(),
            bind_fds: Vec::new(),
            bound_ports: Vec::new(),
            script_name: None,
            respawn: true,
            upgrading: false,
            smooth_upgrade: false,
            reloading_for_upgrade: false,
            path: None,
            cmd_name: None,
            verbosity: default::VERBOSITY,
            generation: 0,
            last_spinup: None,
            ack_mode: AckMode::default(),
            kill_children_on_exit: false,
            command_socket_as_fd: false,
            socket_path: None,
            pidfile: None,
            lockfile: None,
            consecutive_deaths_before_ack: 0,
            last_upgraded: None,
            nice: Nice::default(),
            reexec_commandline: None,
            drop_environment_variables: Vec::new(),
            signal_timeout: None,
            preloaded: false,
            command_server: None,
            connections: Vec::new(),
            ack_timers: Vec::new(),
            ours: None,
        }
    }
}

/// `:config`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Target number of workers.
    pub number: Option<u32>,
    /// Listen backlog.
    pub backlog: Option<i32>,
    /// Least interval between gradual starts.
    pub seconds: Option<f64>,
    /// `--max-unacked`.
    pub max_unacked: Option<u32>,
    /// `--max-upgrade-additional`.
    pub max_upgrade_additional: Option<u32>,
}

/// An entry of `:children`.
#[derive(Clone, Debug, PartialEq)]
pub enum Child {
    /// A worker.
    Worker(WorkerChild),
    /// A Ruby master's own helper, to be reaped in silence.
    StatePasser,
}

/// A worker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkerChild {
    /// The upgrade generation that it belongs to.
    pub version: u64,
    /// It counts as up.
    pub acked: bool,
    /// Names of the signals by which it was asked to stop, without `SIG`.
    pub signaled: BTreeSet<String>,
    /// When it was asked to stop.
    pub last_signaled_at: Option<WallTime>,
    /// Its index; a Ruby master from before indexes has none.
    pub index: Option<u32>,
    /// When it was started.
    pub spinup_time: Option<WallTime>,
    /// When it last pinged.
    pub pinged_at: Option<WallTime>,
    /// What it said then, a scalar.
    pub pinged_request_id: Option<Value>,
}

/// An entry of `:bind`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bind {
    /// Host or address; `unix:` and a path for a unix socket.
    pub host: Bytes,
    /// Port; 0 for any, and for a unix socket.
    pub port: u16,
    /// `r` and `n`.
    pub flags: Vec<String>,
}

/// `:ack_mode`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AckMode {
    /// Workers say so.
    Manual,
    /// Seconds.
    Timer(f64),
}

impl Default for AckMode {
    fn default() -> Self {
        Self::Timer(default::ACK_SECONDS)
    }
}

/// `:nice`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nice {
    /// The master's level.
    pub master: Option<i32>,
    /// The workers' level.
    pub worker: Option<i32>,
    /// A Ruby master's command.
    pub renice_cmd: Option<Bytes>,
}

/// An `Einhorn::Event::Connection`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientConnection {
    /// Its descriptor.
    pub socket: i32,
    /// Received and not yet taken.
    pub read_buffer: Bytes,
    /// To be sent.
    pub write_buffer: Bytes,
    /// The id under which it follows upgrades.
    pub upgrade_subscription: Option<Value>,
}

/// An `Einhorn::Event::ACKTimer`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AckTimer {
    /// Seconds.
    pub time: f64,
    /// The worker's start.
    pub start: WallTime,
    /// The worker.
    pub pid: i32,
}

/// What no other master knows, under `:einhorn`.
#[expect(clippy::struct_excessive_bools, reason = "a key of the format each")]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ours {
    /// `--ack-timeout` in seconds; 0: never; absent: the default rule.
    pub ack_timeout: Option<f64>,
    /// `--ack-mode`, where a Ruby master has no such mode.
    pub ack_mode: Option<String>,
    /// The descriptor of the socket in `NOTIFY_SOCKET`.
    pub notify_fd: Option<i32>,
    /// `--stop-signal`, where it was chosen: its name without `SIG`.
    pub stop_signal: Option<String>,
    /// `--max-age` in seconds.
    pub max_age: Option<f64>,
    /// `--max-rss` in bytes.
    pub max_rss: Option<u64>,
    /// `--ping-timeout` in seconds.
    pub ping_timeout: Option<f64>,
    /// `--ping-signal`.
    pub ping_signal: Option<String>,
    /// `--fd-base`.
    pub fd_base: Option<u8>,
    /// `--listen-fds`.
    pub listen_fds: bool,
    /// `--allow-uid`, as typed.
    pub allow_uids: Vec<Bytes>,
    /// `--allow-gid`, as typed.
    pub allow_gids: Vec<Bytes>,
    /// `--chdir`.
    pub chdir: Option<Bytes>,
    /// What the versions that may be started run.
    pub versions: Vec<OurVersion>,
    /// `--gc-before-fork`.
    pub gc_before_fork: bool,
    /// `--preload-timeout` in seconds.
    pub preload_timeout: Option<f64>,
    /// Processes that have code loaded.
    pub preloaders: Vec<OurPreloader>,
    /// Listeners, aligned with `bind`.
    pub listeners: Vec<OurListener>,
    /// The command socket's file, as device and inode.
    pub command_socket_file: Option<(u64, u64)>,
    /// The soft limit of open descriptors that the first image was started with, which workers
    /// get, where the master has raised its own.
    pub open_files: Option<u64>,
    /// What is known of clients beyond the Ruby format, by descriptor.
    pub clients: BTreeMap<i32, OurClient>,
    /// What is known of workers beyond the Ruby format, by pid.
    pub workers: BTreeMap<i32, OurWorker>,
    /// The version that an upgrade would be rolled back to.
    pub committed_version: u64,
    /// The newest upgrade request.
    pub last_request: u64,
    /// What upgrades must prove, by the settings.
    pub rules: Rules,
    /// The same for the upgrade that the next image is to begin.
    pub next_rules: Option<Rules>,
    /// The upgrade in progress.
    pub upgrade: Option<OurUpgrade>,
    /// Requests before the newest wait for this reload too.
    pub superseding: bool,
    /// The target was reached once.
    pub fleet_was_up: bool,
    /// Log lines that nobody has taken yet; the first may have been begun.
    pub log_unwritten: Bytes,
    /// Log lines that were dropped and not reported yet.
    pub log_dropped: u64,
    /// The last start of a worker by the monotonic clock, in nanoseconds.
    pub last_spinup_monotonic: Option<u64>,
    /// Deaths before acknowledgement in a row of the version that an upgrade would be rolled
    /// back to.
    pub old_deaths_before_ack: u32,
    /// That version's last start by the monotonic clock, in nanoseconds.
    pub old_last_spinup_monotonic: Option<u64>,
}

impl Ours {
    /// The oldest format that says it all: who does not know it would lose what it says.
    pub fn format(&self) -> u64 {
        let has_slots = self.listeners.iter().any(|listener| listener.slot_fds.is_some());
        if has_slots { FORMAT } else { FORMAT_WITHOUT_SLOTS }
    }
}

/// What a version runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OurVersion {
    /// Which one.
    pub version: u64,
    /// Its program, resolved, and its arguments.
    pub command: Vec<Bytes>,
    /// `NAME=value` each; absent: what the next image has. Never shown.
    pub environment: Option<Vec<Bytes>>,
    /// Its folder, by the path that led there.
    pub folder: Option<Bytes>,
    /// The folder's descriptor.
    pub folder_fd: Option<i32>,
    /// Its files as they were.
    pub files: Vec<OurFile>,
}

/// A file of a version as it was when that began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OurFile {
    /// Which word of the command names it.
    pub word: u32,
    /// Where it was, without symlinks.
    pub real: Bytes,
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
    /// Length in bytes.
    pub size: u64,
    /// When it was last written, in nanoseconds since 1970.
    pub modified: u64,
}

/// What an upgrade must prove, and when it is given up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rules {
    /// `--canary`.
    pub canary: Option<u32>,
    /// `--soak` in seconds.
    pub soak: f64,
    /// `--upgrade-attempts`; absent: the default.
    pub attempts: Option<u32>,
    /// `--upgrade-timeout` in seconds.
    pub timeout: Option<f64>,
}

/// An upgrade in progress beyond the Ruby format.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OurUpgrade {
    /// The request that it carries out.
    pub request: u64,
    /// Its mode, which need not be that of the last request.
    pub smooth: bool,
    /// What it must prove.
    pub rules: Rules,
    /// The version that it is to bring in.
    pub to: u64,
    /// Its beginning by the monotonic clock, in nanoseconds.
    pub begun_monotonic: Option<u64>,
    /// Its canaries have proved themselves.
    pub canary_passed: bool,
    /// Newcomers that failed.
    pub failures: u32,
    /// The first of them: pid, if it had one.
    pub failed_pid: Option<i32>,
    /// The first of them: index.
    pub failed_index: u32,
    /// The first of them: how; absent if there was none.
    pub failed_reason: Option<String>,
    /// Set while it is being undone, to the code of its end.
    pub rollback: Option<String>,
    /// What made it go back.
    pub rollback_why: Option<String>,
}

/// A process that has code loaded and forks workers from it; or, without pid and channel, code
/// that could not be loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OurPreloader {
    /// Its pid.
    pub pid: Option<i32>,
    /// The descriptor on which it is spoken with.
    pub channel: Option<i32>,
    /// The version whose workers it forks; absent: the version of the next image.
    pub version: Option<u64>,
    /// By which its code is told from other code.
    pub words: Vec<Bytes>,
}

/// A listener beyond the Ruby format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OurListener {
    /// From `-b NAME=…`.
    pub name: Option<String>,
    /// The address as typed.
    pub typed: Bytes,
    /// A unix socket's file, as device and inode.
    pub unix_file: Option<(u64, u64)>,
    /// With `balance`: the descriptors of the slots from 1 on; that of slot 0 is in `bind_fds`.
    pub slot_fds: Option<Vec<i32>>,
}

/// A client beyond the Ruby format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OurClient {
    /// Its upgrade subscription is answered in JSON.
    pub json: bool,
    /// The upgrade request that it follows.
    pub request: u64,
}

/// A worker beyond the Ruby format.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OurWorker {
    /// Its start by the monotonic clock, in nanoseconds.
    pub spinup_monotonic: Option<u64>,
    /// When it was asked to stop, by the monotonic clock, in nanoseconds.
    pub signaled_monotonic: Option<u64>,
    /// When it was up by the monotonic clock, in nanoseconds.
    pub acked_monotonic: Option<u64>,
    /// It is up, and its soak is not over.
    pub soaking: bool,
    /// It is a newcomer of the upgrade in progress.
    pub newcomer: bool,
    /// It did not come up in time.
    pub failed: bool,
    /// Why another one is to take its place.
    pub stale: Option<String>,
    /// Its replacement has begun.
    pub recycling: bool,
    /// Its slot, where workers have slots.
    pub slot: Option<u32>,
    /// It ends of its own accord.
    pub retiring: bool,
    /// How it is, in its own words.
    pub status: Option<String>,
    /// The descriptor on which its newline says that it is up.
    pub ready_fd: Option<i32>,
    /// It has pinged, and then not for too long.
    pub silent: bool,
    /// It has been told of as one that does not stop.
    pub lingering: bool,
    /// Its last ping by the monotonic clock, in nanoseconds.
    pub pinged_monotonic: Option<u64>,
}
