//! What a worker finds in its environment, in all shapes of sockets and numbering.

use super::*;

const INET: fn(RawFd) -> WorkerSocket =
    |number| WorkerSocket { number, family: Family::Inet, name: None };

fn plain(base: FdBase) -> Numbering {
    Numbering { base, listen_fds: false }
}

#[test]
fn a_name_stands_once() {
    let pairs = [("A", "1"), ("B", "2"), ("A", "3")];
    let environment: Environment =
        pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    assert_eq!(environment.get("A"), Some(OsStr::new("1")));
    assert_eq!(environment.iter().count(), 2);
    let changed = environment.with("A", "4").without(&["B".into()]);
    assert_eq!(changed.iter().collect::<Vec<_>>(), [(OsStr::new("A"), OsStr::new("4"))]);
}

#[track_caller]
fn check(start: &[(&str, &str)], sockets: &[WorkerSocket], base: FdBase, expect: &[&str]) {
    check_numbered(start, sockets, plain(base), expect);
}

#[track_caller]
fn check_numbered(
    start: &[(&str, &str)],
    sockets: &[WorkerSocket],
    numbering: Numbering,
    expect: &[&str],
) {
    let start = start.iter().map(|(name, value)| (OsStr::new(*name), OsStr::new(*value)));
    let path = Path::new("/run/e.sock");
    let shared = SharedEnvironment::new(start, 812, path, sockets, numbering);
    let found: Vec<&str> = shared.variables().map(|text| text.to_str().unwrap()).collect();
    assert_eq!(found, expect);
}

const MASTER: &str = "EINHORN_MASTER_PID=812";
const SOCK: &str = "EINHORN_SOCK_PATH=/run/e.sock";

#[test]
fn without_sockets_the_count_is_zero() {
    check(&[], &[], FdBase::Zero, &[MASTER, SOCK, "EINHORN_FD_COUNT=0", "EINHORN_FDS="]);
    check(&[], &[], FdBase::One, &[MASTER, SOCK, "EINHORN_FD_COUNT=0", "EINHORN_FDS="]);
}

#[test]
fn a_single_socket_is_numbered_both_ways() {
    for base in [FdBase::Zero, FdBase::One] {
        let expect = [
            MASTER,
            SOCK,
            "EINHORN_FD_COUNT=1",
            "EINHORN_FDS=7",
            "EINHORN_FD_0=7",
            "EINHORN_FD_FAMILY_0=AF_INET",
            "EINHORN_FD_1=7",
            "EINHORN_FD_FAMILY_1=AF_INET",
        ];
        check(&[], &[INET(7)], base, &expect);
    }
}

#[test]
fn several_sockets_keep_their_order_and_count_from_the_base() {
    let sockets = [
        INET(9),
        WorkerSocket { number: 5, family: Family::Inet6, name: Some("six".into()) },
        WorkerSocket { number: 12, family: Family::Unix, name: None },
    ];
    let expect = [
        MASTER,
        SOCK,
        "EINHORN_FD_COUNT=3",
        "EINHORN_FDS=9 5 12",
        "EINHORN_FD_0=9",
        "EINHORN_FD_FAMILY_0=AF_INET",
        "EINHORN_FD_1=5",
        "EINHORN_FD_FAMILY_1=AF_INET6",
        "EINHORN_FD_2=12",
        "EINHORN_FD_FAMILY_2=AF_UNIX",
    ];
    check(&[], &sockets, FdBase::Zero, &expect);
    let expect = [
        MASTER,
        SOCK,
        "EINHORN_FD_COUNT=2",
        "EINHORN_FDS=9 5",
        "EINHORN_FD_1=9",
        "EINHORN_FD_FAMILY_1=AF_INET",
        "EINHORN_FD_2=5",
        "EINHORN_FD_FAMILY_2=AF_INET6",
    ];
    check(&[], &sockets[..2], FdBase::One, &expect);
}

#[test]
fn by_the_convention_sockets_count_from_three_and_have_names() {
    let named = |number, name: &str| WorkerSocket { name: Some(name.into()), ..INET(number) };
    let numbering = Numbering { base: FdBase::Zero, listen_fds: true };
    let sockets = [named(9, "web"), INET(3), named(4, "admin")];
    let expect = [
        MASTER,
        SOCK,
        "EINHORN_FD_COUNT=3",
        "EINHORN_FDS=3 4 5",
        "EINHORN_FD_0=3",
        "EINHORN_FD_FAMILY_0=AF_INET",
        "EINHORN_FD_1=4",
        "EINHORN_FD_FAMILY_1=AF_INET",
        "EINHORN_FD_2=5",
        "EINHORN_FD_FAMILY_2=AF_INET",
        "LISTEN_FDS=3",
        "LISTEN_FDNAMES=web:unknown:admin",
    ];
    let inherited = [("LISTEN_FDS", "9"), ("LISTEN_FDNAMES", "x"), ("LISTEN_PID", "1")];
    check_numbered(&inherited, &sockets, numbering, &expect);
    let none = [MASTER, SOCK, "EINHORN_FD_COUNT=0", "EINHORN_FDS="];
    check_numbered(&inherited, &[], numbering, &none);
    assert_eq!([numbering.number(0, 9), numbering.number(3, 4)], [3, 6]);
    assert_eq!(plain(FdBase::Zero).number(3, 4), 4);
}

