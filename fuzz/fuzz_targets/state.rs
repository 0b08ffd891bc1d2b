#![no_main]

einhorn_fuzz::target!("state");
