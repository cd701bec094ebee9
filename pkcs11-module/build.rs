//! Link flags of the shared library.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // Threads of the host may hold thread-local values of ours (AWS-LC's random generators have
        // destructors there) that run when the thread ends. If the code were gone by then, dlclose
        // would have armed a crash. So the library, once loaded, stays mapped.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
