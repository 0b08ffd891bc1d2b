#![no_main]

einhorn_fuzz::target!("options");
