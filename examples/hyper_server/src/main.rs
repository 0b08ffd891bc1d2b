//! A worker on hyper and tokio: HTTP/1.1 with keep-alive.
//!
//! ```text
//! einhorn -b 127.0.0.1:7000 -n 2 -m manual target/debug/hyper_server
//! ```

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, error::Error, future::ready, time::Duration};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

/// Longest wait for clients that are connected and say nothing.
const DRAIN: Duration = Duration::from_secs(30);
/// Before accepting again after an error.
const PAUSE: Duration = Duration::from_millis(50);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = einhorn_worker::tcp_listener(0)?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let (ask, mut stopping) = watch::channel(false);
    einhorn_worker::on_graceful_shutdown(move || {
        ask.send_replace(true);
    })?;
    if einhorn_worker::is_worker() {
        tokio::task::spawn_blocking(einhorn_worker::ack).await??;
    }

    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|asked| *asked) => break,
        };
        let Ok((stream, _)) = accepted else {
            // One connection that is gone, or a lack of descriptors, which passes.
            sleep(PAUSE).await;
            continue;
        };
        let stopping = stopping.clone();
        let service = service_fn(move |_: Request<Incoming>| {
            ready(Ok::<_, Infallible>(hello(*stopping.borrow())))
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        connections.spawn(connection);
        while connections.try_join_next().is_some() {}
    }

    drop(listener);
    // hyper's own graceful shutdown ends idle connections at once, and a request may be on its
    // way on them; here each is answered once more and told to close.
    let drained = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(DRAIN, drained).await;
    Ok(())
}

fn hello(last: bool) -> Response<Full<Bytes>> {
    let text = format!("hello from {}\n", std::process::id());
    let mut response = Response::new(Full::from(text));
    if last {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
