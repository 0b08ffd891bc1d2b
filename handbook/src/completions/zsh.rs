//! For zsh: one `_arguments` a program.

use clap::{Arg, ArgAction, Command};
use einhorn_master::commands::TABLE;

use super::{SIGNALS, Value, commands, folders, offered, short_help, value};

const NAMES: &str = r#"
_@PROGRAM@_names() {
    local folder names
    for folder in @FOLDERS@; do
        [[ -n $folder && -d $folder && -w $folder ]] && break
    done
    names=($folder/einhorn-*.sock(N=:t:r))
    compadd "$@" - ${names#einhorn-}
}
"#;

const COMMANDS: &str = r"
_@PROGRAM@_commands() {
    compset -P '*;'
    compset -P ' #'
    if compset -P '(signal|die) '; then
        compset -P '* '
        compadd @SIGNALS@
    else
        local -a commands=(
@COMMANDS@        )
        _describe -t commands command commands
    fi
}
";

pub(super) fn script(program: &Command) -> String {
    let name = program.get_name();
    let is_shell = name == "einhornsh";
    let mut text = format!(
        "#compdef {name}\n# zsh completion for {name}. Made by `make generate`; do not edit.\n"
    );
    if is_shell {
        text += NAMES;
        text += COMMANDS;
    }
    // With -A, no option is offered behind the first word that is not one.
    text += if is_shell { "\n_arguments -s -S \\\n" } else { "\n_arguments -s -S -A '-*' \\\n" };
    for option in offered(program) {
        text += &specification(program, option);
    }
    text += if is_shell {
        "    '1:name of a master:_@PROGRAM@_names'\n"
    } else {
        "    '(-)1:program:_command_names -e' \\\n    '*::argument:_normal'\n"
    };
    let listed: String = TABLE
        .iter()
        .filter(|row| commands().contains(&row.name))
        .map(|row| format!("            '{}:{}'\n", row.name, quoted(row.summary)))
        .collect();
    text.replace("@COMMANDS@", &listed)
        .replace("@SIGNALS@", SIGNALS)
        .replace("@FOLDERS@", &folders())
        .replace("@PROGRAM@", name)
}

/// `'(-n --number)'{-n,--number=}'[workers]:N:'`
fn specification(program: &Command, option: &Arg) -> String {
    let (names, value_name) = crate::tables::spellings(option);
    let value = value(program, option);
    let repeatable = matches!(option.get_action(), ArgAction::Append | ArgAction::Count);
    let spelt: Vec<String> = names
        .iter()
        .map(|name| match value {
            Some(_) if name.starts_with("--") => format!("{name}="),
            Some(_) => format!("{name}+"),
            None => name.clone(),
        })
        .collect();
    let spelt = match spelt.as_slice() {
        [one] => one.clone(),
        more => format!("{{{}}}", more.join(",")),
    };
    let before = if repeatable { "'*'".to_owned() } else { format!("'({})'", names.join(" ")) };
    let takes = match (value, value_name) {
        (Some(value), Some(name)) => format!(":{}:{}", quoted(&name), action(value)),
        _ => String::new(),
    };
    format!("    {before}{spelt}'[{}]{takes}' \\\n", quoted(&short_help(option)))
}

fn action(value: Value) -> String {
    match value {
        Value::Any => " ".to_owned(),
        Value::Words(words) => format!("({words})"),
        Value::File => "_files".to_owned(),
        Value::Folder => "_directories".to_owned(),
        Value::Variable => "_parameters -g \"*export*\"".to_owned(),
        Value::MasterName => "_@PROGRAM@_names".to_owned(),
        Value::Commands => "_@PROGRAM@_commands".to_owned(),
    }
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\'', "'\\''")
        .replace('[', "\\[")
        .replace(']', "\\]")
        .replace(':', "\\:")
}
