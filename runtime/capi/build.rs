//! Names the shared library inside itself: programs then ask the system for `libkinograph` and its binary interface, whatever
//! the file is called in the build directory.

fn main() {
    // The number is `KINOGRAPH_ABI_VERSION`; a test holds them together.
    let abi = 1;
    println!("cargo:rerun-if-changed=build.rs");
    match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("linux" | "android" | "freebsd" | "netbsd" | "openbsd" | "dragonfly") => {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libkinograph.so.{abi}");
        }
        Ok("macos" | "ios") => {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libkinograph.{abi}.dylib");
        }
        _ => {}
    }
}
