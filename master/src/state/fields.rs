//! The tables: under which key each field crosses, and how much it matters.

use super::portable::Reader;
use super::record::{Kind, Record, Row, read_into, record, written};
use super::snapshot::{
    Config, Nice, OurClient, OurFile, OurListener, OurPreloader, OurUpgrade, OurVersion, OurWorker,
    Ours, Rules, Snapshot, WorkerChild,
};
use crate::psych::Value;

record!(Snapshot, {
    Essential children,
    Needed config,
    Needed version,
    Usual orig_cmd,
    Needed bind,
    Essential bind_fds,
    Usual bound_ports,
    Essential cmd,
    Usual script_name,
    Needed respawn,
    Needed upgrading,
    Usual smooth_upgrade,
    Usual reloading_for_upgrade,
    Usual path,
    Usual cmd_name,
    Usual verbosity,
    Usual generation,
    Usual last_spinup,
    Needed ack_mode,
    Usual kill_children_on_exit,
    Usual command_socket_as_fd,
    Needed socket_path,
    Usual pidfile,
    Usual lockfile,
    Usual consecutive_deaths_before_ack,
    Usual last_upgraded,
    Usual nice,
    Optional reexec_commandline,
    Usual drop_environment_variables,
    Usual signal_timeout,
    Usual preloaded,
});

record!(Config, {
    Needed number,
    Usual backlog,
    Usual seconds,
    Optional max_unacked,
    Optional max_upgrade_additional,
});

record!(WorkerChild, {
    Needed version,
    Needed acked,
    Needed signaled,
    Usual last_signaled_at,
    Usual index,
    Usual spinup_time,
    Optional pinged_at,
    Optional pinged_request_id,
});

record!(Nice, {
    Usual master,
    Usual worker,
    Usual renice_cmd,
});

record!(Ours, {
    Optional ack_timeout,
    Optional ack_mode,
    Optional notify_fd,
    Optional stop_signal,
    Optional max_age,
    Optional max_rss,
    Optional ping_timeout,
    Optional ping_signal,
    Optional fd_base,
    Usual listen_fds,
    Usual allow_uids,
    Usual allow_gids,
    Optional chdir,
    Optional versions,
    Usual gc_before_fork,
    Optional preload_timeout,
    Optional preloaders,
    Optional listeners,
    Optional command_socket_file,
    Optional open_files,
    Optional clients,
    Optional workers,
    Usual committed_version,
    Usual last_request,
    Usual rules,
    Optional next_rules,
    Optional upgrade,
    Usual superseding,
    Usual fleet_was_up,
    Usual log_unwritten,
    Usual log_dropped,
    Optional last_spinup_monotonic,
    Usual old_deaths_before_ack,
    Optional old_last_spinup_monotonic,
});

record!(OurVersion, {
    Usual version,
    Usual command,
    Optional environment,
    Optional folder,
    Optional folder_fd,
    Usual files,
});

record!(OurFile, {
    Usual word,
    Usual real,
    Usual device,
    Usual inode,
    Usual size,
    Usual modified,
});

record!(Rules, {
    Optional canary,
    Usual soak,
    Optional attempts,
    Optional timeout,
});

record!(OurUpgrade, {
    Usual request,
    Usual smooth,
    Usual rules,
    Usual to,
    Optional begun_monotonic,
    Usual canary_passed,
    Usual failures,
    Optional failed_pid,
    Usual failed_index,
    Optional failed_reason,
    Optional rollback,
    Optional rollback_why,
});

record!(OurPreloader, {
    Optional pid,
    Optional channel,
    Optional version,
    Usual words,
});

record!(OurListener, {
    Optional name,
    Usual typed,
    Optional unix_file,
    Optional slot_fds,
});

record!(OurClient, {
    Usual json,
    Usual request,
});

record!(OurWorker, {
    Optional spinup_monotonic,
    Optional signaled_monotonic,
    Optional acked_monotonic,
    Usual soaking,
    Usual newcomer,
    Usual failed,
    Optional stale,
    Usual recycling,
    Optional slot,
    Usual retiring,
    Optional status,
    Optional ready_fd,
    Usual silent,
    Usual lingering,
    Optional pinged_monotonic,
});
