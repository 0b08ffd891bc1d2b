//! A connection to a command socket.

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use einhorn_protocol::framing;
use serde_json::Value as Json;

use super::LONG;

/// A client that speaks bytes, JSON or YAML.
pub(crate) struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    pub(crate) fn connect(path: &Path) -> std::io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(LONG))?;
        stream.set_write_timeout(Some(LONG))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    pub(crate) fn stream(&self) -> &UnixStream {
        self.stream.get_ref()
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends what the other end may refuse to read to its end.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    #[track_caller]
    pub(crate) fn send_json(&mut self, request: &Json) {
        self.send(format!("{request}\n"));
    }

    /// The next line without its newline; none at the end.
    #[track_caller]
    pub(crate) fn line(&mut self) -> Option<String> {
        self.read_line().unwrap_or_else(|error| panic!("no reply: {error}"))
    }

    /// The next line without its newline; none at the end, and if nothing comes.
    pub(crate) fn line_if_any(&mut self) -> Option<String> {
        self.read_line().ok().flatten()
    }

    fn read_line(&mut self) -> std::io::Result<Option<String>> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(error),
        }
        assert_eq!(line.pop(), Some(b'\n'), "a reply without its newline");
        Ok(Some(String::from_utf8(line).unwrap()))
    }

    /// The next reply, which is JSON.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> Json {
        let line = self.line().expect("a reply, but the connection is closed");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// The next reply, which is YAML, as a document.
    #[track_caller]
    pub(crate) fn yaml_reply(&mut self) -> String {
        let line = self.line().expect("a reply, but the connection is closed");
        assert!(!line.starts_with('{'), "JSON: {line}");
        String::from_utf8(framing::unescape(line.as_bytes()).into_owned()).unwrap()
    }

    #[track_caller]
    pub(crate) fn ask(&mut self, request: &Json) -> Json {
        self.send_json(request);
        self.reply()
    }

    /// All replies up to the last one.
    #[track_caller]
    pub(crate) fn replies(&mut self) -> Vec<Json> {
        let mut replies = vec![self.reply()];
        while replies.last().is_some_and(|reply| reply["wait"] == true) {
            replies.push(self.reply());
        }
        replies
    }

    /// Whether the master has closed the connection without another word.
    #[track_caller]
    pub(crate) fn is_closed(&mut self) -> bool {
        self.line().is_none()
    }
}
