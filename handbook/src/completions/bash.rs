//! For bash: one function a program, which needs nothing but bash itself.

use clap::{Arg, Command};
use std::fmt::Write as _;

use super::{SIGNALS, Value, commands, folders, offered, value};

const TEMPLATE: &str = r#"# bash completion for @PROGRAM@. Made by `make generate`; do not edit.

_@PROGRAM@_words() { # the words of $1 that begin with the one under the cursor
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}
@HELPERS@
_@PROGRAM@() {
    local cur option= word part index=1 free=0 words=() starts=() line=${COMP_LINE:0:COMP_POINT}
    COMPREPLY=()
    for ((part = 0; part <= COMP_CWORD; part++)); do # bash divides at = and : too
        if ((part == 0)) || [[ $line == [[:blank:]]* ]]; then
            words+=("") starts+=("$part")
        fi
        line=${line#"${line%%[![:blank:]]*}"}
        words[-1]+=${COMP_WORDS[part]}
        line=${line#"${COMP_WORDS[part]}"}
    done
    local last=$((${#words[@]} - 1))
    cur=${words[last]}
    while ((index < last)); do
        word=${words[index]} option=
        case $word in
            @VALUED@)
                option=$word
                ((index++)) ;;
            --)
                ((index++))
                free=1 ;;
            -*) ;;
            *) free=1 ;;
        esac
@STOP@        ((index++))
    done
    if @OPTIONS_HERE@((index == last)) && [[ $cur == --*=* ]]; then
        option=${cur%%=*} cur=${cur#*=}
        ((index++))
    fi
    if ((index > last)) && [[ -n $option ]]; then
        case $option in
@CASES@        esac
        return
    fi
    if @OPTIONS_HERE@[[ $cur == -* ]]; then
        _@PROGRAM@_words '@OPTIONS@'
        return
    fi
@FREE@}

complete -o filenames -o bashdefault -F _@PROGRAM@ @PROGRAM@
"#;

const NAMES: &str = r#"
_@PROGRAM@_names() { # the names of masters that have a command socket in the default place
    local folder socket names=
    for folder in @FOLDERS@; do
        [[ -n $folder && -d $folder && -w $folder ]] && break
    done
    for socket in "$folder"/einhorn-*.sock; do
        [[ -S $socket ]] || continue
        socket=${socket##*/einhorn-}
        names+=" ${socket%.sock}"
    done
    _@PROGRAM@_words "$names"
}
"#;

const COMMANDS: &str = r#"
_@PROGRAM@_commands() { # the last command of a word that may hold several, quoted
    local line=${cur#[\"\']} before words='@COMMANDS@'
    before=${line%"${line##*[; ]}"}
    cur=${line#"$before"}
    case ${before##*;} in
        *signal\ * | *die\ *) words='@SIGNALS@' ;;
        *[^\ ]*) words= ;;
    esac
    _@PROGRAM@_words "$words"
    COMPREPLY=("${COMPREPLY[@]/#/$before}")
}
"#;

/// From here on whatever completes the program's own command line.
const PROGRAM_FOLLOWS: &str = r#"    if ((index == last)); then
        mapfile -t COMPREPLY < <(compgen -c -- "$cur"; compgen -d -- "$cur")
    elif declare -F _command_offset > /dev/null; then
        _command_offset "${starts[index]}"
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    fi
"#;

const NAME_FOLLOWS: &str = "    ((free)) || _@PROGRAM@_names\n";

pub(super) fn script(program: &Command) -> String {
    let is_shell = program.get_name() == "einhornsh";
    let mut valued = Vec::new();
    let mut cases = String::new();
    let mut options = Vec::new();
    for option in offered(program) {
        let spelt = spelt(option);
        options.extend(spelt.clone());
        let Some(value) = value(program, option) else { continue };
        valued.extend(spelt.clone());
        if let Some(action) = action(value) {
            let _ = writeln!(cases, "            {}) {action} ;;", spelt.join(" | "));
        }
    }
    let helpers = if is_shell { format!("{NAMES}{COMMANDS}") } else { String::new() };
    TEMPLATE
        .replace("@HELPERS@", &helpers)
        .replace("@FREE@", if is_shell { NAME_FOLLOWS } else { PROGRAM_FOLLOWS })
        .replace("@STOP@", if is_shell { "" } else { "        ((free)) && break\n" })
        // The name of a master may be followed by options.
        .replace("@OPTIONS_HERE@", if is_shell { "" } else { "((!free)) && " })
        .replace("@CASES@", &cases)
        .replace("@VALUED@", &valued.join(" | "))
        .replace("@OPTIONS@", &options.join(" "))
        .replace("@COMMANDS@", &commands().join(" "))
        .replace("@SIGNALS@", SIGNALS)
        .replace("@FOLDERS@", &folders())
        .replace("@PROGRAM@", program.get_name())
}

fn spelt(option: &Arg) -> Vec<String> {
    crate::tables::spellings(option).0
}

fn action(value: Value) -> Option<String> {
    Some(match value {
        Value::Any => return None,
        Value::Words(words) => format!("_@PROGRAM@_words '{words}'"),
        Value::File => r#"mapfile -t COMPREPLY < <(compgen -f -- "$cur")"#.to_owned(),
        Value::Folder => r#"mapfile -t COMPREPLY < <(compgen -d -- "$cur")"#.to_owned(),
        Value::Variable => r#"mapfile -t COMPREPLY < <(compgen -e -- "$cur")"#.to_owned(),
        Value::MasterName => "_@PROGRAM@_names".to_owned(),
        Value::Commands => "_@PROGRAM@_commands".to_owned(),
    })
}
