//! Runs every row for every column, several at a time, and prints the table.

use crate::{
    columns::{self, Column},
    output::Failure,
    rows::{GAPS, NO_GAPS, ROWS, Row},
};
use std::{
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

/// Cases that run at the same time; they mostly wait for programs to start.
const AT_ONCE: usize = 8;

/// What became of one case.
enum Outcome {
    Held,
    Gap(&'static str),
    Failed(Failure),
}

/// Runs what `wanted` names (a language or a part of a row's sentence; nothing names all).
pub fn run(wanted: &[String]) -> ExitCode {
    let begun = Instant::now();
    let columns = match columns::prepare() {
        Ok(columns) => columns,
        Err(error) => {
            eprintln!("cannot prepare the workers: {error}");
            return ExitCode::FAILURE;
        }
    };
    let columns = columns.iter().filter(|column| chosen(wanted, columns.as_slice(), column.name));
    let columns: Vec<_> = columns.collect();
    let rows: Vec<_> = ROWS.iter().filter(|row| chosen_row(wanted, &columns, row)).collect();
    let cases: Vec<_> =
        rows.iter().flat_map(|&row| columns.iter().map(move |&column| (row, column))).collect();
    let outcomes = run_cases(&cases);
    print(&rows, &columns, &outcomes);
    let failed = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Failed(_))).count();
    let gaps = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Gap(_))).count();
    println!("under {}, in {:.0?}", columns::master_program().display(), begun.elapsed());
    println!(
        "conformance: {} passed, {failed} failed, {gaps} skipped",
        cases.len() - failed - gaps
    );
    if failed == 0 && !cases.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A column is chosen when it is named, or when no column is.
fn chosen(wanted: &[String], all: &[Column], name: &str) -> bool {
    let named = |name: &str| wanted.iter().any(|word| word == name);
    named(name) || !all.iter().any(|column| named(column.name))
}

/// A row is chosen when a word that names no column is in its sentence, or there is none.
fn chosen_row(wanted: &[String], columns: &[&Column], row: &Row) -> bool {
    let mut words =
        wanted.iter().filter(|word| !columns.iter().any(|column| column.name == **word)).peekable();
    words.peek().is_none() || words.any(|word| row.sentence.contains(word.as_str()))
}

fn run_cases(cases: &[(&Row, &Column)]) -> Vec<Outcome> {
    // What waits longest comes last in the table and first here.
    let left = AtomicUsize::new(cases.len());
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Ok(after) =
                    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                        left.checked_sub(1)
                    })
                {
                    let place = after - 1;
                    let (row, column) = cases[place];
                    let outcome = run_case(row, column);
                    let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
                    outcomes.push((place, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|&(place, _)| place);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn run_case(row: &Row, column: &Column) -> Outcome {
    let gap = GAPS.iter().find(|gap| gap.sentence == row.sentence && gap.column == column.name);
    match gap {
        Some(_) if NO_GAPS.contains(&row.sentence) => {
            Outcome::Failed("a gap is declared where there may be none".to_owned())
        }
        Some(gap) => Outcome::Gap(gap.reason),
        None => (row.holds)(column).map_or_else(Outcome::Failed, |()| Outcome::Held),
    }
}

fn print(rows: &[&Row], columns: &[&Column], outcomes: &[Outcome]) {
    let width = rows.iter().map(|row| row.sentence.len()).max().unwrap_or(0);
    print!("\n{:width$}", "");
    for column in columns {
        print!("  {:7}", column.name);
    }
    println!();
    for (row, outcomes) in rows.iter().zip(outcomes.chunks(columns.len())) {
        print!("{:width$}", row.sentence);
        for outcome in outcomes {
            let word = match outcome {
                Outcome::Held => "yes",
                Outcome::Gap(_) => "gap",
                Outcome::Failed(_) => "FAILED",
            };
            print!("  {word:7}");
        }
        println!();
    }
    println!();
    for (row, outcomes) in rows.iter().zip(outcomes.chunks(columns.len())) {
        for (column, outcome) in columns.iter().zip(outcomes) {
            let reason = match outcome {
                Outcome::Held => continue,
                Outcome::Gap(reason) => reason,
                Outcome::Failed(reason) => reason.as_str(),
            };
            println!("{}: {}: {reason}", column.name, row.sentence);
        }
    }
}
