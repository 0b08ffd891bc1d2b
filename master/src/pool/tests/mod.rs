//! Scripts of events and the actions that they must lead to, and random histories.

mod acknowledging;
mod culling;
mod histories;
mod recycling;
mod replenishing;
mod script;
mod slots;
mod stale;
mod stopping;
mod transactions;
mod upgrading;
