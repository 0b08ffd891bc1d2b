//! The master as a [`Snapshot`]: what crosses a reload, and what `state` shows.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use einhorn_protocol::default;

use super::{listeners, versions};
use crate::control::{Connection, Dialect, Topic};
use crate::instance::Instance;
use crate::moment::Moment;
use crate::options::FdBase;
use crate::pool::{
    PendingReload, Pid, RequestNumber, Restored, Upgrade, UpgradeEnd, UpgradeMode, Worker,
};
use crate::settings::{AckMode, AckTimeout, Settings, UpgradeRules};
use crate::spawn::Versions;
use crate::start::{Listener, NotifySocket};
use crate::state::{
    self, AckTimer, Bytes, Child, ClientConnection, Config, OurClient, OurUpgrade, OurWorker, Ours,
    Snapshot, WorkerChild,
};
use crate::sys::files::Identity;

/// A client as far as it crosses.
pub struct ClientRecord<'a> {
    /// Its descriptor's number.
    pub descriptor: i32,
    /// Its buffers and subscriptions.
    pub connection: &'a Connection,
    /// The upgrade request that it follows.
    pub request: RequestNumber,
}

/// Writes the master down. `generation` is that of the image which will read it.
pub fn capture<'a>(
    instance: &Instance,
    pool: &Restored,
    versions: &Versions,
    clients: impl Iterator<Item = ClientRecord<'a>>,
    generation: u64,
    verbosity: u8,
) -> Snapshot {
    let launch = &instance.launch;
    let clients: Vec<ClientRecord<'a>> = clients.collect();
    Snapshot {
        orig_cmd: launch.orig_cmd.iter().map(|word| bytes(word)).collect(),
        cmd: instance.cmd.iter().map(|word| bytes(word)).collect(),
        bind: instance.listeners.iter().map(listeners::bind_of).collect(),
        bind_fds: instance
            .listeners
            .iter()
            .map(|listener| listener.descriptor.as_raw_fd())
            .collect(),
        bound_ports: instance.listeners.iter().map(Listener::bound_port).collect(),
        script_name: None,
        path: launch.preload.as_deref().map(path_bytes),
        cmd_name: launch.command_name.as_deref().map(bytes),
        verbosity,
        generation,
        kill_children_on_exit: launch.kill_children_on_exit,
        command_socket_as_fd: launch.command_socket_as_fd,
        socket_path: Some(path_bytes(&instance.files.command_socket)),
        pidfile: Some(path_bytes(&instance.files.pidfile)),
        lockfile: Some(path_bytes(&instance.files.lockfile)),
        nice: state::Nice {
            master: launch.nice.master,
            worker: launch.nice.worker,
            // A Ruby master does not count with none.
            renice_cmd: Some(
                launch
                    .nice
                    .renice_command
                    .as_deref()
                    .map_or_else(|| default::RENICE_COMMAND.as_bytes().to_vec(), bytes),
            ),
        },
        reexec_commandline: launch
            .reexec_as
            .as_ref()
            .map(|words| words.iter().map(|word| bytes(word)).collect()),
        drop_environment_variables: launch.drop_env_vars.iter().map(|name| bytes(name)).collect(),
        preloaded: false,
        command_server: Some(instance.command_socket.as_raw_fd()),
        connections: clients.iter().map(connection).collect(),
        ours: Some(ours(instance, pool, versions, &clients)),
        ..capture_pool(pool)
    }
}

/// The policy's part alone: all that `workers::restore` makes a pool of again.
pub(crate) fn capture_pool(pool: &Restored) -> Snapshot {
    Snapshot {
        children: children(&pool.workers),
        config: config(&pool.settings),
        version: pool.version,
        respawn: !pool.stopping,
        upgrading: pool.upgrade.is_some(),
        smooth_upgrade: pool.last_mode == UpgradeMode::Smooth,
        reloading_for_upgrade: pool.pending_reload.is_some_and(PendingReload::is_for_upgrade),
        last_spinup: pool.last_spinup.map(|at| at.wall),
        ack_mode: ack_mode(&pool.settings.ack_mode),
        consecutive_deaths_before_ack: pool.deaths_before_ack,
        last_upgraded: pool.last_upgraded.map(|at| at.wall),
        signal_timeout: pool.settings.signal_timeout.map(|wait| wait.as_secs_f64()),
        ack_timers: ack_timers(pool),
        ours: Some(our_pool(pool)),
        ..Snapshot::default()
    }
}

