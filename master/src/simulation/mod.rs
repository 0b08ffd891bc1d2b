//! The real policy in a simulated world of workers, clocks, clients and kernels that fail.
//!
//! Random histories, each made from a seed, are played step by step; after every step the
//! invariants hold, and once the world behaves the pool settles at its target. A history that
//! breaks one is shrunk, and printed as a script with the seed that replays it.
//!
//! `make sim` plays at least a million steps, `make sim SEED=n` replays one history; a bounded
//! share is part of the unit tests. To add something that may happen: a variant of
//! [`step::Step`], a line with its weight in [`step::steps`], and what it does in [`play`].
//!
//! Nothing of the policy or of the state's writer and reader is replaced by a fake here: what is
//! simulated is outside of them.

mod callers;
mod clock;
mod invariants;
mod kernel;
mod play;
mod reached;
mod reload;
mod run;
mod settings;
mod settle;
mod step;
mod world;
