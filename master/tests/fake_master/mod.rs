//! A server that says what a test tells it to, on a socket of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::Uid;
use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for a client; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Listens until its one client has been served.
pub(crate) struct FakeMaster {
    folder: TempDir,
    thread: JoinHandle<()>,
}

impl FakeMaster {
    /// Serves the first client with `serve`.
    pub(crate) fn start(serve: impl FnOnce(Client) + Send + 'static) -> Self {
        Self::start_as("einhorn.sock", None, serve)
    }

    /// Serves on a socket of that name, as the user `uid` if given.
    pub(crate) fn start_as(
        name: &str,
        uid: Option<u32>,
        serve: impl FnOnce(Client) + Send + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let path = folder.path().join(name);
        let (listening, listens) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            if let Some(uid) = uid {
                let uid = Uid::from_raw(uid);
                rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
            }
            let listener = UnixListener::bind(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
            listening.send(()).unwrap();
            let (stream, _) = listener.accept().unwrap();
            drop(listener);
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            serve(Client { stream: BufReader::new(stream) });
        });
        listens.recv().unwrap();
        Self { folder, thread }
    }

    /// The folder that the socket is in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The path of the socket.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("einhorn.sock")
    }

    /// Fails if the client did not do what was expected of it.
    #[track_caller]
    pub(crate) fn finish(self) {
        // Whoever still waits for a client gets one that says nothing.
        for file in fs::read_dir(self.folder.path()).unwrap() {
            let _ = UnixStream::connect(file.unwrap().path());
        }
        assert!(self.thread.join().is_ok(), "the client did something else");
    }
}

/// The client's end of a request.
pub(crate) struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// The next request.
    pub(crate) fn request(&mut self) -> Value {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// The next request must be this command with these arguments; its id.
    #[track_caller]
    pub(crate) fn expect(&mut self, words: &[&str]) -> Value {
        let request = self.request();
        assert_eq!(request["command"], words[0]);
        assert_eq!(request["args"], Value::from(&words[1..]));
        request["id"].clone()
    }

    /// Sends `text` as it is.
    pub(crate) fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Replies in JSON, with further keys.
    pub(crate) fn reply(&mut self, id: &Value, message: &str, more: Value) {
        let mut reply = more;
        reply["message"] = message.into();
        reply["request_id"] = id.clone();
        self.send(&format!("{reply}\n"));
    }

    /// The last reply to a command that went well.
    pub(crate) fn done(&mut self, id: &Value, message: &str) {
        self.reply(id, message, serde_json::json!({}));
    }

    /// Nothing more comes, and the client leaves.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
    }
}
