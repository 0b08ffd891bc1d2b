//! Addresses as they are typed, and the part of each bad one that is named.

use super::*;

/// What an address means, as `name | host | port | options`, or the error.
#[track_caller]
fn check(typed: &str, expected: &str) {
    let said = match BindAddress::parse(OsStr::new(typed)) {
        Err(error) => format!("error: {error}"),
        Ok(address) => {
            assert_eq!(address.typed, typed);
            format!(
                "{} | {} | {} |{}{}{}",
                address.name.as_deref().unwrap_or("-"),
                address.endpoint.host().to_string_lossy(),
                address.endpoint.port().map_or("-".into(), |port| port.to_string()),
                if address.reuse_address { " r" } else { "" },
                if address.non_blocking { " n" } else { "" },
                if address.balanced { " balance" } else { "" },
            )
        }
    };
    assert_eq!(said, expected, "{typed}");
}

#[test]
fn every_form() {
    check("127.0.0.1:8080", "- | 127.0.0.1 | 8080 |");
    check("0.0.0.0:0", "- | 0.0.0.0 | 0 |");
    check("[::1]:65535", "- | ::1 | 65535 |");
    check("[::]:80", "- | :: | 80 |");
    check("[::ffff:1.2.3.4]:80", "- | ::ffff:1.2.3.4 | 80 |");
    check("[fe80::1%2]:80", "- | fe80::1%2 | 80 |");
    check("localhost:80", "- | localhost | 80 |");
    check("my-host.example_1.:080", "- | my-host.example_1. | 80 |");
    check("unix:/run/a b.sock", "- | unix:/run/a b.sock | - |");
    check("unix:a=b:c", "- | unix:a=b:c | - |");
    check("0:80", "- | 0 | 80 |");
}

#[test]
fn options_in_any_case() {
    check("127.0.0.1:80,r", "- | 127.0.0.1 | 80 | r");
    check("127.0.0.1:80,N,R", "- | 127.0.0.1 | 80 | r n");
    check("[::1]:80,SO_REUSEADDR,o_NonBlock", "- | ::1 | 80 | r n");
    check("unix:/a,n", "- | unix:/a | - | n");
    check("h:1,r,r", "- | h | 1 | r");
    check("[::1]:0,r,Balance", "- | ::1 | 0 | r balance");
    check(
        "unix:/a,balance",
        "error: balance is for internet addresses: a unix socket has one queue for all workers",
    );
}

#[test]
fn names() {
    check("web=127.0.0.1:80", "web | 127.0.0.1 | 80 |");
    check("A-b_c.9=[::1]:80,r", "A-b_c.9 | ::1 | 80 | r");
    check("u=unix:/x=y", "u | unix:/x=y | - |");
    check("=127.0.0.1:80", "error: bad name \"\" (a name has letters, digits and _ . -)");
    check("w b=h:80", "error: bad name \"w b\" (a name has letters, digits and _ . -)");
    check("a=b=h:80", "error: bad host \"b=h\"");
}

#[test]
fn the_wrong_part_is_named() {
    let port =
        |text| format!("error: bad port \"{text}\" (a port is 0 to 65535, 0 for any free one)");
    check("127.0.0.1:65536", &port("65536"));
    check("127.0.0.1:", &port(""));
    check("127.0.0.1:http", &port("http"));
    check("127.0.0.1:+80", &port("+80"));
    check("127.0.0.1:-1", &port("-1"));
    check("[::1]:x,r", &port("x"));
    check("h:99999999999999999999", &port("99999999999999999999"));
    check("[::1]", "error: there is no port (write HOST:PORT, [IPv6]:PORT or unix:PATH)");
    check("8080", "error: there is no port (write HOST:PORT, [IPv6]:PORT or unix:PATH)");
    check(
        ":80",
        "error: there is no host before the port (for every address write 0.0.0.0 or [::])",
    );
    check("::1:80", "error: an IPv6 address goes in brackets: [::1]:PORT");
    check("[::1:80", "error: \"::1:80\" is not an IPv6 address");
    check("[1.2.3.4]:80", "error: \"1.2.3.4\" is not an IPv6 address");
    check("256.1.1.1:80", "error: \"256.1.1.1\" is not an IPv4 address");
    check("ho st:80", "error: bad host \"ho st\"");
    check("h\u{e9}:80", "error: bad host \"h\u{e9}\"");
    check("h\n:80", "error: bad host \"h\\n\"");
    let empty = "error: the address is empty (write HOST:PORT, [IPv6]:PORT or unix:PATH)";
    check("", empty);
    check(",r", empty);
    check("web=", empty);
    check("unix:", "error: unix: is followed by no usable path");
    check("unix:a\0b", "error: unix: is followed by no usable path");
    let option = |text| {
        format!(
            "error: unknown socket option \"{text}\" \
             (the options are r or so_reuseaddr, n or o_nonblock, balance)"
        )
    };
    check("h:80,", &option(""));
    check("h:80,x", &option("x"));
    check("h:80,r,so_keepalive", &option("so_keepalive"));
}

#[test]
fn limits() {
    let path = |length: usize| format!("unix:/{}", "x".repeat(length - 1));
    assert!(BindAddress::parse(OsStr::new(&path(107))).is_ok());
    check(&path(108), "error: the path is 108 bytes long (a unix socket's path has at most 107)");
    let host = |length: usize| format!("{}:1", "h".repeat(length));
    assert!(BindAddress::parse(OsStr::new(&host(253))).is_ok());
    assert!(BindAddress::parse(OsStr::new(&host(254))).is_err());
}

#[test]
fn bytes_that_are_no_text_survive_in_a_path_only() {
    let address = BindAddress::parse(OsStr::from_bytes(b"unix:/\xff\xfe")).unwrap();
    assert_eq!(address.endpoint.host().as_bytes(), b"unix:/\xff\xfe");
    assert!(BindAddress::parse(OsStr::from_bytes(b"h\xff:80")).is_err());
    assert!(BindAddress::parse(OsStr::from_bytes(b"n\xff=h:80")).is_err());
}

proptest::proptest! {
    #[test]
    fn never_panics(bytes: Vec<u8>) {
        let _ = BindAddress::parse(OsStr::from_bytes(&bytes));
    }

    #[test]
    fn never_panics_near_the_grammar(typed in "([a-z.=]{0,4})(\\[|unix:)?[0-9a-f:.%]{0,12}\\]?:?[0-9]{0,6}(,[rnx])?") {
        let _ = BindAddress::parse(OsStr::new(&typed));
    }
}
