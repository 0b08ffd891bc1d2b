//! A kernel that refuses: system calls of a master that a test makes fail.
//!
//! The switch is outside of the master, so that what is tried is the program as it is, the
//! libraries in it included, and nothing of it is in any build. A [`Fault`] stands until it is
//! lifted; what the master's children do is never touched, unless it is meant.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::seccomp::{self, Answer, Asked, Listener, Scope};
use crate::support::LONG;

/// What happens to a system call instead of what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It fails with this errno.
    Error(i32),
    /// It reads or writes this many bytes, and no more.
    Short(usize),
}

/// Whose calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Master,
    /// Those of its children, also before they have become another program.
    Children,
}

type Condition = Box<dyn Fn(&Asked) -> bool + Send>;

/// A kind of system call that fails.
pub(crate) struct Fault {
    numbers: Vec<i64>,
    failure: Failure,
    whose: Whose,
    conditions: Vec<Condition>,
    skipped: usize,
    times: usize,
}

impl Fault {
    pub(crate) fn new(numbers: Vec<i64>, failure: Failure) -> Self {
        let (whose, conditions, times) = (Whose::Master, Vec::new(), usize::MAX);
        Self { numbers, failure, whose, conditions, skipped: 0, times }
    }

    pub(crate) fn of_children(mut self) -> Self {
        self.whose = Whose::Children;
        self
    }

    /// Which calls it is about.
    pub(crate) fn numbers(&self) -> &[i64] {
        &self.numbers
    }

    /// Not the first ones.
    pub(crate) fn after(mut self, skipped: usize) -> Self {
        self.skipped = skipped;
        self
    }

    /// Only this often.
    pub(crate) fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    pub(crate) fn only_if(mut self, is: impl Fn(&Asked) -> bool + Send + 'static) -> Self {
        self.conditions.push(Box::new(is));
        self
    }

    /// Only where the argument `index` (from 0) is this number.
    pub(crate) fn argument(self, index: usize, value: i64) -> Self {
        // The upper half of an int may hold anything.
        let low = |number: u64| u32::try_from(number & u64::from(u32::MAX)).unwrap();
        self.only_if(move |asked| low(asked.arguments[index]) == low(value.cast_unsigned()))
    }

    /// Only where the argument `index` is a descriptor of a file with this in its name, as in
    /// `/proc/PID/fd`.
    pub(crate) fn descriptor(self, index: usize, what: &'static str) -> Self {
        self.only_if(move |asked| {
            let path = format!("/proc/{}/fd/{}", asked.pid, asked.arguments[index]);
            fs::read_link(path).is_ok_and(|link| link.to_string_lossy().contains(what))
        })
    }

    /// Only where the argument `index` is a text with this in it.
    pub(crate) fn path(self, index: usize, part: &'static str) -> Self {
        self.only_if(move |asked| {
            // The older call has no folder before the path.
            #[cfg(target_arch = "x86_64")]
            let index = index - usize::from(asked.number == libc::SYS_open);
            text_at(asked, index).contains(part)
        })
    }

    /// Only where the argument `index` is an address of this family.
    pub(crate) fn family(self, index: usize, family: i32) -> Self {
        self.only_if(move |asked| {
            let mut found = [0; 2];
            File::open(format!("/proc/{}/mem", asked.pid))
                .and_then(|memory| memory.read_exact_at(&mut found, asked.arguments[index]))
                .is_ok_and(|()| i32::from(u16::from_ne_bytes(found)) == family)
        })
    }
}

