//! A master's life from its command line to its exit status.

use std::ffi::OsString;
use std::io;
use std::num::NonZeroU32;
use std::path::PathBuf;

use einhorn_protocol::environment::LISTEN;

use crate::event_loop::{EventPoll, Master};
use crate::finish::Leftovers;
use crate::handover::{
    self, AdoptError, Adopted, AdoptedClient, AdoptedPipe, AdoptedPreloader, AnswerError,
    Inherited, Patience,
};
use crate::instance::{Environment, Instance};
use crate::log::Unwritten;
use crate::options::{FdBase, Invocation, Launch, OptionError};
use crate::pool::{Count, Event, Pool, Version};
use crate::settings::AckMode;
use crate::spawn::{
    self, Common, FolderError, Numbering, PlanError, ProgramError, Rules, Source, Versions,
    WorkingFolder,
};
use crate::start::{
    self, Allowed, FilesError, Listener, Socket, StartError, WantedFiles, activation,
};
use crate::sys::process::own_pid;
use crate::sys::signals::{self, SignalSource};
use crate::sys::title::Title;
use crate::sys::{clock, descriptor, limits, priority, reason};

/// Why a master does not start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The command line makes no sense.
    #[error(transparent)]
    Options(#[from] OptionError),
    /// The program cannot be run.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Workers cannot run where they are to.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The command cannot be handed to a process.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It cannot be said where its files are.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// Something cannot be opened.
    #[error(transparent)]
    Start(#[from] StartError),
    /// What was handed over cannot be taken over.
    #[error(transparent)]
    Adopt(#[from] AdoptError),
    /// Somebody asks who this is and cannot be answered.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The system refuses something that it never should.
    #[error("{what}: {}", reason(source))]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
}

fn system(what: &'static str) -> impl Fn(io::Error) -> RunError {
    move |source| RunError::System { what, source }
}

fn obtain<T>(
    patience: Patience,
    what: &'static str,
    make: impl FnMut() -> io::Result<T>,
) -> Result<T, RunError> {
    patience.get(what, make).map_err(system(what))
}

/// What the process says and with which status it ends.
#[derive(Debug, PartialEq, Eq)]
pub struct Ending {
    /// For standard output.
    pub text: String,
    /// 0 to 255.
    pub status: u8,
}

/// Does what the command line says. `arguments` are without the program's own name.
///
/// # Errors
/// The first thing that cannot be done; the master has not started.
pub fn run(
    own_name: OsString,
    arguments: Vec<OsString>,
    environment: &Environment,
) -> Result<Ending, RunError> {
    let say = |text: String, status: u8| Ok(Ending { text, status });
    // The first workers do not wait until the processors are counted; see `serve`.
    match crate::options::parse(arguments, NonZeroU32::MIN)? {
        Invocation::Help(text) | Invocation::Version(text) => say(text, 0),
        Invocation::Usage(text) => say(text, 1),
        Invocation::UpgradeCheck { .. } => {
            handover::answer_upgrade_check(environment)?;
            say(String::new(), 0)
        }
        Invocation::Run(launch) => {
            let status = serve(own_name, *launch, environment)?;
            say(String::new(), status)
        }
    }
}

/// What there is when a master begins, new or taken over.
struct Beginning {
    instance: Instance,
    pool: Pool,
    sources: Vec<(Version, Source)>,
    clients: Vec<AdoptedClient>,
    preloaders: Vec<AdoptedPreloader>,
    ready_pipes: Vec<AdoptedPipe>,
    event: Event,
}

/// How many there are, within the quota of the control group.
fn processors() -> NonZeroU32 {
    std::thread::available_parallelism()
        .ok()
        .and_then(|count| u32::try_from(count.get()).ok())
        .and_then(NonZeroU32::new)
        .unwrap_or(NonZeroU32::MIN)
}

fn serve(
    own_name: OsString,
    mut launch: Launch,
    environment: &Environment,
) -> Result<u8, RunError> {
    crate::log::init(launch.verbosity, || clock::now().wall, std::process::id());
    let patience = Patience::of(launch.with_state_fd.is_some());
    let inherited = if launch.with_state_fd.is_some() || launch.inherits() {
        obtain(patience, "cannot list open descriptors", Inherited::at_start)?
    } else {
        Inherited::nothing()
    };
    obtain(patience, "cannot mark open descriptors", descriptor::mark_all_close_on_exec)?;
    obtain(patience, "cannot ignore SIGXFSZ", signals::ignore_file_size_limit)?;
    let listen = || obtain(patience, "cannot listen to signals", SignalSource::new);
    let (beginning, undo, signals) = if let Some(number) = launch.with_state_fd {
        // First: a signal must not end a master that has workers already.
        let signals = listen()?;
        launch.count_processors(processors);
        (take_over(number, inherited, launch, environment, own_name)?, None, signals)
    } else {
        let beginning = begin(launch, environment, own_name, inherited)?;
        let undo = leftovers(&beginning.instance).removed_unless_kept();
        // Until all is open a signal ends the process; then it waits for the event loop.
        (beginning, Some(undo), listen()?)
    };
    let Beginning { mut instance, pool, sources, clients, preloaders, ready_pipes, event } =
        beginning;
    let found = limits::raise_open_files().ok();
    instance.open_files = instance.open_files.or(found);
    be_nice(&instance.launch);
    let versions = versions(&instance, &pool, sources)?;
    let poll = || EventPoll::new(&signals, &instance.command_socket);
    let poll = obtain(patience, "cannot set the event loop up", poll)?;
    let mut master = Master::new(instance, pool, versions, signals, poll);
    let is_new = undo.is_some();
    if let Some(undo) = undo {
        undo.keep();
    }
    master.take_over_clients(clients);
    master.take_over_preloaders(preloaders);
    master.take_over_ready_pipes(ready_pipes);
    master.begin(event);
    // Workers are on their way by now, and nothing more in theirs.
    if is_new {
        master.see_files();
        master.count_processors(processors);
    }
    let _title = show_title(master.title());
    let ended = master.run().map_err(system("the event loop failed"))?;
    for failure in leftovers(&ended.instance).remove() {
        ::log::warn!("{failure}");
    }
    crate::log::flush();
    Ok(ended.status)
}

fn begin(
    launch: Launch,
    environment: &Environment,
    own_name: OsString,
    inherited: Inherited,
) -> Result<Beginning, RunError> {
    let folder = launch.chdir.as_deref().map(WorkingFolder::open).transpose()?;
    let path = environment.get("PATH");
    let cmd = spawn::resolve_command(folder.as_ref(), &launch.orig_cmd, path)?;
    if let AckMode::Exec(command) = &launch.settings.ack_mode {
        let words: Vec<OsString> = command.words().iter().map(OsString::from).collect();
        spawn::resolve_command(folder.as_ref(), &words, path)?;
    }
    let sockets = sockets(&launch, environment, inherited)?;
    let environment = without_sockets(environment);
    let source = Source::unseen(cmd.clone(), environment.clone(), folder);
    let wanted = WantedFiles::of(&launch, |name| environment.get(name).map(OsString::from))?;
    let allowed = Allowed::of(&launch)?;
    let opened = start::open(&wanted, sockets, launch.settings.backlog, &allowed)?;
    if let Some(pid) = opened.pidfile_named {
        ::log::warn!(
            "the pid file {} named process {pid}, which is alive; it names this master now",
            opened.files.pidfile.display()
        );
    }
    for listener in &opened.listeners {
        ::log::info!("listening on {}", listener.local);
    }
    ::log::info!("command socket {}", opened.files.command_socket.display());
    let balanced = opened.listeners.iter().any(Listener::is_balanced);
    let pool = Pool::new(launch.settings.clone()).balanced(balanced);
    let instance = Instance {
        cmd,
        allowed,
        files: opened.files,
        listeners: opened.listeners,
        command_socket: opened.command_socket,
        command_socket_identity: Some(opened.socket_identity),
        notify_socket: opened.notify_socket,
        generation: 0,
        open_files: None,
        launch,
        environment,
        own_name,
    };
    let sources = vec![(pool.version(), source)];
    let event = Event::Start;
    let (clients, preloaders, ready_pipes) = (Vec::new(), Vec::new(), Vec::new());
    Ok(Beginning { instance, pool, sources, clients, preloaders, ready_pipes, event })
}

/// What is opened, and what this process was started with.
fn sockets(
    launch: &Launch,
    environment: &Environment,
    mut inherited: Inherited,
) -> Result<Vec<Socket>, RunError> {
    let lookup = |name: &str| environment.get(name).map(OsString::from);
    let take = |number| inherited.take(number);
    Ok(activation::sockets(&launch.binds, own_pid(), lookup, take).map_err(StartError::from)?)
}

/// The next image has the same pid, and would take what is said here for itself.
fn without_sockets(environment: &Environment) -> Environment {
    environment.without(&LISTEN.map(OsString::from))
}

fn take_over(
    number: i32,
    inherited: Inherited,
    launch: Launch,
    environment: &Environment,
    own_name: OsString,
) -> Result<Beginning, RunError> {
    let now = clock::now();
    let environment = without_sockets(environment);
    crate::log::hold();
    let adopted = handover::adopt(number, inherited, launch, environment, own_name, now);
    crate::log::release(&adopted.as_ref().map_or_else(|_| Unwritten::default(), |a| a.log.clone()));
    let adopted = adopted?;
    let Adopted { instance, pool, versions: sources, clients, preloaders, .. } = adopted;
    let Adopted { ready_pipes, verbosity, .. } = adopted;
    crate::log::set_verbosity(verbosity);
    ::log::info!(
        "took over {} and {}, generation {}",
        Count(pool.workers().count(), "worker"),
        Count(clients.len(), "client"),
        instance.generation
    );
    let event = Event::Adopted;
    Ok(Beginning { instance, pool, sources, clients, preloaders, ready_pipes, event })
}

fn be_nice(launch: &Launch) {
    let Some(level) = launch.nice.master else { return };
    if let Err(error) = priority::set_own(level) {
        ::log::warn!("cannot set the master's nice level to {level}: {}", reason(&error));
    }
}

fn versions(
    instance: &Instance,
    pool: &Pool,
    sources: Vec<(Version, Source)>,
) -> Result<Versions, RunError> {
    let launch = &instance.launch;
    let rules = Rules { nice: launch.nice.worker, open_files: instance.open_files };
    let mut versions = Versions::new(Common {
        master: own_pid(),
        socket_path: instance.files.command_socket.clone(),
        notify_socket: notify_path(instance),
        sockets: instance.listeners.iter().map(Listener::worker_socket).collect(),
        numbering: Numbering {
            base: launch.fd_base.unwrap_or(FdBase::Zero),
            listen_fds: launch.settings.listen_fds,
        },
        rules,
    });
    for (version, source) in sources {
        if let Err(error) = versions.insert(version, source) {
            ::log::error!("state: what version {version} runs makes no sense: {error}");
        }
    }
    // Another master does not say what its versions run: the same as ours, then.
    for version in [pool.committed(), pool.version()] {
        if !versions.knows(version) {
            let folder = launch.chdir.as_deref().map(WorkingFolder::open).transpose();
            let folder = folder.unwrap_or_else(|error| {
                ::log::error!("{error}; they run in the master's folder");
                None
            });
            let (command, environment) = (instance.cmd.clone(), instance.environment.clone());
            versions.insert(version, Source::new(command, environment, folder))?;
        }
    }
    Ok(versions)
}

/// Where workers are told to notify this master, if they are to.
fn notify_path(instance: &Instance) -> Option<PathBuf> {
    let socket = instance.notify_socket.as_ref()?;
    let wanted = instance.launch.settings.ack_mode == AckMode::Notify;
    wanted.then(|| socket.path().to_owned())
}

fn show_title(title: &str) -> Option<Title> {
    match Title::take() {
        Ok(mut shown) => {
            shown.set(format!("einhorn: {title}").as_bytes());
            Some(shown)
        }
        Err(error) => {
            ::log::debug!("ps shows the command line: {}", reason(&error));
            None
        }
    }
}

fn leftovers(instance: &Instance) -> Leftovers {
    Leftovers::of(&instance.files, instance.command_socket_identity, &instance.listeners)
}
