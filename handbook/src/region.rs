//! Parts of `docs/` and of the README that are made: what stands between `<!-- made: NAME -->` and
//! `<!-- end -->`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{fs, io};

use crate::{Made, fault, project, read, tables};

const BEGIN: &str = "<!-- made: ";
const END: &str = "<!-- end -->\n";

/// The files of `docs/` that have such a part, and the README.
pub(crate) fn all() -> io::Result<Vec<Made>> {
    let mut paths = vec![PathBuf::from("README.md")];
    for entry in fs::read_dir(project().join("docs"))? {
        paths.push(PathBuf::from("docs").join(entry?.file_name()));
    }
    let mut made = Vec::new();
    for path in paths {
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = read(&path)?;
        if text.contains(BEGIN) {
            let text =
                fill(&text).map_err(|error| fault(format!("{}: {error}", path.display())))?;
            made.push(Made { path, text });
        }
    }
    made.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(made)
}

fn fill(text: &str) -> io::Result<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once(BEGIN) {
        let missing = || fault(format!("{BEGIN}… has no {}", END.trim_end()));
        let (name, from) = from.split_once(" -->\n").ok_or_else(missing)?;
        let (_, after) = from.split_once(END).ok_or_else(missing)?;
        let _ = write!(filled, "{before}{BEGIN}{name} -->\n\n{}\n{END}", tables::named(name)?);
        rest = after;
    }
    Ok(filled + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_made() {
        let old = format!("a\n{BEGIN}error codes -->\nstale\n{END}b\n");
        let new = fill(&old).unwrap();
        assert!(new.starts_with("a\n") && new.ends_with(&format!("{END}b\n")), "{new}");
        assert!(new.contains("`malformed`") && !new.contains("stale"), "{new}");
        assert_eq!(fill(&new).unwrap(), new);
    }

    #[test]
    fn a_mark_without_an_end_and_an_unknown_name_are_said() {
        assert!(fill(&format!("{BEGIN}commands -->\n")).is_err());
        assert!(fill(&format!("{BEGIN}frobs -->\n{END}")).is_err());
    }
}
