//! Programs that load themselves once and fork workers (`-p`), in the languages whose library
//! has a call for it.

use einhorn_conformance::{
    columns::{self, Column},
    master::{Launch, Master},
    output::{Failure, Said, must},
    proc,
};

/// What the first worker says from its beginning until it is up; gives its pid.
fn comes_up(master: &Master) -> Result<u32, Failure> {
    let worker = master.expect("become ok")?;
    master.expect("facts worker=yes index=0 sockets=1")?;
    master.expect("stop registered")?;
    master.expect("ack ok")?;
    Ok(worker)
}

/// What is said while `old` is replaced, by each in its own order: the two print at once, so that
/// the old one may say that its wait is over before the new one says that it is up. Gives the
/// new one's pid.
fn is_replaced(master: &Master, old: u32) -> Result<u32, Failure> {
    let said: Vec<Said> = (0..5).map(|_| master.next()).collect::<Result<_, _>>()?;
    let (last, up): (Vec<&Said>, Vec<&Said>) = said.iter().partition(|said| said.pid == old);
    let texts = |said: &[&Said]| said.iter().map(|said| said.text.clone()).collect::<Vec<_>>();
    must(texts(&last) == ["wait ended"], || format!("{last:?} from the old one"))?;
    let is_up = ["become ok", "facts worker=yes index=1 sockets=1", "stop registered", "ack ok"];
    must(texts(&up) == is_up, || format!("{up:?} from the new one"))?;
    must(up.iter().all(|said| said.pid == up[0].pid), || "two at once".to_owned())?;
    Ok(up[0].pid)
}

/// Forked from the program that `-p` names, replaced by an upgrade, and stopped.
fn holds(column: &Column) -> Result<(), Failure> {
    let options = format!("-m manual -k -g -b 127.0.0.1:0 -p {}", column.command[0]);
    let words = "become facts stop ack wait";
    let mut master = Launch::new(column, &options, words).start()?;
    let first = comes_up(&master)?;
    master.wait_for(first, ":acked", "true")?;
    let said = master.send("upgrade")?.last()?;
    must(said.contains("committed"), || said.clone())?;
    let second = is_replaced(&master, first)?;
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
