//! The einhorn master, in layer order: a module uses only those of the groups above it, or of
//! its own.

pub mod moment;
pub mod psych;
pub mod signal;
pub mod sys;

pub mod log;
pub mod settings;

pub mod control;
pub mod options;
pub mod pool;

pub mod shell;

pub mod state;

pub mod commands;
pub mod finish;
pub mod spawn;
pub mod start;

pub mod instance;

pub mod handover;

pub mod event_loop;

pub mod run;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

#[cfg(test)]
mod simulation;
