#![no_main]

einhorn_fuzz::target!("address");
