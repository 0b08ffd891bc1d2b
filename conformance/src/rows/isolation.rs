//! That a worker is a process of its own, with nothing of its master's in it.

use super::Row;
use crate::{
    columns::{Column, master_program},
    master::Launch,
    output::{Failure, Running, must},
    proc,
};
use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
};

pub(super) const PRELOAD_FREE: Row =
    Row { sentence: "nothing is preloaded or inherited but the sockets", holds: preload_free };

/// How many of each kind a process has open beside the first three and what is in `known`.
fn kinds(pid: u32, known: &[u32]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for (number, target) in proc::descriptors(pid) {
        if number > 2 && !known.contains(&number) {
            let kind = target.split(":[").next().unwrap_or_default().to_owned();
            *kinds.entry(kind).or_insert(0) += 1;
        }
    }
    kinds
}

/// The program as a service manager starts it: whoever runs this test may ignore signals, as
/// `nohup` does.
fn alone(column: &Column) -> Result<Running, Failure> {
    let mut command = Command::new("env");
    command.arg("--default-signal").args(&column.command).arg("idle").stdin(Stdio::piped());
    column.surround(&mut command);
    let alone = Running::start(&mut command)?;
    alone.expect("idle")?;
    Ok(alone)
}

/// Compares the worker with the same program started by nobody in particular.
fn preload_free(column: &Column) -> Result<(), Failure> {
    let alone = alone(column)?;
    let master = Launch::new(column, "-b 127.0.0.1:0 -m manual", "idle").start()?;
    let worker = master.expect("idle")?;

    let environment = proc::environment(worker);
    let sockets: Vec<u32> = environment
        .get("EINHORN_FDS")
        .or(environment.get("EINHORN_FD_0"))
        .map_or_else(Vec::new, |numbers| {
            numbers.split(' ').filter_map(|number| number.parse().ok()).collect()
        });
    let open = proc::descriptors(worker);
    must(sockets.len() == 1 && open.contains_key(&sockets[0]), || format!("sockets {sockets:?}"))?;

    let (has, expected) = (kinds(worker, &sockets), kinds(alone.pid(), &[]));
    // What this test inherited itself, the program alone has too.
    let fits = has.iter().all(|(kind, count)| expected.get(kind).unwrap_or(&0) >= count);
    must(fits, || format!("descriptors {has:?}, alone {expected:?}"))?;
    let (has, expected) = (proc::signals(worker), proc::signals(alone.pid()));
    let fits = has.iter().all(|(set, bits)| bits & !expected.get(set).unwrap_or(&0) == 0);
    must(fits && has.len() == 5, || format!("signals {has:x?}, alone {expected:x?}"))?;
    let (has, expected) = (proc::program(worker), proc::program(alone.pid()));
    must(has == expected, || format!("it runs {}", has.display()))?;
    let program = master_program().canonicalize().map_err(|error| error.to_string())?;
    let shares = proc::maps(worker, &program.display().to_string());
    must(!shares, || "the master's program is in its memory".to_owned())
}
