//! Who may speak to a master: its user, root, those named, and workers for themselves.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::process::{Child, Command, Stdio};

use einhorn_protocol::limit::{CLIENTS_MAX, CLIENTS_PER_UID_MAX, WORKER_CLIENTS_MAX};
use rustix::process::{Signal, getuid};

use crate::support::process::raise_open_files;
use crate::support::process::{send, start};
use crate::support::{Folder, IDLE, Launch, Master, worker_of};
use crate::worker::{told, told_in_shell};

/// Two users and a group that nobody else has; only root can take them.
const OWNER: u32 = 3_900_001;
const OTHER: u32 = 3_900_002;
const GROUP: u32 = 3_900_003;

/// A folder that everybody may look into, and a master in it.
fn open_to_all(options: &[&str]) -> Launch {
    let folder = Folder::new();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    Launch::within(folder, options, &IDLE)
}

/// The mode of the command socket.
fn mode(master: &Master) -> u32 {
    fs::metadata(&master.socket).unwrap().permissions().mode() & 0o777
}

/// What a user in some groups is answered; nothing if there is no connection.
fn answer_to(master: &Master, uid: u32, gids: &[u32]) -> String {
    let talk = format!("talk={}", master.socket.display());
    let output = as_user(master, uid, gids, &talk).wait_with_output().unwrap();
    String::from_utf8(output.stderr).unwrap()
}

