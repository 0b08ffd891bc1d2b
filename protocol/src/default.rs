//! Defaults of the command line (`protocol.md §1`) and of file names (`§9`).

/// Listen backlog.
pub const BACKLOG: i32 = 100;
/// Workers.
pub const WORKERS: u32 = 1;
/// Seconds a worker must live to count as up where nothing else is said.
pub const ACK_SECONDS: f64 = 1.0;
/// Least seconds between two gradual spawns.
pub const SPAWN_SECONDS: f64 = 1.0;
/// Seconds in which a newcomer of an upgrade must be up.
pub const UPGRADE_ACK_TIMEOUT_SECONDS: f64 = 300.0;
/// Newcomers of an upgrade that may fail before it is given up.
pub const UPGRADE_ATTEMPTS: u32 = 5;
/// What a Ruby master runs for `--nice`. It is handed on to one; ours runs nothing.
pub const RENICE_COMMAND: &str = "/usr/bin/renice";
/// Seconds in which preloaded code must be loaded.
pub const PRELOAD_TIMEOUT_SECONDS: f64 = 300.0;
/// Verbosity: 0 debug, 1 info, 2 errors only.
pub const VERBOSITY: u8 = 1;
/// Stem of the default file names: `einhorn.sock`, `einhorn-NAME.sock`.
pub const FILE_STEM: &str = "einhorn";
/// Variables that name the folder of the default files, first usable first.
pub const FOLDER_VARIABLES: [&str; 3] = ["TMPDIR", "TMP", "TEMP"];
/// The folder when none of [`FOLDER_VARIABLES`] is usable.
pub const FOLDER: &str = "/tmp";
