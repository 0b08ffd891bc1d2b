//! For fish: a `complete` a option.

use clap::{Arg, Command};
use einhorn_master::commands::TABLE;

use super::{SIGNALS, Value, commands, folders, offered, short_help, value};

const NAMES: &str = r#"
function __@PROGRAM@_names
    for folder in @FOLDERS@
        if test -n "$folder" -a -d "$folder" -a -w "$folder"
            for socket in $folder/einhorn-*.sock
                test -S $socket; and string replace -r '.*/einhorn-(.*)\.sock$' '$1' $socket
            end
            return
        end
    end
end
"#;

const COMMANDS: &str = r#"
function __@PROGRAM@_commands
    set -l line (string trim -c '\'"' -- (commandline -ct))
    set -l before (string match -r '.*[; ]' -- $line)
    switch (string match -r '[^;]*$' -- "$before")
        case '*signal *' '*die *'
            printf '%s\n' "$before"(string split ' ' '@SIGNALS@')
        case '*'
@COMMANDS@    end
end
"#;

pub(super) fn script(program: &Command) -> String {
    let name = program.get_name();
    let is_shell = name == "einhornsh";
    let mut text = format!("# fish completion for {name}. Made by `make generate`; do not edit.\n");
    if is_shell {
        text += NAMES;
        text += COMMANDS;
    }
    text.push('\n');
    for option in offered(program) {
        text += &line(program, option);
    }
    let valued: Vec<String> = offered(program)
        .filter(|option| value(program, option).is_some())
        .flat_map(|option| crate::tables::spellings(option).0)
        .collect();
    let free = if is_shell {
        format!("complete -c {name} -f -a '(__{name}_names)' -d 'master'\n")
    } else {
        format!("complete -c {name} -xa '(__fish_complete_subcommand -- {})'\n", valued.join(" "))
    };
    text += &free;
    let listed: String = TABLE
        .iter()
        .filter(|row| commands().contains(&row.name))
        .map(|row| {
            format!(
                "            printf '%s\\t%s\\n' \"$before\"{} '{}'\n",
                row.name,
                quoted(row.summary)
            )
        })
        .collect();
    text.replace("@COMMANDS@", &listed)
        .replace("@SIGNALS@", SIGNALS)
        .replace("@FOLDERS@", &folders())
        .replace("@PROGRAM@", name)
}

fn line(program: &Command, option: &Arg) -> String {
    let long = option.get_long().map(|long| format!(" -l {long}")).unwrap_or_default();
    let short = option.get_short().map(|short| format!(" -s {short}")).unwrap_or_default();
    let takes = match value(program, option) {
        None => String::new(),
        Some(Value::Any) => " -x".to_owned(),
        Some(Value::Words(words)) => format!(" -xa '{words}'"),
        Some(Value::File) => " -rF".to_owned(),
        Some(Value::Folder) => " -xa '(__fish_complete_directories)'".to_owned(),
        Some(Value::Variable) => " -xa '(set -nx)'".to_owned(),
        Some(Value::MasterName) => " -xa '(__@PROGRAM@_names)'".to_owned(),
        Some(Value::Commands) => " -xa '(__@PROGRAM@_commands)'".to_owned(),
    };
    let program = program.get_name();
    format!("complete -c {program}{short}{long}{takes} -d '{}'\n", quoted(&short_help(option)))
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
