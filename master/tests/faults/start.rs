//! The first start: what cannot be opened is named, and nothing is left behind.

use crate::support::{Folder, IDLE, Launch};
use crate::table::{Case, rows};

rows! {
    marking_descriptors: "descriptors that the master was started with are kept from workers",
        ["descriptor::mark_all_close_on_exec"], "close_range", [EMFILE, ENOMEM]
        => "it does not start: `cannot mark open descriptors`";
    marking_descriptors_one_by_one: "the same", ["descriptor::mark_all_close_on_exec"],
        "close_range", [ENOSYS, EPERM] => "it marks them one by one, as under older kernels";
    opening_the_lock_file: "the lock file is opened", ["files::open_or_create"], "open",
        [EACCES, EMFILE, ENFILE, ENOMEM, ENOSPC, EROFS]
        => "it does not start: `cannot lock PATH`";
    locking: "the lock is taken", ["files::try_lock"], "flock", [ENOLCK]
        => "it does not start: `cannot lock PATH`";
    making_the_command_socket: "the command socket is made", ["socket::listen_unix"], "socket",
        [EACCES, EMFILE, ENFILE, ENOMEM, ENOBUFS]
        => "it does not start: `cannot open the command socket PATH`";
    closing_the_command_socket_to_others: "the command socket gets its permissions",
        ["socket::listen_unix"], "fchmod", [EPERM, EROFS]
        => "it does not start: `cannot open the command socket PATH`; at no moment it was open to \
            others";
    binding_the_command_socket: "the command socket gets its path", ["socket::listen_unix"],
        "bind", [EACCES, ENOSPC, EROFS, ENOMEM]
        => "it does not start: `cannot open the command socket PATH`";
    listening_for_clients: "the command socket begins to listen", ["socket::listen_unix"],
        "listen", [EADDRINUSE, ENOBUFS]
        => "it does not start: `cannot open the command socket PATH`; the file is removed";
    making_the_pid_file: "the pid file is made", ["files::write_beside_and_rename"], "open",
        [EACCES, EMFILE, ENFILE, ENOSPC, EROFS]
        => "it does not start: `cannot write the pid file PATH`";
    writing_the_pid_file: "the pid file is written", ["files::write_beside_and_rename"], "write",
        [ENOSPC, EDQUOT, EIO] => "it does not start: `cannot write the pid file PATH`; what was \
            there before is as it was";
    writing_the_pid_file_in_pieces: "the pid file is written",
        ["files::write_beside_and_rename"], "write", [short, EINTR]
        => "it writes the rest; nobody sees half of it";
    putting_the_pid_file_in_place: "the pid file gets its name",
        ["files::write_beside_and_rename"], "rename", [EACCES, ENOSPC, EROFS]
        => "it does not start: `cannot write the pid file PATH`; nothing is left beside it";
    making_a_listener: "a socket for workers is made", ["socket::listen_internet"], "socket",
        [EACCES, EMFILE, ENFILE, ENOMEM, ENOBUFS]
        => "it does not start: `cannot bind ADDRESS`";
    binding_a_listener: "a socket for workers gets its address", ["socket::listen_internet"],
        "bind", [EACCES, EADDRINUSE, EADDRNOTAVAIL, ENOMEM]
        => "it does not start: `cannot bind ADDRESS`";
    sharing_an_address: "a socket for workers gets its options", ["socket::listen_internet"],
        "setsockopt", [ENOPROTOOPT, ENOMEM] => "it does not start: `cannot bind ADDRESS`";
    asking_for_the_port: "a socket is asked for its port", ["socket::local_address"],
        "getsockname", [ENOBUFS] => "it does not start: `cannot bind ADDRESS`";
    joining_a_group: "an address with `balance` is opened", ["reuseport::listen_first"],
        "setsockopt", [ENOPROTOOPT] => "it does not start: `cannot bind ADDRESS`";
    steering: "an address with `balance` is opened", ["reuseport::steer"], "setsockopt",
        [ENOPROTOOPT, ENOMEM, EPERM]
        => "it does not start: `cannot bind ADDRESS with balance`, and what that needs";
    making_the_notify_folder: "the folder for `-m notify` is made", [], "mkdir",
        [EACCES, ENOSPC, EROFS]
        => "it does not start: `cannot open the socket for -m notify at PATH`";
    asking_for_senders: "the socket for `-m notify` is told to say who sends",
        ["datagram::receive_at"], "setsockopt", [ENOPROTOOPT, ENOMEM]
        => "it does not start: `cannot open the socket for -m notify at PATH`";
    listening_to_signals: "signals are listened to", ["signals::SignalSource::new"], "signalfd",
        [EMFILE, ENFILE, ENOMEM]
        => "it does not start: `cannot listen to signals`; its files are removed";
    blocking_signals: "signals are blocked, to be listened to", ["signals::SignalSource::new"],
        "sigprocmask", [EPERM]
        => "it does not start: `cannot listen to signals`; its files are removed";
    making_the_poll: "the event loop is set up", [], "epoll_create", [EMFILE, ENFILE, ENOMEM]
        => "it does not start: `cannot set the event loop up`; its files are removed";
    filling_the_poll: "the event loop is set up", [], "epoll_ctl", [ENOMEM, ENOSPC]
        => "it does not start: `cannot set the event loop up`; its files are removed";
    being_nice: "the master's nice level is set (`--nice`)", ["priority::set_own"], "setpriority",
        [EACCES, EPERM] => "it says so and starts with the level that it has";
    raising_the_limit: "the limit of open files is raised", ["limits::raise_open_files", "limits::set_open_files"],
        "prlimit", [EPERM] => "it starts with the limit that it has";
    showing_a_title: "the title for `ps` is found", ["title::Title::take"], "open",
        [EACCES, EMFILE, ENOENT] => "it starts; `ps` shows the command line";
    knowing_the_folder: "the folder of the command socket is looked at", ["files::permissions"],
        "stat", [EACCES, EIO] => "it does not start: `cannot open the command socket PATH`";
    knowing_a_dead_socket: "a socket that is there already is tried", ["socket::connect_unix"],
        "connect", [EACCES, ENOMEM]
        => "it does not start, since somebody may listen there: `cannot open the command socket \
            PATH`";
    opening_to_others: "the command socket is opened to others (`--allow-uid`)",
        ["files::set_access"], "chmod", [EPERM, EROFS]
        => "it says so and starts; the command socket stays as narrow as it is";
    opening_to_a_group: "the command socket is given to a group (`--allow-gid`)",
        ["files::set_access"], "chown", [EPERM]
        => "it says so and starts; everybody may connect, and is asked who it is then";
    knowing_a_user: "a user is looked up (`--allow-uid NAME`)", ["credentials::uid_of"], "open",
        [EMFILE, ENFILE] => "it does not start: `--allow-uid NAME`, and why";
    knowing_a_group: "a group is looked up (`--allow-gid NAME`)", ["credentials::gid_of"], "open",
        [EMFILE, ENFILE] => "it does not start: `--allow-gid NAME`, and why";
    knowing_a_host: "a host is looked up (`-b HOST:PORT`)", ["socket::resolve"], "open",
        [EMFILE, ENFILE] => "it does not start: `cannot bind HOST:PORT`, and what the resolver says";
    knowing_the_former_master: "the pid file that is there is read", ["files::read_plain"], "open",
        [EACCES, EMFILE] => "it starts, without a word about who it named";
    opening_a_working_folder: "the workers' folder is opened (`--chdir`)", ["files::open_folder"],
        "open", [EACCES, EMFILE, ENOENT] => "it does not start: `--chdir PATH`, and why";
    entering_a_working_folder: "the same", ["files::open_folder", "files::may_execute"],
        "faccessat", [EACCES, EIO] => "it does not start: which file it was, and why";
    ignoring_the_size_limit: "the signal for files that are too large is ignored",
        ["signals::ignore_file_size_limit"], "sigaction", [EINVAL]
        => "it does not start: `cannot ignore SIGXFSZ`";
    keeping_the_notify_folder_closed: "the folder for `-m notify` gets its mode",
        ["files::set_folder_mode", "datagram::receive_at"], "fchmod", [EPERM, EROFS]
        => "it does not start: `cannot open the socket for -m notify at PATH`";
    knowing_whose_socket: "whose socket is there already is looked at", ["files::owner"], "stat",
        [EACCES, EIO] => "it does not start: `cannot bind ADDRESS`";
    finding_the_real_program: "the real path of the program is found", [], "readlink",
        [EACCES, EIO] => "it starts; a rollback would take what is at the path then";
    starting_the_only_worker: "the only worker of a new master is started",
        ["vfork::spawn_alone"], "fork", [EAGAIN, ENOMEM, EPERM]
        => "it is started as workers are later; only if that fails too it says so and tries again";
    running_the_only_worker: "the only worker of a new master becomes its program",
        ["vfork::spawn_alone"], "execve", [EACCES, ENOMEM, EIO]
        => "it is started once more, as workers are later; only if that fails too it says so";
    keeping_a_spare: "a descriptor is kept to spare", [], "open", [EMFILE, EACCES]
        => "it starts without one";
}

