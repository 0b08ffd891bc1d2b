//! `einhorn_worker._einhorn_worker`: what the Python package calls.
//!
//! It turns values and errors into Python's and lets other Python threads run while it waits.
//! Documentation, types and exception classes are in Python.

use einhorn_worker::{Delivery, Error};
use pyo3::prelude::*;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};

#[pymodule(gil_used = true)]
mod _einhorn_worker {
    #[pymodule_export]
    use super::{
        ack, child_index, graceful_shutdown_fd, is_worker, on_graceful_shutdown, owned_fd, ping,
        socket_count, socket_fd,
    };
}

/// An error as the exception class that Python has for its kind.
fn raised(py: Python<'_>, error: &Error) -> PyErr {
    let class = py
        .import("einhorn_worker._errors")
        .and_then(|errors| errors.getattr("BY_KIND")?.get_item(error.kind().name()));
    match class.and_then(|class| class.call1((error.to_string(),))) {
        Ok(exception) => PyErr::from_value(exception),
        Err(broken) => broken,
    }
}

#[pyfunction]
fn is_worker() -> bool {
    einhorn_worker::is_worker()
}

#[pyfunction]
fn child_index() -> Option<u32> {
    einhorn_worker::child_index()
}

#[pyfunction]
fn socket_count() -> usize {
    einhorn_worker::socket_count()
}

#[pyfunction]
fn socket_fd(py: Python<'_>, n: usize) -> PyResult<RawFd> {
    einhorn_worker::socket_fd(n).map_err(|error| raised(py, &error))
}

/// The number of a duplicate that belongs to the caller from here on.
#[pyfunction]
fn owned_fd(py: Python<'_>, n: usize) -> PyResult<RawFd> {
    let owned = einhorn_worker::owned_fd(n).map_err(|error| raised(py, &error))?;
    Ok(owned.into_raw_fd())
}

#[pyfunction]
fn ack(py: Python<'_>) -> PyResult<()> {
    deliver(py, einhorn_worker::prepare_ack())
}

#[pyfunction]
fn ping(py: Python<'_>, request_id: &str) -> PyResult<()> {
    deliver(py, einhorn_worker::prepare_ping(request_id))
}

/// The environment has been read before other threads may run and change it.
fn deliver(py: Python<'_>, prepared: Result<Delivery, Error>) -> PyResult<()> {
    let outcome = prepared.and_then(|delivery| py.detach(|| delivery.deliver()));
    outcome.map_err(|error| raised(py, &error))
}

#[pyfunction]
fn on_graceful_shutdown(py: Python<'_>, callback: Py<PyAny>) -> PyResult<()> {
    let call = move || {
        // None where the interpreter is on its way out: nobody is left to be told.
        let _ = Python::try_attach(|py| {
            if let Err(error) = callback.call0(py) {
                error.write_unraisable(py, Some(callback.bind(py)));
            }
            drop(callback);
        });
    };
    einhorn_worker::on_graceful_shutdown(call).map_err(|error| raised(py, &error))
}

#[pyfunction]
fn graceful_shutdown_fd(py: Python<'_>) -> PyResult<RawFd> {
    let fd = einhorn_worker::graceful_shutdown_fd().map_err(|error| raised(py, &error))?;
    Ok(fd.as_raw_fd())
}
