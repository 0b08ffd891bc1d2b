//! Nothing in the handbook is stale: what is made is as it would be made now, what the code has is
//! told, what is told is there, and what can be run runs.

mod completions;
mod documented;
mod exchange;
mod guarantees;
mod install;
mod links;
mod made;
mod map;
mod runnable;
mod support;
mod workers;
