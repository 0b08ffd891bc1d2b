//! What a Ruby master was seen to die or hang of (`protocol.md §3`, its last paragraph), a test
//! a fault. Each is shown where it belongs, and listed here so that none is forgotten.

use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::support::{IDLE, Master};
use crate::{command_socket_hostile as hostile, commands, reload, upgrade};

#[test]
fn ruby_fault_a_byte_beyond_ascii_kills_it() {
    hostile::bytes_that_are_no_text();
}

#[test]
fn ruby_fault_an_unknown_alias_kills_it() {
    hostile::check(b"---%0Acommand: *nobody%0A\n", "malformed", false);
}

#[test]
fn ruby_fault_a_bare_date_kills_it() {
    hostile::check(b"---%0Acommand: ehlo%0Auser: 2026-11-23%0A\n", "", false);
}

#[test]
fn ruby_fault_an_object_tag_kills_it() {
    hostile::check(b"--- !ruby/object:Object%0Acommand: ehlo%0A\n", "malformed", false);
}

#[test]
fn ruby_fault_lists_nested_3000_deep_kill_it_at_once() {
    hostile::nesting();
}

#[test]
fn ruby_fault_an_alias_bomb_takes_950_mb_and_blocks_everyone() {
    // The memory and a bystander are looked at in there.
    hostile::aliases();
}

#[test]
fn ruby_fault_a_line_without_an_end_grows_it_without_bound() {
    hostile::lines_without_an_end();
}

#[test]
fn ruby_fault_a_client_that_never_reads_grows_it_and_delays_others() {
    hostile::a_client_that_never_reads_is_cut_off_and_the_others_are_served();
}

#[test]
fn ruby_fault_running_out_of_descriptors_kills_it() {
    hostile::out_of_descriptors_those_who_are_in_are_served_and_the_rest_are_turned_away();
}

#[test]
fn ruby_fault_a_failed_fork_hangs_it_and_term_is_unanswered() {
    hostile::a_stop_ends_a_master_that_cannot_start_anything();
}

#[test]
fn ruby_fault_fifty_hups_in_a_second_kill_it() {
    hostile::fifty_hups_in_a_moment_end_in_one_new_fleet();
}

#[test]
fn ruby_fault_a_term_in_the_middle_of_a_reload_kills_it() {
    reload::a_stop_in_the_middle_is_a_stop();
}

#[test]
fn ruby_fault_a_full_pipe_behind_its_log_blocks_it() {
    hostile::a_full_pipe_behind_the_log_blocks_nobody_and_losses_are_counted();
}

#[test]
fn ruby_fault_config_always_fails() {
    commands::config_changes_all_or_nothing();
}

#[test]
fn ruby_fault_after_a_failed_reload_its_caller_waits_for_ever() {
    let options = ["-n", "1", "-m", "0", "--reexec-as", "/no/such/master"];
    let mut master = Master::start(&options, &IDLE);
    master.wait_for_up(1);
    let worker = master.only_pid();
    for command in ["upgrade", "upgrade_fleet", "reload"] {
        let last = master.upgrade(command).pop().unwrap();
        assert_eq!(last["error"], "reload_failed", "{last}");
        assert_eq!(last["wait"], Json::Null, "{last}");
    }
    assert_eq!(master.only_pid(), worker);
    master.signal(Signal::TERM);
    assert_eq!(master.wait(), 0);
}

#[test]
fn ruby_fault_an_upgrade_that_nobody_acknowledges_has_no_end() {
    // It ends by itself where nobody ends it.
    let options = ["-n", "1", "-m", "manual", "--ack-timeout", "0.2", "--upgrade-attempts", "1"];
    let master = Master::start(&[&options[..], &["-t", "1"]].concat(), &IDLE);
    let worker = master.only_pid();
    master.acknowledge(worker);
    let last = master.upgrade("upgrade").pop().unwrap();
    assert_eq!(last["error"], "rolled_back", "{last}");
    assert_eq!(master.ask(&json!({"command": "ehlo", "id": 1}))["request_id"], 1);
    assert_eq!(master.only_pid(), worker);
}

#[test]
fn ruby_fault_an_upgrade_that_nobody_acknowledges_cannot_be_cancelled() {
    upgrade::an_upgrade_to_a_program_that_never_says_it_is_up_ends_by_abort();
}