/// It does not start, for that reason and with this in the message, and nothing is left.
#[track_caller]
fn refuses(case: &Case, options: &[&str], fault: crate::kernel::Fault, words: &str) {
    let launch = Launch::new(options, &IDLE);
    let line = case.refused(launch, fault);
    assert!(line.contains(words) && line.contains(&case.reason()), "{line}");
}

/// It starts and can do its work.
#[track_caller]
fn starts(case: &Case, options: &[&str], fault: crate::kernel::Fault) -> crate::table::Bench {
    let bench = case.launch(Launch::new(options, &IDLE), vec![fault]);
    bench.master.wait_for_up(1);
    bench
}

const QUICK: [&str; 2] = ["-m", "0"];

fn starting_the_only_worker(case: &Case) {
    starts_at_the_second_try(case, case.fault().times(1));
}

fn running_the_only_worker(case: &Case) {
    starts_at_the_second_try(case, case.fault().of_children().times(1));
}

#[track_caller]
fn starts_at_the_second_try(case: &Case, fault: crate::kernel::Fault) {
    let bench = starts(case, &QUICK, fault);
    let log = bench.master.log.text();
    assert!(!log.contains("cannot"), "{log}");
    bench.lift();
}

fn marking_descriptors(case: &Case) {
    refuses(case, &QUICK, case.fault(), "cannot mark open descriptors");
}

