//! What the system tells of another process: its memory, and what it waits for (proc(5)).
//!
//! A process may end while it is looked at; that is an error like any other.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write as _};

use super::process::Pid;
use super::reason;

/// Longest path below `/proc/PID/` that is read here.
const PATH_BYTES_MAX: usize = 48;

/// More than any of these files holds, but for `status`, of which the beginning is enough.
const FILE_BYTES_MAX: usize = 512;

/// System calls in which a process waits. The ones after which it has a descriptor as its first
/// argument come with `true`.
#[rustfmt::skip]
const CALLS: &[(libc::c_long, &str, bool)] = &[
    (libc::SYS_read, "read", true),
    (libc::SYS_readv, "readv", true),
    (libc::SYS_write, "write", true),
    (libc::SYS_writev, "writev", true),
    (libc::SYS_accept, "accept", true),
    (libc::SYS_accept4, "accept4", true),
    (libc::SYS_connect, "connect", true),
    (libc::SYS_recvfrom, "recvfrom", true),
    (libc::SYS_recvmsg, "recvmsg", true),
    (libc::SYS_sendto, "sendto", true),
    (libc::SYS_sendmsg, "sendmsg", true),
    (libc::SYS_epoll_pwait, "epoll_pwait", true),
    (libc::SYS_fsync, "fsync", true),
    (libc::SYS_fdatasync, "fdatasync", true),
    (libc::SYS_flock, "flock", true),
    (libc::SYS_fcntl, "fcntl", true),
    (libc::SYS_ppoll, "ppoll", false),
    (libc::SYS_pselect6, "pselect6", false),
    (libc::SYS_futex, "futex", false),
    (libc::SYS_nanosleep, "nanosleep", false),
    (libc::SYS_clock_nanosleep, "clock_nanosleep", false),
    (libc::SYS_wait4, "wait4", false),
    (libc::SYS_waitid, "waitid", false),
    (libc::SYS_rt_sigtimedwait, "rt_sigtimedwait", false),
    (libc::SYS_rt_sigsuspend, "rt_sigsuspend", false),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_poll, "poll", false),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_select, "select", false),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_epoll_wait, "epoll_wait", true),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_pause, "pause", false),
];

/// What a process waits for, as far as it can be read. Each is text or why there is none.
#[derive(Debug)]
pub struct Waits {
    state: io::Result<String>,
    call: io::Result<String>,
    channel: io::Result<String>,
}

/// The memory that a process has resident, in bytes.
///
/// # Errors
/// Those of reading `/proc/PID/statm`; it makes no sense.
pub fn resident_bytes(pid: Pid) -> io::Result<u64> {
    let mut buffer = [0; FILE_BYTES_MAX];
    let text = read(pid, "statm", &mut buffer)?;
    resident_pages(text)
        .map(|pages| pages.saturating_mul(rustix::param::page_size() as u64))
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// What a process waits for. Its first thread speaks for it.
pub fn waits(pid: Pid) -> Waits {
    let look = |name: &str, shown: fn(&str) -> Option<String>| {
        let mut buffer = [0; FILE_BYTES_MAX];
        let text = read(pid, name, &mut buffer)?;
        shown(text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    };
    Waits {
        state: look("status", state_in),
        call: look("syscall", call_in),
        channel: look("wchan", |text| Some(channel_in(text))),
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |told: &io::Result<String>| match told {
            Ok(text) => text.clone(),
            Err(error) => format!("unknown ({})", reason(error)),
        };
        let (state, call, channel) = (told(&self.state), told(&self.call), told(&self.channel));
        write!(f, "state {state}, system call {call}, kernel wait channel {channel}")
    }
}

/// Without an allocation: many processes may be looked at.
fn read<'a>(pid: Pid, name: &str, buffer: &'a mut [u8; FILE_BYTES_MAX]) -> io::Result<&'a str> {
    let mut path = [0; PATH_BYTES_MAX];
    let mut rest = &mut path[..];
    write!(rest, "/proc/{pid}/{name}")?;
    let length = PATH_BYTES_MAX - rest.len();
    let path = std::str::from_utf8(&path[..length])
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut file = File::open(path)?;
    let mut filled = 0;
    loop {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    // A name may be cut, or be no text at all; what is looked for stands before it or after.
    match std::str::from_utf8(&buffer[..filled]) {
        Ok(text) => Ok(text),
        Err(error) => std::str::from_utf8(&buffer[..error.valid_up_to()])
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidData)),
    }
}

fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn state_in(status: &str) -> Option<String> {
    status.lines().find_map(|line| line.strip_prefix("State:")).map(|state| state.trim().to_owned())
}

fn call_in(syscall: &str) -> Option<String> {
    let mut words = syscall.split_ascii_whitespace();
    let first = words.next()?;
    let Ok(number) = first.parse::<libc::c_long>() else { return Some(first.to_owned()) };
    if number < 0 {
        return Some("none".to_owned());
    }
    let Some((_, name, takes_descriptor)) = CALLS.iter().find(|(of, ..)| *of == number) else {
        return Some(format!("number {number}"));
    };
    let argument = words.next().and_then(|word| word.strip_prefix("0x"));
    let descriptor = argument.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    Some(match descriptor.filter(|_| *takes_descriptor) {
        Some(descriptor) => format!("{name} on descriptor {descriptor}"),
        None => (*name).to_owned(),
    })
}

fn channel_in(wchan: &str) -> String {
    match wchan.trim() {
        "" | "0" => "none".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::own_pid;

    #[test]
    fn this_process_has_memory() {
        let before = resident_bytes(own_pid()).unwrap();
        assert!((100 << 10..100 << 30).contains(&before), "{before}");
        let more = std::hint::black_box(vec![1_u8; 64 << 20]);
        assert!(resident_bytes(own_pid()).unwrap() >= before + (32 << 20));
        drop(more);
    }

    #[test]
    fn a_process_that_is_no_more_is_an_error() {
        assert_eq!(resident_bytes(i32::MAX).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(waits(i32::MAX).to_string().starts_with("state unknown (no such file"));
    }

    #[test]
    fn a_system_call_is_told_by_name() {
        let line = |number| format!("{number} 0x7 0x7ffd 0x10 0x0 0x0 0x0 0x7ffc 0x7f1e\n");
        let read = call_in(&line(libc::SYS_read));
        assert_eq!(read.as_deref(), Some("read on descriptor 7"));
        assert_eq!(call_in(&line(libc::SYS_futex)).as_deref(), Some("futex"));
        assert_eq!(call_in("9999 0x0\n").as_deref(), Some("number 9999"));
        assert_eq!(call_in("-1 0x7ffc 0x7f1e\n").as_deref(), Some("none"));
        assert_eq!(call_in("running\n").as_deref(), Some("running"));
        assert_eq!(call_in(""), None);
    }

    #[test]
    fn the_state_is_found_behind_any_name() {
        let status = "Name:\ta b\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t1\n";
        assert_eq!(state_in(status).as_deref(), Some("S (sleeping)"));
        assert_eq!(resident_pages("100 42 7 1 0 9 0\n"), Some(42));
        assert_eq!(resident_pages("100"), None);
    }
}
