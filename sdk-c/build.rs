//! Gives the shared library its name for the dynamic linker, and keeps it loaded: a signal
//! handler of its may be installed.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let system = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let arguments: &[&str] = match system.as_str() {
        "macos" => &["-Wl,-install_name,@rpath/libeinhorn.1.dylib"],
        _ => &["-Wl,-soname,libeinhorn.so.1", "-Wl,-z,nodelete"],
    };
    for argument in arguments {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
}
