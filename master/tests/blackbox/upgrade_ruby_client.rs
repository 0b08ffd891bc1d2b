//! Who speaks as the Ruby shell does gets a last reply to each failing upgrade that it
//! understands: a mapping with `message` and `request_id` and without `wait`.

use einhorn_master::psych::{self, Limits, Value};
use rustix::process::Signal;

use crate::support::Client;
use crate::support::site::Site;
use crate::worker::{told, told_in_shell};

fn good(version: &str) -> String {
    told_in_shell(&[&format!("version={version}"), "ack", "serve"])
}

/// As recorded of the Ruby shell: the id first, each argument a plain item at its parent's
/// indent.
fn request(id: &str, args: &[&str]) -> String {
    let items: Vec<String> = args.iter().map(|arg| format!("%0A- '{arg}'")).collect();
    let items = if args.is_empty() { " []".to_owned() } else { items.concat() };
    format!("---%0Aid: {id}%0Acommand: upgrade%0Aargs:{items}%0A\n")
}

/// The last reply to that request, as code of the error and message. Nothing but the keys that
/// a Ruby client knows, and `error`, is in any reply.
#[track_caller]
fn last_reply(client: &mut Client, id: i64) -> (Option<String>, String) {
    loop {
        let text = client.yaml_reply();
        let reply = psych::read(text.as_bytes(), &Limits::request()).unwrap();
        assert_eq!(reply.get("request_id"), Some(&Value::Integer(id)), "{text}");
        assert!(reply.get("result").is_none(), "{text}");
        let named = |key: &str| reply.get(key).and_then(Value::as_str).map(str::to_owned);
        let message = named("message").unwrap_or_else(|| panic!("no message: {text}"));
        match reply.get("wait") {
            Some(waits) => assert_eq!(waits, &Value::Bool(true), "{text}"),
            None => return (named("error"), message),
        }
    }
}

#[test]
fn every_failing_deploy_has_a_last_reply() {
    let site = Site::start(&["--ack-timeout", "2", "-t", "1"], &good("1"));
    let by_helper: Vec<String> =
        told(&["ack-for"]).iter().map(|word| format!("'{word}'")).collect();
    let short = format!("{}=$$; exit 7", by_helper.join(" "));
    let attempts = ["--attempts", "1"];
    let cases: [(&str, &[&str], &str); 4] = [
        ("exit 3", &attempts, "status 3"),
        ("exec sleep 1000000", &attempts, "no acknowledgement within 2 s"),
        (&short, &["--attempts", "1", "--soak", "5"], "status 7"),
        ("exec sleep 1000000", &["--timeout", "0.2"], "it took longer than 0.2 s"),
    ];
    let mut client = site.master.client();
    for (id, (body, args, cause)) in (1..).zip(cases) {
        site.deploy("2", body);
        client.send(request(&id.to_string(), args));
        let (error, message) = last_reply(&mut client, id);
        assert_eq!(error.as_deref(), Some("rolled_back"), "{message}");
        assert!(message.contains("rolled back") && message.contains(cause), "{message}");
    }
    // The same connection hears of a good one, and of the master's end.
    site.deploy("3", &good("3"));
    client.send(request("8", &[]));
    let (error, message) = last_reply(&mut client, 8);
    assert!(error.is_none() && message.contains("committed"), "{message}");
    site.deploy("4", "exec sleep 1000000");
    client.send(request("9", &[]));
    site.master.wait_for("a canary", |status| status["upgrade"]["phase"] == "canary");
    site.master.signal(Signal::TERM);
    let (error, message) = last_reply(&mut client, 9);
    assert_eq!(error.as_deref(), Some("shutting_down"), "{message}");
}

/// Fifty HUPs while a deploy crashes: the last of them is rolled back, and nothing remains.
#[test]
fn a_storm_of_hups_over_a_deploy_that_crashes_goes_back() {
    let site = Site::start(&["--upgrade-attempts", "2"], &good("1"));
    let before = site.master.pids();
    let watch = site.watch();
    site.deploy("2", "exit 3");
    for _ in 0..50 {
        site.master.signal(Signal::HUP);
    }
    site.master.wait_for_line("rolled back");
    let status = site.master.wait_for("its end", |status| {
        status["upgrade"].is_null() && status["checking"] == false && status["version"] == 0
    });
    assert_eq!(crate::support::pids(&status), before);
    watch.finish();
    site.answers("1");
}

/// The log is on a full disk all the while.
#[test]
fn a_log_on_a_full_disk_changes_no_outcome() {
    let folder = crate::support::Folder::new();
    let program = folder.script("run", &good("1"));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let options = ["-n", "2", "-m", "manual", "-s", "0.01", "-b", "127.0.0.1:0"];
    let launch = crate::support::Launch::within(folder, &options, &[program]);
    let master = launch.start_logging_to(full);
    master.wait_for_up(2);
    master.folder.script("run", "exit 3");
    let last = master.upgrade("upgrade").pop().unwrap();
    assert_eq!(last["error"], "rolled_back", "{last}");
    master.folder.script("run", &good("2"));
    let last = master.upgrade("upgrade").pop().unwrap();
    assert!(last["error"].is_null(), "{last}");
    master.wait_for_up(2);
}