/// A process of a user in some groups that does as told. Its input and its errors are pipes.
fn as_user(master: &Master, uid: u32, gids: &[u32], word: &str) -> Child {
    let words = told(&[word]);
    let program = master.folder.join("client");
    if !program.exists() {
        master.folder.copy(&words[0], "client");
    }
    let groups: Vec<String> = gids.iter().map(ToString::to_string).collect();
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={uid}"), format!("--regid={uid}")]);
    match gids {
        [] => command.arg("--clear-groups"),
        _ => command.arg(format!("--groups={}", groups.join(","))),
    };
    command.arg(program).args(&words[1..]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    start(&mut command)
}

fn is_welcome(answer: &str) -> bool {
    answer.contains("Welcome")
}

#[test]
fn a_user_that_is_named_may_give_commands_also_after_a_reload() {
    if !getuid().is_root() {
        return;
    }
    let master = open_to_all(&["-n", "1", "--allow-uid", &OTHER.to_string()]).start();
    for reloads in 0..2 {
        assert_eq!(mode(&master), 0o666);
        assert!(is_welcome(&answer_to(&master, OTHER, &[])), "{reloads}");
        let refused = answer_to(&master, OWNER, &[OTHER]);
        assert!(refused.contains("not_permitted") && refused.contains("3900001"), "{refused}");
        if reloads == 0 {
            master.command("reload", &[]);
            master.wait_for("the next image", |status| status["generation"] == 1);
        }
    }
    master.stop();
}

#[test]
fn a_group_that_is_named_gets_the_file_and_nobody_else_may_connect() {
    if !getuid().is_root() {
        return;
    }
    let master = open_to_all(&["-n", "1", "--allow-gid", &GROUP.to_string()]).start();
    assert_eq!((mode(&master), fs::metadata(&master.socket).unwrap().gid()), (0o660, GROUP));
    assert!(is_welcome(&answer_to(&master, OTHER, &[GROUP])));
    let denied = answer_to(&master, OTHER, &[]);
    assert!(denied.contains("PermissionDenied"), "{denied}");
    master.stop();
}

#[test]
fn where_the_file_cannot_be_given_to_the_group_everybody_may_connect_and_is_asked_who_it_is() {
    if !getuid().is_root() {
        return;
    }
    let folder = Folder::new();
    chown(folder.path(), Some(OWNER), Some(OWNER)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let einhorn = folder.copy(crate::support::EINHORN, "einhorn");
    let owner = [format!("--reuid={OWNER}"), format!("--regid={OWNER}")];
    let as_owner = ["setpriv", &owner[0], &owner[1], "--clear-groups"];
    let options = ["-n", "1", "--allow-gid", &GROUP.to_string()];
    let launch = Launch::within(folder, &options, &IDLE).called(einhorn).under(&as_owner);
    let master = launch.start();
    let line = master.wait_for_line("to group 3900003");
    assert!(line.contains("cannot give") && line.contains("everybody may connect"), "{line}");
    assert_eq!(mode(&master), 0o666);
    assert!(is_welcome(&answer_to(&master, OTHER, &[GROUP])));
    let refused = answer_to(&master, OTHER, &[]);
    assert!(refused.contains("not_permitted") && refused.contains("3900002"), "{refused}");
    master.stop();
}

#[test]
fn an_option_on_the_command_line_of_a_reload_takes_the_place_of_the_former_ones() {
    if !getuid().is_root() {
        return;
    }
    let folder = Folder::new();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let reexec = format!("{} --allow-gid {GROUP}", crate::support::EINHORN);
    let options = ["-n", "1", "--allow-uid", "3900002", "--reexec-as", &reexec];
    let master = Launch::within(folder, &options, &IDLE).start();
    master.command("reload", &[]);
    master.wait_for("the next image", |status| status["generation"] == 1);
    // The user is still named by the state.
    assert_eq!(mode(&master), 0o666);
    assert!(is_welcome(&answer_to(&master, OWNER, &[GROUP])));
    assert!(is_welcome(&answer_to(&master, OTHER, &[])));
    master.stop();
}

#[test]
fn nobody_by_that_name() {
    for (option, kind) in [("--allow-uid", "user"), ("--allow-gid", "group")] {
        let line = Launch::new(&[option, "no-such-name"], &IDLE).run().refused(&[]);
        let expected = format!("{option} no-such-name: there is no such {kind}");
        assert!(line.contains(&expected), "{line}");
        let line = Launch::new(&[option, ""], &IDLE).run().refused(&[]);
        assert!(line.contains("a name or a number"), "{line}");
    }
    let master = Master::start(&["--allow-uid", "root", "--allow-gid", "root"], &IDLE);
    master.stop();
}

/// Workers that give their user up and then do as told.
fn dropped(words: &[&str]) -> String {
    let drop = format!("setpriv --reuid={OWNER} --regid={OWNER} --clear-groups");
    told_in_shell(words).replace("exec ", &format!("exec {drop} "))
}

#[test]
fn a_worker_that_became_another_user_says_that_it_is_up_and_nothing_else() {
    if !getuid().is_root() {
        return;
    }
    let folder = Folder::new();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let words = told(&[]);
    folder.copy(&words[0], "worker");
    let socket = folder.word("einhorn.sock");
    let own = dropped(&["ack", "ping=alive", &format!("talk={socket}"), "hang"]);
    let script = folder.script("run", &own.replace(&words[0], &folder.word("worker")));
    // A stranger is allowed, so that the file lets everybody in.
    let options = ["-n", "1", "-m", "manual", "--allow-uid", &OTHER.to_string()];
    let master = Launch::within(folder, &options, &[script]).start();
    let status = master.wait_for_up(1);
    let line = master.wait_for_line("not_permitted");
    assert!(line.contains("ehlo is not for a worker's connection"), "{line}");
    let worker = master.only_pid();
    master.wait_until("its ping", || master.state().contains("alive").then_some(()));
    assert_eq!(worker_of(&status, worker)["stage"], "up");
    // Another process of that user is a stranger.
    let refused = answer_to(&master, OWNER, &[]);
    assert!(refused.contains("uid 3900001 may not speak"), "{refused}");
    send(worker, Signal::KILL);
    master.stop();
}

#[test]
fn a_worker_of_another_user_cannot_speak_for_a_second_one() {
    if !getuid().is_root() {
        return;
    }
    let folder = Folder::new();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let words = told(&[]);
    folder.copy(&words[0], "worker");
    let first = folder.word("first");
    // The first says who it is, the second says that the first is up.
    let speaks = dropped(&["ack-for-and-go=$(cat $0)", "hang"]);
    let speaks = speaks
        .replace(&words[0], &folder.word("worker"))
        .replace("'ack-for-and-go=$(cat $0)'", &format!("ack-for-and-go=$(cat {first})"));
    let script = folder.script(
        "run",
        &format!(
            "if [ $EINHORN_CHILD_INDEX = 0 ]; then echo $$ > {first}.new; mv {first}.new {first}; \
             exec sleep 1000000; fi\nwhile [ ! -e {first} ]; do sleep 0.05; done\n{speaks}"
        ),
    );
    let options = ["-n", "2", "-m", "manual", "--allow-uid", &OTHER.to_string()];
    let master = Launch::within(folder, &options, &[script]).start();
    let line = master.wait_for_line("acknowledgement ignored");
    assert!(line.contains("is not worker"), "{line}");
    assert_eq!(worker_of(&master.status(), master.pids()[0])["stage"], "starting");
    master.stop();
}

#[test]
fn a_worker_of_another_user_has_as_many_connections_as_all_of_them_may() {
    if !getuid().is_root() {
        return;
    }
    let folder = Folder::new();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    raise_open_files();
    let words = told(&[]);
    folder.copy(&words[0], "worker");
    let crowd = format!("crowd-of-worker={WORKER_CLIENTS_MAX}");
    let script = dropped(&[&crowd, "ack", "hang"]).replace(&words[0], &folder.word("worker"));
    let script = folder.script("run", &script);
    let options = ["-n", "1", "-m", "manual", "--allow-uid", &OTHER.to_string()];
    let master = Launch::within(folder, &options, &[script]).start();
    let line = master.wait_for_line("overloaded");
    assert!(line.contains("too many clients: 1024 of uid 3900001"), "{line}");
    // Everybody else is served meanwhile, and so is the worker when it has closed some.
    master.wait_for_up(1);
    master.stop();
}

#[test]
fn as_many_clients_of_all_users_as_there_may_be() {
    if !getuid().is_root() {
        return;
    }
    raise_open_files();
    let third = GROUP.to_string();
    let allowed = ["--allow-uid", &OWNER.to_string(), "--allow-uid", &OTHER.to_string()];
    let options: Vec<&str> =
        ["-n", "1", "--allow-uid", &third].into_iter().chain(allowed).collect();
    let master = open_to_all(&options).start();
    let crowd = format!("crowd={CLIENTS_PER_UID_MAX},{}", master.socket.display());
    const { assert!(CLIENTS_MAX == 2 * CLIENTS_PER_UID_MAX) };
    let mut crowds = [OWNER, OTHER].map(|uid| as_user(&master, uid, &[], &crowd));
    for crowd in &mut crowds {
        let mut line = String::new();
        BufReader::new(crowd.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "2048 are in\n");
    }
    let refused = answer_to(&master, GROUP, &[]);
    assert!(refused.contains("overloaded") && refused.contains("0 of uid 3900003"), "{refused}");
    for mut crowd in crowds {
        drop(crowd.stdin.take());
        assert!(crowd.wait().unwrap().success());
    }
    master.wait_until("room again", || is_welcome(&answer_to(&master, GROUP, &[])).then_some(()));
    master.stop();
}

#[test]
fn a_connection_that_g_gives_takes_no_commands() {
    let mut words = vec!["ack-by-descriptor", "hang"];
    let master = Master::start(&["-n", "1", "-m", "manual", "-g"], &told(&words));
    master.wait_for_up(1);
    master.stop();
    words.insert(0, "ask-by-descriptor=die");
    let master = Master::start(&["-n", "1", "-m", "manual", "-g"], &told(&words));
    let line = master.wait_for_line("not_permitted");
    assert!(line.contains("die is not for a worker's connection"), "{line}");
    master.wait_for_up(1);
    master.stop();
}

/// A folder with that owner, group and mode is no place for the command socket.
#[track_caller]
fn refuses(owner: u32, group: u32, mode: u32, words: &str) {
    let folder = Folder::new();
    let place = folder.join("place");
    fs::create_dir(&place).unwrap();
    chown(&place, Some(owner), Some(group)).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(mode)).unwrap();
    let socket = place.join("e.sock");
    let options = ["-d", socket.to_str().unwrap()];
    let finished = Launch::within(folder, &options, &IDLE).run();
    let line = finished.refused(&["place"]);
    assert!(line.contains(words) && line.contains("-d PATH"), "{line}");
    assert_eq!(fs::read_dir(finished.folder.join("place")).unwrap().count(), 0);
}

#[test]
fn a_folder_in_which_somebody_else_could_put_a_socket_is_refused() {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    refuses(uid, gid, 0o777, "everybody may write to the folder");
    if getuid().is_root() {
        refuses(OTHER, gid, 0o755, "the folder belongs to uid 3900002");
        refuses(uid, GROUP, 0o775, "group 3900003 may write to the folder");
    }
}

#[test]
fn a_shared_folder_with_the_sticky_bit_is_good_enough() {
    let folder = Folder::new();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    Launch::within(folder, &["-n", "1"], &IDLE).start().stop();
}
