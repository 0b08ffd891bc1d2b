//! The sentences that must hold.

mod bad_input;
mod identity;
mod isolation;
mod messages;
mod sockets;
mod stopping;

use crate::{columns::Column, output::Failure};

/// A sentence, and the test of whether it holds.
pub struct Row {
    /// As the table has it.
    pub sentence: &'static str,
    /// `Err` says what was seen instead.
    pub holds: fn(&Column) -> Result<(), Failure>,
}

/// A case that is known not to hold.
pub struct Gap {
    /// The row.
    pub sentence: &'static str,
    /// The language.
    pub column: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// What does not hold, and why. There is nothing at present.
pub const GAPS: &[Gap] = &[];

/// Rows that must hold in every language.
pub const NO_GAPS: &[&str] = &[
    sockets::ONE.sentence,
    sockets::SEVERAL.sentence,
    messages::ACK_BY_PATH.sentence,
    messages::ACK_BY_DESCRIPTOR.sentence,
    stopping::IN_FLIGHT.sentence,
    stopping::TWICE.sentence,
    isolation::PRELOAD_FREE.sentence,
    identity::GRANDCHILD.sentence,
];

/// All rows, in the table's order.
pub const ROWS: &[Row] = &[
    sockets::NONE,
    sockets::ONE,
    sockets::SEVERAL,
    sockets::FROM_ONE,
    identity::INDEX,
    identity::GRANDCHILD,
    identity::OUTSIDE,
    identity::ORPHAN,
    messages::ACK_BY_PATH,
    messages::ACK_BY_DESCRIPTOR,
    messages::LATE_ACK,
    messages::DOUBLE_ACK,
    messages::ACK_IN_RELOAD,
    messages::PING,
    messages::SILENT,
    stopping::IN_FLIGHT,
    stopping::EXIT_STATUS,
    stopping::TWICE,
    isolation::PRELOAD_FREE,
    bad_input::VARIABLES,
    bad_input::DESCRIPTORS,
    bad_input::NOWHERE,
    bad_input::STRANGER,
    bad_input::NEVER_READS,
];
