//! The built programs as others see them: command lines, files, signals, sockets, processes.
//!
//! A file a subject. Everything runs side by side, each master in a folder of its own, and
//! nothing depends on how fast the machine is: the tests wait for events, and every wait has
//! a generous end.
#![expect(clippy::disallowed_methods, reason = "tests start and time the processes they observe")]

mod access;
mod balance;
mod command_line;
mod command_socket_hostile;
mod commands;
mod descriptors;
mod einhornsh_with_master;
mod files;
mod hygiene;
mod inherit;
mod json_and_yaml;
mod kill_children;
mod limits;
mod listen_fds;
mod listeners;
mod logging;
mod nested;
mod no_connection_lost;
mod readiness_by_check;
mod readiness_by_descriptor;
mod readiness_by_notification;
mod readiness_under_load;
mod recycling;
mod reload;
mod reload_refused;
mod ruby_faults;
mod signals;
mod start;
mod stop_signal;
mod storms;
mod support;
mod upgrade;
mod upgrade_acknowledged_by_another;
mod upgrade_budgets;
mod upgrade_recipes;
mod upgrade_releases;
mod upgrade_ruby_client;
mod upgrade_under_load;
mod worker;
mod worker_environment;
