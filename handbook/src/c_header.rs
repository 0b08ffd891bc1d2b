//! What `einhorn.h` declares and says about it.

/// A function or a number.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Declared {
    /// As in C, without the final semicolon.
    pub(crate) declaration: String,
    /// The comment before it, as Markdown.
    pub(crate) says: String,
}

/// Everything that has a comment of its own, in order.
pub(crate) fn declared(header: &str) -> Vec<Declared> {
    let mut found = Vec::new();
    for part in header.split("/**\n").skip(1) {
        let Some((comment, after)) = part.split_once("*/\n") else { continue };
        let says: Vec<String> = comment
            .lines()
            .map(|line| in_words(line.trim_start().trim_start_matches('*').trim_start()))
            .collect();
        let end = if after.starts_with('#') { "\n" } else { ";" };
        let declaration = after.split(end).next().unwrap_or_default();
        let declaration = declaration.split_whitespace().collect::<Vec<_>>().join(" ");
        found.push(Declared { declaration, says: says.join("\n").trim().to_owned() });
    }
    found
}

/// Doxygen's commands as words.
fn in_words(line: &str) -> String {
    if let Some(value) = line.strip_prefix("@return ") {
        return format!("\nReturns {value}");
    }
    match line.strip_prefix("@param ").and_then(|rest| rest.split_once(' ')) {
        Some((name, what)) => format!("\n`{name}`: {what}"),
        None => line.to_owned(),
    }
}

impl Declared {
    /// `EINHORN_E_…` and its number, if it is one.
    pub(crate) fn number(&self) -> Option<(&str, &str)> {
        let (name, number) = self.declaration.strip_prefix("#define ")?.split_once(' ')?;
        Some((name, number.trim_matches(['(', ')'])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAYS: &str = "Does.\n\n\n`a`: one\n\nReturns two,\nor three";

    #[test]
    fn functions_and_numbers() {
        let header = "/* file */\n/**\n * Bad.\n */\n#define E_BAD (-1)\n\n/**\n * Does.\n *\n \
                      * @param a one\n * @return two,\n * or three\n */\nint does(int a,\n         int b);\n";
        let found = declared(header);
        assert_eq!(found[0].number(), Some(("E_BAD", "-1")));
        assert_eq!(found[1].declaration, "int does(int a, int b)");
        assert_eq!((found[0].says.as_str(), found[1].says.as_str()), ("Bad.", SAYS));
        assert_eq!(found[1].number(), None);
    }
}