/// The text that an argument points to.
fn text_at(asked: &Asked, index: usize) -> String {
    const BYTES_MAX: usize = 4096;
    let Ok(memory) = File::open(format!("/proc/{}/mem", asked.pid)) else { return String::new() };
    let mut bytes = vec![0; BYTES_MAX];
    // What follows the text may be nobody's memory.
    let page = 4096 - usize::try_from(asked.arguments[index] % 4096).unwrap();
    let mut length = memory.read_at(&mut bytes[..page], asked.arguments[index]).unwrap_or(0);
    if !bytes[..length].contains(&0) && length == page {
        let rest = asked.arguments[index] + u64::try_from(page).unwrap();
        length += memory.read_at(&mut bytes[page..], rest).unwrap_or(0);
    }
    let end = bytes[..length].iter().position(|byte| *byte == 0).unwrap_or(length);
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[derive(Default)]
struct State {
    faults: Vec<Fault>,
    met: usize,
    seen: Vec<i64>,
}

/// Between a test and the thread that answers for it.
#[derive(Clone, Default)]
pub(crate) struct Kernel(Arc<(Mutex<State>, Condvar)>);

impl Kernel {
    /// A kernel that asks about these calls of what `command` starts, and of its children.
    pub(crate) fn over(command: &mut Command, scope: &Scope) -> Self {
        let kernel = Self::default();
        let arrival = seccomp::filter(command, scope);
        let asked = kernel.clone();
        thread::spawn(move || {
            if let Some((master, listener)) = arrival.listener() {
                asked.answer_all(master, &listener);
            }
        });
        kernel
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this fails too.
    pub(crate) fn fail(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// From now on nothing fails. Returns how many calls have failed since it was last lifted.
    pub(crate) fn lift(&self) -> usize {
        let mut state = self.state();
        state.faults.clear();
        std::mem::take(&mut state.met)
    }

    /// How many calls have failed since it was last lifted.
    pub(crate) fn met(&self) -> usize {
        self.state().met
    }

    /// Waits until that many calls have failed.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) {
        let wait = self.0.1.wait_timeout_while(self.state(), LONG, |state| state.met < count);
        let (state, _) = wait.unwrap_or_else(PoisonError::into_inner);
        assert!(state.met >= count, "{} of {count} calls have failed", state.met);
    }

    /// The calls that the master itself was asked about, each once.
    pub(crate) fn seen(&self) -> Vec<i64> {
        self.state().seen.clone()
    }

    /// Until nobody is left below the filter.
    fn answer_all(&self, master: i32, listener: &Listener) {
        loop {
            let mut asking = [PollFd::new(listener, PollFlags::IN)];
            match poll(&mut asking, None) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => panic!("poll: {error}"),
                Ok(_) => {}
            }
            if !asking[0].revents().contains(PollFlags::IN) {
                return;
            }
            if let Some(asked) = listener.next() {
                let answer = self.answer(master, &asked);
                listener.answer(&asked, answer);
            }
        }
    }

    fn answer(&self, master: i32, asked: &Asked) -> Answer {
        let mut state = self.state();
        let whose = if master == asked.pid { Whose::Master } else { Whose::Children };
        if whose == Whose::Master && !state.seen.contains(&asked.number) {
            state.seen.push(asked.number);
        }
        let fault = state.faults.iter_mut().find(|fault| {
            fault.numbers.contains(&asked.number)
                && fault.whose == whose
                && fault.times > 0
                && fault.conditions.iter().all(|is| is(asked))
        });
        let Some(fault) = fault else { return Answer::GoOn };
        if fault.skipped > 0 {
            fault.skipped -= 1;
            return Answer::GoOn;
        }
        fault.times -= 1;
        let failure = fault.failure;
        state.met += 1;
        self.0.1.notify_all();
        match failure {
            // It fails by telling of a break below the one that was asked for.
            Failure::Error(_) if asked.number == libc::SYS_brk => Answer::Return(0),
            Failure::Error(errno) => Answer::Fail(errno),
            Failure::Short(bytes) => transfer(asked, bytes),
        }
    }
}

/// Reads or writes for the one who asks, less than was asked for.
fn transfer(asked: &Asked, bytes: usize) -> Answer {
    let pid = Pid::from_raw(asked.pid).unwrap();
    let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let number = i32::try_from(asked.arguments[0]).unwrap();
    let own = File::from(pidfd_getfd(process, number, PidfdGetfdFlags::empty()).unwrap());
    let memory = format!("/proc/{}/mem", asked.pid);
    let memory = File::options().read(true).write(true).open(memory).unwrap();
    let address = asked.arguments[1];
    let wanted = usize::try_from(asked.arguments[2]).unwrap();
    let mut buffer = vec![0; bytes.min(wanted)];
    let done = match asked.number {
        libc::SYS_write | libc::SYS_sendto => {
            memory.read_exact_at(&mut buffer, address).unwrap();
            rustix::io::write(&own, &buffer)
        }
        libc::SYS_read | libc::SYS_recvfrom => {
            let done = rustix::io::read(&own, buffer.as_mut_slice());
            done.inspect(|count| memory.write_all_at(&buffer[..*count], address).unwrap())
        }
        libc::SYS_pread64 => own
            .read_at(&mut buffer, asked.arguments[3])
            .inspect(|count| memory.write_all_at(&buffer[..*count], address).unwrap())
            .map_err(|error| rustix::io::Errno::from_io_error(&error).unwrap()),
        other => panic!("call {other} neither reads nor writes"),
    };
    match done {
        Ok(count) => Answer::Return(i64::try_from(count).unwrap()),
        Err(error) => Answer::Fail(error.raw_os_error()),
    }
}