fn bytes(text: &OsStr) -> Bytes {
    text.as_bytes().to_vec()
}

fn path_bytes(path: &Path) -> Bytes {
    OsString::from(path).into_vec()
}

fn children(workers: &[Worker]) -> BTreeMap<Pid, Child> {
    let child = |worker: &Worker| {
        Child::Worker(WorkerChild {
            version: worker.version,
            acked: worker.acked,
            signaled: worker.signaled.iter().map(|signal| signal.name().to_string()).collect(),
            // To another master nothing has happened that it did not do itself.
            last_signaled_at: worker
                .last_signaled_at
                .filter(|_| !worker.signaled.is_empty())
                .map(|at| at.wall),
            index: Some(worker.index),
            spinup_time: Some(worker.spinup_time.wall),
            pinged_at: worker.pinged_at.map(|at| at.wall),
            pinged_request_id: worker.pinged_request_id.clone(),
        })
    };
    workers.iter().filter_map(|worker| Some((worker.pid?, child(worker)))).collect()
}

fn config(settings: &Settings) -> Config {
    Config {
        number: Some(settings.number),
        backlog: Some(settings.backlog),
        seconds: Some(settings.seconds),
        max_unacked: Some(settings.max_unacked.get()),
        max_upgrade_additional: settings.max_upgrade_additional.map(std::num::NonZeroU32::get),
    }
}

/// In a Ruby master's terms. One that has no such mode counts workers as up after the usual
/// time.
fn ack_mode(mode: &AckMode) -> state::AckMode {
    match mode {
        AckMode::Manual => state::AckMode::Manual,
        AckMode::Timer(time) => state::AckMode::Timer(time.as_secs_f64()),
        AckMode::Notify | AckMode::Descriptor | AckMode::Exec(_) => state::AckMode::default(),
    }
}

/// The mode that [`ack_mode`] cannot tell.
fn own_ack_mode(mode: &AckMode) -> Option<String> {
    mode.is_for_any_program().then(|| mode.to_string())
}

/// A Ruby master only counts a worker as up by a timer that it finds here.
fn ack_timers(pool: &Restored) -> Vec<AckTimer> {
    let state::AckMode::Timer(time) = ack_mode(&pool.settings.ack_mode) else {
        return Vec::new();
    };
    pool.workers
        .iter()
        .filter(|worker| !worker.acked && !worker.is_stopping())
        .filter_map(|worker| {
            Some(AckTimer { time, start: worker.spinup_time.wall, pid: worker.pid? })
        })
        .collect()
}

fn connection(client: &ClientRecord<'_>) -> ClientConnection {
    let subscription = client.connection.subscription(Topic::Upgrade);
    ClientConnection {
        socket: client.descriptor,
        read_buffer: client.connection.unread().to_vec(),
        write_buffer: client.connection.pending().to_vec(),
        upgrade_subscription: subscription.and_then(|address| address.id.clone()),
    }
}

