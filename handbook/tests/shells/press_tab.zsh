#!/bin/zsh -f
# press_tab SHELL WORD…: starts that interactive shell, types each line of standard input into it,
# and presses the tab key behind it. The shell's own start has READY as its prompt, and writes what
# is offered to $OFFERED; a line of dashes follows what was offered for each line.
zmodload zsh/zpty || exit 1
zpty shell "${(@q)argv}"
zpty -r shell said '*READY*' || exit 1
while IFS= read -r line; do
    ((count++))
    # The prompt changes, and what is typed does not look like it.
    zpty -w -n shell "$line"$'\t\C-u'"echo --- >> \$OFFERED; PS1=READ''Y$count."$'\n'
    zpty -r shell said "*READY$count.*" || exit 1
done
zpty -d shell
