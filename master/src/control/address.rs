//! Where a reply goes: the dialect of the request and the id it came with. The connection
//! itself is known to whoever keeps the connections.

use super::dialect::Dialect;
use crate::psych::Value;

/// How to answer one request.
#[derive(Clone, Debug, PartialEq)]
pub struct ReturnAddress {
    /// The language of the request.
    pub dialect: Dialect,
    /// The request's id; without one a reply has neither `request_id` nor `wait`.
    pub id: Option<Value>,
}

impl ReturnAddress {
    /// The address of a request without an id.
    pub fn anonymous(dialect: Dialect) -> Self {
        Self { dialect, id: None }
    }

    /// The address of a request with the id `id`.
    pub fn new(dialect: Dialect, id: Value) -> Self {
        Self { dialect, id: Some(id) }
    }

    /// Bytes that keeping the address costs, roughly.
    pub(super) fn held(&self) -> usize {
        let text = match &self.id {
            Some(Value::String(text) | Value::Symbol(text) | Value::BigInteger(text)) => {
                text.capacity()
            }
            Some(Value::Bytes(bytes)) => bytes.capacity(),
            _ => 0,
        };
        text.saturating_add(size_of::<Self>())
    }
}
