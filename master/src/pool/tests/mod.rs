//! Scripts of events and the actions that they must lead to. Random histories are played by the
//! simulation.

mod abandoned_slots;
mod acknowledging;
mod actions;
mod culling;
mod lingering;
mod looks;
mod progress;
mod recycling;
mod replenishing;
mod restored_slots;
mod script;
mod slots;
mod stale;
mod stopping;
mod told;
mod transactions;
mod upgrading;
