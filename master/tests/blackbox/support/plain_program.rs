//! A server that never heard of einhorn: it ends gracefully by SIGTERM, and says that it is
//! ready in one of the ways that are not ours.

/// Serves the first socket. Its words: the version that it answers with, how it says that it is
/// ready, and where.
const PROGRAM: &str = r#"
import os, select, signal, socket, sys
version, how = sys.argv[1:3]
asked, ask = os.pipe()
os.set_blocking(ask, False)
signal.signal(signal.SIGTERM, lambda *_: None)
signal.set_wakeup_fd(ask)
listener = socket.socket(fileno=int(os.environ["EINHORN_FD_0"]))
listener.setblocking(False)
if how == "notify":
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
if how == "file":
    open(f"ready.{os.getpid()}", "w").close()
if how == "fd":
    number = int(os.environ["EINHORN_READY_FD"])
    if "LISTEN_FDS" in os.environ:
        assert os.environ["LISTEN_PID"] == str(os.getpid())
        assert listener.fileno() == 3 and number >= 3 + int(os.environ["LISTEN_FDS"])
    os.write(number, b"ready\n")
    os.close(number)
while True:
    readable, _, _ = select.select([listener, asked], [], [])
    if asked in readable:
        break
    try:
        client, _ = listener.accept()
    except BlockingIOError:
        continue
    client.setblocking(True)
    if client.recv(64):
        client.sendall(f"{os.getpid()} - {version}\n".encode())
    client.close()
"#;

/// What a release's script becomes.
pub(crate) fn serves(version: &str, words: &[&str]) -> String {
    assert!(!PROGRAM.contains('\''));
    format!("exec python3 -c '{PROGRAM}' {version} {}", words.join(" "))
}
