//! What the system tells about a process (proc(5)).

use std::{collections::BTreeMap, fs, path::PathBuf};

/// A file of a process's folder.
fn read(pid: u32, name: &str) -> String {
    let bytes = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The environment that the process was started with.
pub fn environment(pid: u32) -> BTreeMap<String, String> {
    let text = read(pid, "environ");
    let entries = text.split('\0').filter_map(|entry| entry.split_once('='));
    entries.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Its open descriptors and what they are: `socket:[123]`, `/dev/null`.
pub fn descriptors(pid: u32) -> BTreeMap<u32, String> {
    let folder = fs::read_dir(format!("/proc/{pid}/fd"));
    let entries = folder.into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let number = entry.file_name().to_string_lossy().parse().ok()?;
            Some((number, fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned()))
        })
        .collect()
}

/// The program that it runs.
pub fn program(pid: u32) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default()
}

/// Whether a file is mapped into its memory.
pub fn maps(pid: u32, file: &str) -> bool {
    read(pid, "maps").lines().any(|line| line.ends_with(file))
}

/// Its signals: those pending, blocked, ignored and caught, a bit each.
pub fn signals(pid: u32) -> BTreeMap<String, u64> {
    let status = read(pid, "status");
    let wanted = ["SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"];
    let lines = status.lines().filter_map(|line| line.split_once(':'));
    lines
        .filter(|(name, _)| wanted.contains(name))
        .map(|(name, bits)| (name.to_owned(), u64::from_str_radix(bits.trim(), 16).unwrap_or(!0)))
        .collect()
}

/// Whether it is there and no zombie.
pub fn is_alive(pid: u32) -> bool {
    let status = read(pid, "stat");
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