fn marking_descriptors_one_by_one(case: &Case) {
    starts(case, &QUICK, case.fault()).lift();
}

fn opening_the_lock_file(case: &Case) {
    refuses(case, &QUICK, case.fault().path(1, "/einhorn.lock"), "cannot lock /");
}

fn locking(case: &Case) {
    refuses(case, &QUICK, case.fault(), "cannot lock /");
}

fn making_the_command_socket(case: &Case) {
    let fault = case.fault().argument(0, libc::AF_UNIX.into());
    refuses(case, &QUICK, fault, "cannot open the command socket /");
}

fn closing_the_command_socket_to_others(case: &Case) {
    refuses(case, &QUICK, case.fault(), "cannot open the command socket /");
}

fn binding_the_command_socket(case: &Case) {
    refuses(case, &QUICK, case.fault(), "cannot open the command socket /");
}

fn listening_for_clients(case: &Case) {
    refuses(case, &QUICK, case.fault(), "cannot open the command socket /");
}

fn making_the_pid_file(case: &Case) {
    refuses(case, &QUICK, case.fault().path(1, "/.einhorn.pid."), "cannot write the pid file /");
}

fn writing_the_pid_file(case: &Case) {
    let folder = Folder::new();
    folder.write("einhorn.pid", "what was there\n");
    let fault = case.fault().descriptor(0, "/.einhorn.pid.");
    let line = case.refused_with(Launch::within(folder, &QUICK, &IDLE), fault, |folder| {
        assert_eq!(folder.read("einhorn.pid"), "what was there\n");
        std::fs::remove_file(folder.join("einhorn.pid")).unwrap();
    });
    assert!(line.contains("cannot write the pid file /") && line.contains(&case.reason()));
}

fn writing_the_pid_file_in_pieces(case: &Case) {
    let fault = case.fault().descriptor(0, "/.einhorn.pid.").times(3);
    let bench = starts(case, &QUICK, fault);
    bench.lift();
    let master = &bench.master;
    assert_eq!(master.folder.read("einhorn.pid").trim(), master.pid().to_string());
}

fn putting_the_pid_file_in_place(case: &Case) {
    refuses(case, &QUICK, case.fault(), "cannot write the pid file /");
}

fn making_a_listener(case: &Case) {
    let fault = case.fault().argument(0, libc::AF_INET.into());
    refuses(case, &["-b", "127.0.0.1:0"], fault, "cannot bind 127.0.0.1:0");
}

