# fish completion for einhornsh. Made by `make generate`; do not edit.

function __einhornsh_names
    for folder in "$TMPDIR" "$TMP" "$TEMP" /tmp
        if test -n "$folder" -a -d "$folder" -a -w "$folder"
            for socket in $folder/einhorn-*.sock
                test -S $socket; and string replace -r '.*/einhorn-(.*)\.sock$' '$1' $socket
            end
            return
        end
    end
end

function __einhornsh_commands
    set -l line (string trim -c '\'"' -- (commandline -ct))
    set -l before (string match -r '.*[; ]' -- $line)
    switch (string match -r '[^;]*$' -- "$before")
        case '*signal *' '*die *'
            printf '%s\n' "$before"(string split ' ' 'HUP INT QUIT USR1 USR2 TERM KILL')
        case '*'
            printf '%s\t%s\n' "$before"status 'workers, listeners and the upgrade in progress'
            printf '%s\t%s\n' "$before"upgrade 'reload, then replace the workers one after the other'
            printf '%s\t%s\n' "$before"upgrade_fleet 'reload, start a whole new set of workers, retire the old set'
            printf '%s\t%s\n' "$before"abort 'give the upgrade in progress up and keep the old version'
            printf '%s\t%s\n' "$before"reload 're-execute the master and leave the workers alone'
            printf '%s\t%s\n' "$before"recycle 'replace workers: each is asked to stop once a replacement is up'
            printf '%s\t%s\n' "$before"inc 'one worker more'
            printf '%s\t%s\n' "$before"dec 'one worker less'
            printf '%s\t%s\n' "$before"set_workers 'set the number of workers'
            printf '%s\t%s\n' "$before"signal 'send signals to all workers'
            printf '%s\t%s\n' "$before"die 'stop all workers (by the stop signal unless said otherwise), then the master'
            printf '%s\t%s\n' "$before"config 'change settings: {seconds: 0.5, signal_timeout: 30}'
            printf '%s\t%s\n' "$before"quieter 'log less'
            printf '%s\t%s\n' "$before"louder 'log more'
            printf '%s\t%s\n' "$before"state 'the whole state as YAML'
            printf '%s\t%s\n' "$before"help 'this list'
            printf '%s\t%s\n' "$before"ehlo 'a greeting, and what this master can do'
    end
end

complete -c einhornsh -s c -l command-name -xa '(__einhornsh_names)' -d 'Talk to the master that was started with --command-name NAME'
complete -c einhornsh -s d -l socket-path -rF -d 'Command socket; in a folder, einhorn.sock'
complete -c einhornsh -s e -l execute -xa '(__einhornsh_commands)' -d 'Send these commands, wait for each to finish, and leave'
complete -c einhornsh -s h -l help -d 'Print this text'
complete -c einhornsh -l version -d 'Print the version'
complete -c einhornsh -f -a '(__einhornsh_names)' -d 'master'
