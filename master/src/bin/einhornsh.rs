//! `einhornsh`: talks to a running master.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use einhorn_master::shell::{Arguments, Ending, Invocation, parse, run};

fn main() -> ExitCode {
    match parse(env::args_os().skip(1)) {
        Ok(Invocation::Run(arguments)) => talk(&arguments),
        Ok(Invocation::Help(text) | Invocation::Version(text)) => {
            match io::stdout().write_all(text.as_bytes()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            }
        }
        Err(error) => failure(&error),
    }
}

fn talk(arguments: &Arguments) -> ExitCode {
    match run(arguments, |variable| env::var_os(variable)) {
        Ok(Ending::Well) => ExitCode::SUCCESS,
        Ok(Ending::LastReplyFailed(status)) => ExitCode::from(status),
        Err(error) if error.is_closed_stdout() => ExitCode::FAILURE,
        Err(error) => failure(&error),
    }
}

fn failure(error: &dyn std::error::Error) -> ExitCode {
    // An unwritable stderr leaves the exit status to say it.
    let _ = writeln!(io::stderr(), "einhornsh: {error}");
    ExitCode::FAILURE
}
