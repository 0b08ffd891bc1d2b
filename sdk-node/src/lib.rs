//! The compiled part of the npm package: what `index.js` calls.
//!
//! It turns values into JavaScript's. What fails comes back as a [`Failure`], of which
//! `index.js` makes an `Error` with a `code`; nothing here throws but for arguments of a wrong
//! type, which `index.js` has checked.

#![expect(clippy::needless_pass_by_value, reason = "napi hands over strings, not slices")]

use einhorn_worker::{Delivery, Error};
use napi::{Either, Env, Result, Task, bindgen_prelude::AsyncTask};
use napi_derive::napi;
use std::os::fd::IntoRawFd;

/// What went wrong, for JavaScript to throw.
#[napi(object)]
pub struct Failure {
    /// `EINHORN_` and the name of the kind.
    pub code: String,
    /// One line that names the variable, its value and the reason.
    pub message: String,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { code: format!("EINHORN_{}", error.kind().name()), message: error.to_string() }
    }
}

/// A value, or what went wrong.
type Outcome<T> = Either<T, Failure>;

fn outcome<T>(result: einhorn_worker::Result<T>) -> Outcome<T> {
    result.map_or_else(|error| Either::B(error.into()), Either::A)
}

/// Whether a master started this very process.
#[napi(catch_unwind)]
pub fn is_worker() -> bool {
    einhorn_worker::is_worker()
}

/// This worker's index.
#[napi(catch_unwind)]
pub fn child_index() -> Option<u32> {
    einhorn_worker::child_index()
}

/// How many sockets the master opened.
#[napi(catch_unwind)]
pub fn socket_count() -> u32 {
    u32::try_from(einhorn_worker::socket_count()).unwrap_or(u32::MAX)
}

/// The inherited descriptor of socket `n`.
#[napi(catch_unwind)]
pub fn socket_fd(n: u32) -> Outcome<i32> {
    outcome(einhorn_worker::socket_fd(index(n)))
}

/// A duplicate of socket `n`'s descriptor, which belongs to the caller from here on.
#[napi(catch_unwind)]
pub fn owned_fd(n: u32) -> Outcome<i32> {
    outcome(einhorn_worker::owned_fd(index(n)).map(IntoRawFd::into_raw_fd))
}

fn index(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// Resolves to null once the master has taken the acknowledgement.
#[napi(catch_unwind)]
pub fn ack() -> AsyncTask<Sending> {
    AsyncTask::new(Sending(Some(einhorn_worker::prepare_ack())))
}

/// Resolves to null once the master has taken the sign of life.
#[napi(catch_unwind)]
pub fn ping(request_id: String) -> AsyncTask<Sending> {
    AsyncTask::new(Sending(Some(einhorn_worker::prepare_ping(&request_id))))
}

/// A message on its way. The environment was read in JavaScript's own thread; another waits.
pub struct Sending(Option<einhorn_worker::Result<Delivery>>);

impl Task for Sending {
    type Output = Option<Failure>;
    type JsValue = Option<Failure>;

    fn compute(&mut self) -> Result<Self::Output> {
        let prepared = self.0.take();
        let sent = prepared.map(|prepared| prepared.and_then(Delivery::deliver));
        Ok(sent.and_then(std::result::Result::err).map(Failure::from))
    }

    fn resolve(&mut self, _env: Env, output: Self::Output) -> Result<Self::JsValue> {
        Ok(output)
    }
}
