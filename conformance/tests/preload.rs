//! Programs that load themselves once and fork workers (`-p`), in the languages whose library
//! has a call for it.

use einhorn_conformance::{
    columns::{self, Column},
    master::{Launch, Master},
    output::{Failure, must},
    proc,
};

/// What a worker says from its beginning until it is up; gives its pid.
fn comes_up(master: &Master, index: u32) -> Result<u32, Failure> {
    let worker = master.expect("become ok")?;
    must(master.expect(&format!("facts worker=yes index={index} sockets=1"))? == worker, || {
        "two at once".to_owned()
    })?;
    master.expect("stop registered")?;
    master.expect("ack ok")?;
    Ok(worker)
}

/// Forked from the program that `-p` names, replaced by an upgrade, and stopped.
fn holds(column: &Column) -> Result<(), Failure> {
    let options = format!("-m manual -k -g -b 127.0.0.1:0 -p {}", column.command[0]);
    let words = "become facts stop ack wait";
    let mut master = Launch::new(column, &options, words).start()?;
    let first = comes_up(&master, 0)?;
    master.wait_for(first, ":acked", "true")?;
    let said = master.send("upgrade")?.last()?;
    must(said.contains("committed"), || said.clone())?;
    let second = comes_up(&master, 1)?;
    master.expect("wait ended")?;
    must(first != second && proc::is_alive(second), || format!("{first}, then {second}"))?;
    let log = master.log();
    must(log.matches(": loaded ").count() == 2, || log.clone())?;
    master.send("die")?.last()?;
    master.expect("wait ended")?;
    master.end_well()
}

#[test]
fn workers_are_forked_from_a_program_that_loads_itself() {
    for column in columns::prepare().unwrap() {
        if matches!(column.name, "rust" | "c") {
            holds(&column).unwrap_or_else(|failure| panic!("{}: {failure}", column.name));
        }
    }
}