fn binding_a_listener(case: &Case) {
    let fault = case.fault().family(1, libc::AF_INET);
    refuses(case, &["-b", "127.0.0.1:0"], fault, "cannot bind 127.0.0.1:0");
}

fn sharing_an_address(case: &Case) {
    let options = case.fault().argument(2, libc::SO_REUSEADDR.into());
    refuses(case, &["-b", "127.0.0.1:0,r"], options, "cannot bind 127.0.0.1:0");
    let only_ipv6 = case.fault().argument(1, libc::IPPROTO_IPV6.into());
    refuses(case, &["-b", "[::1]:0"], only_ipv6, "cannot bind [::1]:0");
}

fn asking_for_the_port(case: &Case) {
    refuses(case, &["-b", "127.0.0.1:0"], case.fault(), "cannot bind 127.0.0.1:0");
}

fn joining_a_group(case: &Case) {
    let fault = case.fault().argument(2, libc::SO_REUSEPORT.into());
    refuses(case, &["-b", "127.0.0.1:0,balance"], fault, "cannot bind 127.0.0.1:0");
}

fn steering(case: &Case) {
    let fault = case.fault().argument(2, libc::SO_ATTACH_REUSEPORT_CBPF.into());
    let words = "cannot bind 127.0.0.1:0 with balance";
    refuses(case, &["-b", "127.0.0.1:0,balance"], fault, words);
}

fn making_the_notify_folder(case: &Case) {
    refuses(case, &["-m", "notify"], case.fault(), "cannot open the socket for -m notify at /");
}

fn asking_for_senders(case: &Case) {
    let fault = case.fault().argument(2, libc::SO_PASSCRED.into());
    refuses(case, &["-m", "notify"], fault, "cannot open the socket for -m notify at /");
}

/// All that a master makes at its start.
fn everything(case: &Case, words: &str) {
    everything_but(case, case.fault(), words);
}

fn everything_but(case: &Case, fault: crate::kernel::Fault, words: &str) {
    let folder = Folder::new();
    let path = format!("unix:{}", folder.word("workers.sock"));
    let options = ["-m", "notify", "-b", &path, "-b", "127.0.0.1:0"];
    let line = case.refused(Launch::within(folder, &options, &IDLE), fault);
    assert!(line.contains(words) && line.contains(&case.reason()), "{line}");
}

fn listening_to_signals(case: &Case) {
    everything(case, "cannot listen to signals");
}

fn blocking_signals(case: &Case) {
    // The C library asks for others.
    let fault = case.fault().argument(0, libc::SIG_BLOCK.into());
    everything_but(case, fault, "cannot listen to signals");
}

fn making_the_poll(case: &Case) {
    everything(case, "cannot set the event loop up");
}

fn filling_the_poll(case: &Case) {
    everything(case, "cannot set the event loop up");
}

fn being_nice(case: &Case) {
    let bench = starts(case, &["-m", "0", "--nice", "5"], case.fault());
    let line = bench.master.wait_for_line("cannot set the master's nice level to 5");
    assert!(line.contains(&case.reason()), "{line}");
    bench.lift();
}

fn raising_the_limit(case: &Case) {
    // Only where something is set.
    starts(case, &QUICK, case.fault().only_if(|asked| asked.arguments[2] != 0));
}

fn showing_a_title(case: &Case) {
    let bench = starts(case, &["-m", "0", "-v"], case.fault().path(1, "/proc/self/stat"));
    bench.master.wait_for_line("ps shows the command line");
    bench.lift();
}

fn keeping_a_spare(case: &Case) {
    starts(case, &QUICK, case.fault().path(1, "/dev/null")).lift();
}

fn knowing_the_folder(case: &Case) {
    // Symlinks are followed, as for no file of its own.
    let fault = case.fault().only_if(|asked| asked.arguments[2] & NOT_FOLLOWED == 0);
    let folder = Folder::new();
    let path = folder.word("einhorn.sock");
    let launch = Launch::within(folder, &["-m", "0", "-d", &path], &IDLE);
    let line = case.refused(launch, fault.path(1, "/einhorn-test-").after(1));
    assert!(line.contains("cannot open the command socket"), "{line}");
    assert!(line.contains(&case.reason()), "{line}");
}

