# For press_tab.zsh: zsh with our completions, which also writes down what it offers.
PROMPT=READY
fpath=($SCRIPTS/zsh $fpath)
autoload -Uz compinit && compinit -u -D
compadd() {
    # With -O, -A or -D nothing is offered, only looked at.
    if [[ ${argv[1,(i)(-|--)]} != *-[OAD]* ]]; then
        local -a matching
        builtin compadd -O matching "$@"
        print -rl -- $IPREFIX$^matching >> $OFFERED
    fi
    builtin compadd "$@"
}
