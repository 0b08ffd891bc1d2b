//! The command `einhorn`: parses, runs, and turns errors into exit statuses.

use std::io::Write;
use std::process::ExitCode;

use einhorn_master::run;

#[cfg(target_env = "musl")]
#[global_allocator]
static MEMORY: einhorn_master::sys::memory::Memory = einhorn_master::sys::memory::Memory::new();

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let own_name = arguments.next().unwrap_or_else(|| "einhorn".into());
    match run::run(own_name, arguments.collect(), &std::env::vars_os().collect()) {
        Ok(ending) => {
            // A reader that has gone has seen what it wanted.
            let _ = std::io::stdout().write_all(ending.text.as_bytes());
            ExitCode::from(ending.status)
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "einhorn: {error}");
            ExitCode::FAILURE
        }
    }
}
