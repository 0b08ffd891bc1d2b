//! A filter by which the kernel asks this process before it carries out a system call of another
//! one (`seccomp_unotify(2)`), and this process's answers.
//!
//! It knows nothing of faults: who is told what is decided elsewhere. Whoever is below a filter
//! keeps it over exec and hands it on to its children.
#![allow(unsafe_code, reason = "seccomp(2), and what is done between fork and exec")]

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// Flags that nobody else sends a message with, all at once: by them the filter knows the one by
/// which its own descriptor is handed over, and lets it pass.
const PASSWORD: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::MORE).union(SendFlags::EOR);
/// Where the number of the call, and the low half of its third argument, stand in `seccomp_data`.
const NUMBER: u32 = 0;
const THIRD_ARGUMENT: u32 = if cfg!(target_endian = "big") { 36 } else { 32 };

/// A system call that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    id: u64,
    /// Whose it is.
    pub(crate) pid: i32,
    /// Its number (`SYS_…`).
    pub(crate) number: i64,
    /// Its arguments.
    pub(crate) arguments: [u64; 6],
}

/// What becomes of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The kernel carries it out.
    GoOn,
    /// The kernel does nothing, and it fails with this errno.
    Fail(i32),
    /// The kernel does nothing, and it returns this.
    Return(i64),
}

/// Which calls are asked about.
#[derive(Clone, Debug)]
pub(crate) enum Scope {
    /// Those.
    These(Vec<i64>),
    /// All but those.
    AllBut(Vec<i64>),
}

/// Whom the kernel asks.
#[derive(Debug)]
pub(crate) struct Listener(OwnedFd);

/// The end on which [`Listener`] arrives.
pub(crate) struct Arrival(OwnedFd);

/// From its exec on, the kernel asks about the system calls in `scope` of what `command` starts.
pub(crate) fn filter(command: &mut Command, scope: &Scope) -> Arrival {
    let (near, far) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    let program = program(scope);
    // SAFETY: between fork and exec it makes three system calls on memory that it owns, and
    // allocates nothing.
    unsafe {
        command.pre_exec(move || {
            let listener = install(&program)?;
            send(far.as_fd(), listener.as_fd())
        });
    }
    Arrival(near)
}

fn program(scope: &Scope) -> Vec<libc::sock_filter> {
    let code = |code: u32| u16::try_from(code).unwrap();
    let plain =
        |operation: u32, k: u32| libc::sock_filter { code: code(operation), jt: 0, jf: 0, k };
    let load = |offset| plain(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let answer = |answer| plain(libc::BPF_RET | libc::BPF_K, answer);
    let unless_equal = |k, skipped| libc::sock_filter {
        code: code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K),
        jt: 0,
        jf: skipped,
        k,
    };
    let number = |number: i64| u32::try_from(number).unwrap();
    let (listed, inside, outside) = match scope {
        Scope::These(calls) => (calls, libc::SECCOMP_RET_USER_NOTIF, libc::SECCOMP_RET_ALLOW),
        Scope::AllBut(calls) => (calls, libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_USER_NOTIF),
    };
    let mut program = vec![
        load(NUMBER),
        unless_equal(number(libc::SYS_sendmsg), 3),
        load(THIRD_ARGUMENT),
        unless_equal(PASSWORD.bits(), 1),
        answer(libc::SECCOMP_RET_ALLOW),
        load(NUMBER),
    ];
    for &call in listed {
        program.extend([unless_equal(number(call), 1), answer(inside)]);
    }
    program.push(answer(outside));
    program
}

/// Puts the filter over this process.
fn install(program: &[libc::sock_filter]) -> io::Result<OwnedFd> {
    let value = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: prctl gets numbers only; `value` and the program that it points to outlive the
    // call, and the kernel only reads them. What it returns is a new descriptor.
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return Err(io::Error::last_os_error());
        }
        let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
        let number = libc::syscall(libc::SYS_seccomp, mode, flags, &raw const value);
        match i32::try_from(number) {
            Ok(number) if number >= 0 => Ok(OwnedFd::from_raw_fd(number)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn send(far: BorrowedFd<'_>, listener: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let listener = [listener];
    if !control.push(SendAncillaryMessage::ScmRights(&listener)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let pid = std::process::id().to_ne_bytes();
    sendmsg(far, &[IoSlice::new(&pid)], &mut control, PASSWORD)?;
    Ok(())
}

impl Arrival {
    /// Waits for it, and for the pid of what was started; none if nothing was.
    pub(crate) fn listener(self) -> Option<(i32, Listener)> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut pid = [0; 4];
        let flags = RecvFlags::CMSG_CLOEXEC;
        recvmsg(&self.0, &mut [IoSliceMut::new(&mut pid)], &mut control, flags).ok()?;
        let listener = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut rights) => rights.next().map(Listener),
            _ => None,
        });
        Some((i32::from_ne_bytes(pid), listener?))
    }
}

impl Listener {
    /// The next call that waits; none if it has been given up meanwhile.
    pub(crate) fn next(&self) -> Option<Asked> {
        let mut asked = MaybeUninit::<libc::seccomp_notif>::zeroed();
        // SAFETY: it consists of integers, the zeros that the kernel wants in it are valid, and
        // the kernel writes no more than it.
        let asked = unsafe {
            let request = libc::SECCOMP_IOCTL_NOTIF_RECV;
            if libc::ioctl(self.0.as_raw_fd(), request, asked.as_mut_ptr()) != 0 {
                return None;
            }
            asked.assume_init()
        };
        Some(Asked {
            id: asked.id,
            pid: asked.pid.cast_signed(),
            number: asked.data.nr.into(),
            arguments: asked.data.args,
        })
    }

    /// Whoever waits for it may be gone by then.
    pub(crate) fn answer(&self, asked: &Asked, answer: Answer) {
        let (val, error, flags) = match answer {
            Answer::GoOn => (0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE),
            Answer::Fail(errno) => (0, -errno, 0),
            Answer::Return(value) => (value, 0, 0),
        };
        let flags = u32::try_from(flags).unwrap();
        let answer = libc::seccomp_notif_resp { id: asked.id, val, error, flags };
        // SAFETY: the kernel only reads the answer.
        unsafe {
            libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const answer);
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

const _: () = assert!(size_of::<libc::seccomp_notif>() == 80);