/// `AT_SYMLINK_NOFOLLOW`
const NOT_FOLLOWED: u64 = 0x100;

fn knowing_a_dead_socket(case: &Case) {
    let folder = Folder::new();
    folder.dead_socket("einhorn.sock");
    let launch = Launch::within(folder, &QUICK, &IDLE);
    let line = case.refused_with(launch, case.fault(), |folder| {
        std::fs::remove_file(folder.join("einhorn.sock")).unwrap();
    });
    assert!(line.contains("cannot open the command socket /"), "{line}");
    assert!(line.contains(&case.reason()), "{line}");
}

fn mode_of(bench: &crate::table::Bench) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(&bench.master.socket).unwrap().permissions().mode() & 0o777
}

fn opening_to_others(case: &Case) {
    let bench = starts(case, &["-m", "0", "--allow-uid", "3900012"], case.fault());
    let line = bench.master.wait_for_line("cannot set the mode of");
    assert!(line.contains(&case.reason()), "{line}");
    assert_eq!(mode_of(&bench), 0o600);
    bench.lift();
}

fn opening_to_a_group(case: &Case) {
    let bench = starts(case, &["-m", "0", "--allow-gid", "3900013"], case.fault());
    let line = bench.master.wait_for_line("to group 3900013: ");
    assert!(line.contains(&case.reason()), "{line}");
    assert_eq!(mode_of(&bench), 0o666);
    bench.lift();
}

fn knowing_a_user(case: &Case) {
    let fault = case.fault().path(1, "/etc/");
    refuses(case, &["-m", "0", "--allow-uid", "daemon"], fault, "--allow-uid daemon: ");
}

fn knowing_a_group(case: &Case) {
    let fault = case.fault().path(1, "/etc/");
    refuses(case, &["-m", "0", "--allow-gid", "daemon"], fault, "--allow-gid daemon: ");
}

fn knowing_a_host(case: &Case) {
    let fault = case.fault().path(1, "/etc/");
    let launch = Launch::new(&["-m", "0", "-b", "localhost:0"], &IDLE);
    let line = case.refused(launch, fault);
    assert!(line.contains("cannot bind localhost:0: "), "{line}");
}

fn knowing_the_former_master(case: &Case) {
    let folder = Folder::new();
    folder.write("einhorn.pid", "1\n");
    let fault = case.fault().path(1, "/einhorn.pid");
    let bench = case.launch(Launch::within(folder, &QUICK, &IDLE), vec![fault]);
    bench.master.wait_for_up(1);
    bench.lift();
    let master = &bench.master;
    assert_eq!(master.folder.read("einhorn.pid").trim(), master.pid().to_string());
}

fn opening_a_working_folder(case: &Case) {
    let fault = case.fault().path(1, "/usr/share");
    refuses(case, &["-m", "0", "--chdir", "/usr/share"], fault, "/usr/share");
}

fn entering_a_working_folder(case: &Case) {
    let fault = case.fault().path(1, "/usr/share");
    refuses(case, &["-m", "0", "--chdir", "/usr/share"], fault, "/usr/share");
    let line = case.refused(Launch::new(&QUICK, &["/bin/sleep", "1"]), case.fault());
    assert!(line.contains("/bin/sleep"), "{line}");
}

fn ignoring_the_size_limit(case: &Case) {
    let fault = case.fault().argument(0, libc::SIGXFSZ.into());
    refuses(case, &QUICK, fault, "cannot ignore SIGXFSZ");
}

fn keeping_the_notify_folder_closed(case: &Case) {
    let fault = case.fault().descriptor(0, ".notify");
    refuses(case, &["-m", "notify"], fault, "cannot open the socket for -m notify at /");
}

fn knowing_whose_socket(case: &Case) {
    let folder = Folder::new();
    let path = format!("unix:{}", folder.word("workers.sock"));
    folder.dead_socket("workers.sock");
    let launch = Launch::within(folder, &["-b", &path], &IDLE);
    let fault = case.fault().path(1, "/workers.sock").after(1);
    let line = case.refused_with(launch, fault, |folder| {
        std::fs::remove_file(folder.join("workers.sock")).unwrap();
    });
    assert!(line.contains("cannot bind unix:/") && line.contains(&case.reason()), "{line}");
}

fn finding_the_real_program(case: &Case) {
    starts(case, &QUICK, case.fault()).lift();
}
