//! `become_worker` against a master that this program plays; started again with
//! `EINHORN_PRELOAD_FD` it is the program that is preloaded. Its own main, since the test
//! runner's threads would be in the way.

#![expect(clippy::disallowed_methods, reason = "tests start the processes that they observe")]

#[cfg(target_os = "linux")]
fn main() {
    match std::env::var_os("EINHORN_PRELOAD_FD") {
        Some(_) => preloaded::main(),
        None => master::main(),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    einhorn_worker::become_worker().unwrap();
}

#[cfg(target_os = "linux")]
mod preloaded {
    use std::{env, io::Write as _, process};

    /// Answers one connection, acknowledges, and waits for the request to stop.
    pub(super) fn main() {
        if env::var_os("START_A_THREAD").is_some() {
            std::thread::spawn(std::thread::park);
        }
        let loaded = String::from("loaded once");
        print!("printed once");
        if let Err(error) = einhorn_worker::become_worker() {
            eprintln!("{error}");
            process::exit(3);
        }
        let stop = einhorn_worker::graceful_shutdown_fd().unwrap();
        let listener = einhorn_worker::tcp_listener(0).unwrap();
        einhorn_worker::ack().unwrap();
        let (mut client, _) = listener.accept().unwrap();
        let index = einhorn_worker::child_index().unwrap();
        let forgotten = env::var_os("EINHORN_PRELOAD_FD").is_none();
        write!(client, "{index} {loaded} {forgotten}").unwrap();
        drop(client);
        let mut events = [rustix::event::PollFd::new(&stop, rustix::event::PollFlags::IN)];
        while rustix::event::poll(&mut events, None).is_err() {}
    }
}

#[cfg(target_os = "linux")]
mod master {
    use rustix::{
        io::{FdFlags, fcntl_setfd},
        net::{
            AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
            SocketFlags, SocketType, recv, sendmsg, socketpair,
        },
        process::{
            Pid, Signal, WaitOptions, WaitStatus, getpgid, kill_process, set_child_subreaper,
            waitpid,
        },
    };
    use std::{
        collections::BTreeSet,
        env, fs,
        io::{BufRead as _, BufReader, IoSlice, Read as _},
        mem::MaybeUninit,
        net::{TcpListener, TcpStream},
        os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
        os::unix::net::UnixListener,
        process::{Child, Command, Stdio},
    };

    pub(super) fn main() {
        set_child_subreaper(Some(rustix::process::getpid())).unwrap();
        einhorn_worker::become_worker().unwrap();
        a_worker_is_forked_and_finds_what_it_was_sent();
        a_worker_without_its_master_does_not_begin();
        threads_are_refused();
        other_descriptors_are_refused();
        println!("preload: ok");
    }

    struct Preloader {
        process: Child,
        channel: OwnedFd,
    }

    impl Preloader {
        fn start(variables: &[(&str, &str)]) -> Self {
            let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
            let (near, far) = socketpair(family, kind, SocketFlags::CLOEXEC, None).unwrap();
            fcntl_setfd(&far, FdFlags::empty()).unwrap();
            let process = Command::new(env::current_exe().unwrap())
                .env("EINHORN_PRELOAD_FD", far.as_raw_fd().to_string())
                .envs(variables.iter().copied())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            Self { process, channel: near }
        }

        fn hear(&self) -> String {
            let mut message = vec![0; 1 << 16];
            let heard = recv(&self.channel, message.as_mut_slice(), RecvFlags::empty());
            message.truncate(heard.unwrap().1);
            String::from_utf8(message).unwrap()
        }

        fn send(&self, message: &str, descriptors: &[BorrowedFd<'_>]) {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() {
                assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
            }
            let parts = [IoSlice::new(message.as_bytes())];
            sendmsg(&self.channel, &parts, &mut control, SendFlags::empty()).unwrap();
        }

        /// The pid of the worker that it has forked for request `id`.
        fn forked(&self, id: &str) -> Pid {
            let answer = self.hear();
            let pid = answer.strip_prefix(&format!("forked\0id {id}\0pid ")).expect(&answer);
            Pid::from_raw(pid.parse().unwrap()).unwrap()
        }

        fn pid(&self) -> Pid {
            Pid::from_raw(self.process.id().try_into().unwrap()).unwrap()
        }

        /// Its exit status when the channel is closed, and what it has printed.
        fn leave(self) -> (Option<i32>, String) {
            drop(self.channel);
            let output = self.process.wait_with_output().unwrap();
            let printed = [output.stdout, output.stderr].concat();
            (output.status.code(), String::from_utf8(printed).unwrap())
        }
    }

    fn status_of(pid: Pid) -> WaitStatus {
        waitpid(Some(pid), WaitOptions::empty()).unwrap().unwrap().1
    }

    /// The sockets that a process has open.
    fn sockets(pid: Pid) -> BTreeSet<String> {
        let entries = fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).unwrap();
        let links = entries.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
        let links = links.map(|link| link.to_str().unwrap().to_owned());
        links.filter(|link| link.starts_with("socket:")).collect()
    }

    fn socket(descriptor: impl AsFd) -> String {
        let path = format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd());
        fs::read_link(path).unwrap().to_str().unwrap().to_owned()
    }

    fn a_worker_is_forked_and_finds_what_it_was_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sock");
        let command_socket = UnixListener::bind(&path).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let preloader = Preloader::start(&[]);
        assert_eq!(preloader.hear(), "ready\0edition 1");
        // What it does not know, and what is not whole, is skipped.
        preloader.send("spoon", &[]);
        preloader.send("fork\0id 1\0descriptors 2", &[listener.as_fd()]);
        let (master, path) = (std::process::id(), path.to_str().unwrap());
        for index in 0..2 {
            let request = format!(
                "fork\0id {index}x\0descriptors 1\0set EINHORN_MASTER_PID={master}\0set \
                 EINHORN_SOCK_PATH={path}\0set EINHORN_FD_COUNT=1\0numbers EINHORN_FD_0=0\0set \
                 EINHORN_CHILD_INDEX={index}\0parent-death 12"
            );
            preloader.send(&request, &[listener.as_fd()]);
            let worker = preloader.forked(&format!("{index}x"));
            let (client, _) = command_socket.accept().unwrap();
            let mut line = String::new();
            BufReader::new(client).read_line(&mut line).unwrap();
            assert!(line.contains(&worker.as_raw_nonzero().to_string()), "{line}");
            assert_eq!(getpgid(Some(worker)).unwrap(), worker);
            let mut answer = String::new();
            let client = TcpStream::connect(listener.local_addr().unwrap());
            client.unwrap().read_to_string(&mut answer).unwrap();
            assert_eq!(answer, format!("{index} loaded once true"));
            // The preloader has its channel and no more; the worker has not that.
            let of_preloader = sockets(preloader.pid());
            assert_eq!(of_preloader.len(), 1, "{of_preloader:?}");
            let of_worker = sockets(worker);
            assert!(of_worker.contains(&socket(&listener)), "{of_worker:?}");
            assert!(of_worker.is_disjoint(&of_preloader), "{of_worker:?}");
            kill_process(worker, Signal::USR2).unwrap();
            assert_eq!(status_of(worker).exit_status(), Some(0));
        }
        assert_eq!(preloader.leave(), (Some(0), "printed once".to_owned()));
    }

    fn a_worker_without_its_master_does_not_begin() {
        let preloader = Preloader::start(&[]);
        preloader.hear();
        preloader.send("fork\0id 1\0set EINHORN_MASTER_PID=1", &[]);
        let worker = preloader.forked("1");
        assert_eq!(status_of(worker).exit_status(), Some(1));
        assert_eq!(preloader.leave().0, Some(0));
    }

    fn threads_are_refused() {
        let preloader = Preloader::start(&[("START_A_THREAD", "1")]);
        let said = preloader.hear();
        let reason = "cannot fork workers: 2 threads run already, of which a worker would have \
                      one; start them after become_worker";
        assert_eq!(said, format!("failed\0reason {reason}"));
        let (status, printed) = preloader.leave();
        assert_eq!(status, Some(3));
        assert!(printed.contains(reason), "{printed}");
    }

    fn other_descriptors_are_refused() {
        for (number, problem) in [
            ("1000", "EINHORN_PRELOAD_FD is 1000, but descriptor 1000 is not open"),
            ("0", "EINHORN_PRELOAD_FD is 0, but descriptor 0 is not a socket"),
            ("x", "EINHORN_PRELOAD_FD is \"x\", but must be the number of a descriptor"),
        ] {
            let output = Command::new(env::current_exe().unwrap())
                .env("EINHORN_PRELOAD_FD", number)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(3));
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains(problem), "{said}");
        }
    }
}