#[test]
fn what_was_said_to_the_master_is_not_passed_on() {
    let start = [
        ("HOME", "/home"),
        ("EINHORN_MASTER_PID", "1"),
        ("EINHORN_FD_3", "44"),
        ("EINHORN_FD_FAMILY_3", "AF_INET"),
        ("EINHORN_SOCK_FD", "9"),
        ("EINHORN_UPGRADE_CHECK_FD", "5"),
        ("EINHORN_OF_LATER", "x"),
        ("LISTEN_FDS", "2"),
        ("LISTEN_PID", "3"),
        ("LISTEN_PIDFDID", "3"),
        ("LISTEN_FDNAMES", "a:b"),
        ("NOTIFY_SOCKET", "/run/notify"),
        ("WATCHDOG_USEC", "1"),
        ("WATCHDOG_PID", "1"),
        ("LISTEN_ADDRESS", "of the program's own"),
        ("EINHORN", "no prefix"),
        ("EMPTY", ""),
    ];
    let expect = [
        "HOME=/home",
        "LISTEN_ADDRESS=of the program's own",
        "EINHORN=no prefix",
        "EMPTY=",
        MASTER,
        SOCK,
        "EINHORN_FD_COUNT=0",
        "EINHORN_FDS=",
    ];
    check(&start, &[], FdBase::Zero, &expect);
}

#[test]
fn bytes_that_are_no_text_pass_unchanged() {
    let name = OsStr::from_bytes(b"N\xff");
    let value = OsStr::from_bytes(b"\xfe=\n");
    let path = Path::new(OsStr::from_bytes(b"/run/\xe4.sock"));
    let shared = SharedEnvironment::new([(name, value)], 1, path, &[], plain(FdBase::Zero));
    let found: Vec<&[u8]> = shared.variables().map(CStr::to_bytes).collect();
    assert_eq!(found[0], b"N\xff=\xfe=\n");
    assert_eq!(found[2], b"EINHORN_SOCK_PATH=/run/\xe4.sock");
}

#[test]
fn a_worker_has_an_index_and_perhaps_descriptors_of_its_own() {
    assert_eq!(SharedEnvironment::of_one_worker(3, []), [CString::from(c"EINHORN_CHILD_INDEX=3")]);
    assert_eq!(
        SharedEnvironment::of_one_worker(0, [(names::SOCK_FD, 17), (names::READY_FD, 5)]),
        [
            CString::from(c"EINHORN_CHILD_INDEX=0"),
            c"EINHORN_SOCK_FD=17".into(),
            c"EINHORN_READY_FD=5".into()
        ]
    );
}

#[test]
fn a_forked_worker_has_the_same_variables_with_places_for_numbers() {
    let sockets = [INET(9), INET(5)];
    let none: [(&OsStr, &OsStr); 0] = [];
    let path = Path::new("/run/e.sock");
    let shared = SharedEnvironment::new(none, 812, path, &sockets, plain(FdBase::One));
    let shown = |variable: &Variable| match &variable.value {
        Value::Text(text) => format!("{}={}", variable.name, String::from_utf8_lossy(text)),
        Value::Numbers(places) => format!("{}={places:?}", variable.name),
    };
    let found: Vec<String> =
        shared.of_forked_worker(3, [names::SOCK_FD, names::READY_FD]).iter().map(shown).collect();
    let expect = [
        MASTER,
        SOCK,
        "EINHORN_FD_COUNT=2",
        "EINHORN_FDS=[0, 1]",
        "EINHORN_FD_1=[0]",
        "EINHORN_FD_FAMILY_1=AF_INET",
        "EINHORN_FD_2=[1]",
        "EINHORN_FD_FAMILY_2=AF_INET",
        "EINHORN_CHILD_INDEX=3",
        "EINHORN_SOCK_FD=[2]",
        "EINHORN_READY_FD=[3]",
    ];
    assert_eq!(found, expect);
    assert_eq!(shared.of_forked_worker(3, []).len(), expect.len() - 2);
}