fn ours(
    instance: &Instance,
    pool: &Restored,
    versions: &Versions,
    clients: &[ClientRecord<'_>],
) -> Ours {
    Ours {
        notify_fd: instance.notify_socket.as_ref().map(NotifySocket::number),
        fd_base: instance.launch.fd_base.map(|base| match base {
            FdBase::Zero => 0,
            FdBase::One => 1,
        }),
        allow_uids: instance.launch.allow_uids.iter().map(|name| bytes(name)).collect(),
        allow_gids: instance.launch.allow_gids.iter().map(|name| bytes(name)).collect(),
        chdir: instance.launch.chdir.as_deref().map(path_bytes),
        versions: versions::capture(versions, pool),
        gc_before_fork: instance.launch.gc_before_fork,
        preloaders: Vec::new(),
        listeners: instance.listeners.iter().map(listeners::ours_of).collect(),
        open_files: instance.open_files.and_then(|limit| limit.soft),
        command_socket_file: instance.command_socket_identity.map(device_and_inode),
        clients: clients.iter().filter_map(our_client).collect(),
        ..our_pool(pool)
    }
}

fn our_pool(pool: &Restored) -> Ours {
    let recycle = pool.settings.recycle;
    Ours {
        ack_timeout: match pool.settings.ack_timeout {
            AckTimeout::Default => None,
            AckTimeout::Never => Some(0.0),
            AckTimeout::After(time) => Some(time.as_secs_f64()),
        },
        ack_mode: own_ack_mode(&pool.settings.ack_mode),
        stop_signal: pool.settings.stop_signal.map(|signal| signal.name().to_string()),
        max_age: recycle.max_age.map(|age| age.as_secs_f64()),
        max_rss: recycle.max_rss,
        ping_timeout: recycle.ping_timeout.map(|span| span.as_secs_f64()),
        ping_signal: recycle.ping_signal.map(|signal| signal.name().to_string()),
        listen_fds: pool.settings.listen_fds,
        preload_timeout: Some(pool.settings.preload_timeout.as_secs_f64()),
        workers: pool.workers.iter().filter_map(our_worker).collect(),
        committed_version: pool.committed,
        last_request: pool.last_request,
        rules: rules(pool.settings.upgrade),
        next_rules: match pool.pending_reload {
            Some(PendingReload::Upgrade { rules: next, .. }) => Some(rules(next)),
            Some(PendingReload::Plain) | None => None,
        },
        upgrade: pool.upgrade.as_ref().map(our_upgrade),
        superseding: matches!(
            pool.pending_reload,
            Some(PendingReload::Upgrade { superseding: true, .. })
        ),
        fleet_was_up: pool.fleet_was_up,
        last_spinup_monotonic: pool.last_spinup.and_then(nanoseconds),
        old_deaths_before_ack: pool.old_deaths_before_ack,
        old_last_spinup_monotonic: pool.old_last_spinup.and_then(nanoseconds),
        ..Ours::default()
    }
}

fn device_and_inode(identity: Identity) -> (u64, u64) {
    (identity.device, identity.inode)
}

fn our_client(client: &ClientRecord<'_>) -> Option<(i32, OurClient)> {
    let address = client.connection.subscription(Topic::Upgrade)?;
    let json = address.dialect == Dialect::Json;
    Some((client.descriptor, OurClient { json, request: client.request }))
}

fn our_worker(worker: &Worker) -> Option<(Pid, OurWorker)> {
    Some((
        worker.pid?,
        OurWorker {
            spinup_monotonic: nanoseconds(worker.spinup_time),
            signaled_monotonic: worker.last_signaled_at.and_then(nanoseconds),
            acked_monotonic: worker.acked_at.and_then(nanoseconds),
            soaking: worker.acked && !worker.counts,
            newcomer: worker.newcomer,
            failed: worker.failed,
            stale: worker.stale.map(|stale| stale.name().to_string()),
            recycling: worker.recycling,
            slot: worker.slot,
            retiring: worker.retiring,
            status: worker.status.clone(),
            ready_fd: None,
            silent: worker.silent,
            lingering: worker.lingering,
            pinged_monotonic: worker.pinged_at.and_then(nanoseconds),
        },
    ))
}

fn rules(rules: UpgradeRules) -> state::Rules {
    state::Rules {
        canary: rules.canary,
        soak: rules.soak.as_secs_f64(),
        attempts: Some(rules.attempts),
        timeout: rules.timeout.map(|span| span.as_secs_f64()),
    }
}

fn our_upgrade(upgrade: &Upgrade) -> OurUpgrade {
    let failure = upgrade.first_failure.as_ref();
    let end = upgrade.rollback.as_ref().map(|rollback| &rollback.end);
    OurUpgrade {
        request: upgrade.request,
        smooth: upgrade.mode == UpgradeMode::Smooth,
        rules: rules(upgrade.rules),
        to: upgrade.to,
        begun_monotonic: nanoseconds(upgrade.begun),
        canary_passed: upgrade.canary_passed,
        failures: upgrade.failures,
        failed_pid: failure.and_then(|failure| failure.pid),
        failed_index: failure.map_or(0, |failure| failure.index),
        failed_reason: failure.map(|failure| failure.reason.clone()),
        rollback: end.map(|end| end.name().to_string()),
        rollback_why: end.and_then(|end| match end {
            UpgradeEnd::RolledBack { why, .. } => Some(why.clone()),
            _ => None,
        }),
    }
}

fn nanoseconds(at: Moment) -> Option<u64> {
    u64::try_from(at.monotonic.as_nanos()).ok()
}
