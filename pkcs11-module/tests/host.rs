//! The library never harms its host: a C program (`host.c`, compiled here) that forks, unloads it,
//! finalizes it under threads and holds another libcrypto. And the threads of pkcs11-tool.

use std::path::Path;
use std::process::Command;

use crate::copy::Copy;

/// The program, compiled into a copy's directory.
pub fn compile(dir: &Path) -> std::path::PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host.c");
    let program = dir.join("host");
    let flags = [
        "-std=gnu11",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-O1",
        "-rdynamic",
    ];
    let out = Command::new("cc")
        .args(flags)
        .args(["-o".as_ref(), program.as_os_str()])
        .args([source, "-pthread", "-ldl"])
        .output()
        .expect("a C compiler, as AWS-LC wants one");
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    program
}

fn runs(copy: &Copy, program: &Path, mode: &str) {
    let out = Command::new(program)
        .arg(copy.path())
        .arg(mode)
        .env("KEYSTEAD_PKCS11_CONF", copy.dir().join("pkcs11.toml"))
        .env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0")
        .env_remove("KEYSTEAD_PKCS11_LOG")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{mode}: {}\n{said}", out.status);
    assert_eq!(
        said, "",
        "{mode}: nothing is said on the host's standard error"
    );
}

/// Each mode on a token of its own.
fn host(modes: &[&str]) {
    let copy = Copy::new();
    let (p11, _slot) = copy.token();
    p11.finalize().unwrap();
    let program = compile(copy.dir());
    for mode in modes {
        runs(&copy, &program, mode);
    }
}

#[test]
fn forks() {
    host(&["fork-before-login", "fork-after-login", "fork-and-exec"]);
}

#[test]
fn forks_under_threads() {
    host(&["fork-under-threads"]);
}

#[test]
fn a_parent_that_ends_before_its_child() {
    host(&["fork-and-end"]);
}

#[test]
fn forks_amid_the_work_of_threads() {
    host(&["fork-amid-work", "fork-amid-a-long-call"]);
}

#[test]
fn forks_amid_the_handlers_of_other_libraries() {
    host(&["fork-amid-handlers"]);
    host(&["fork-and-start-anew"]);
    host(&["fork-beside-handlers"]);
}

#[test]
fn forks_under_a_lock_of_another_library() {
    host(&["fork-under-their-lock"]);
}

#[test]
fn forks_out_of_a_signal_handler() {
    host(&["fork-in-a-signal-handler"]);
    host(&["fork-within-a-fork"]);
}

#[test]
#[ignore = "long: ./check full"]
fn many_forks_amid_the_work_of_threads() {
    host(&["fork-amid-work-long"]);
}

#[test]
fn threads_and_the_end() {
    host(&[
        "threads-outlive-finalize",
        "exit-under-threads",
        "finalize-and-exit-under-threads",
    ]);
}

#[test]
fn unloading() {
    host(&["unload", "unload-before-thread-ends"]);
}

#[test]
fn another_cryptographic_library() {
    host(&["beside-openssl", "beside-gnutls", "beside-nss"]);
}

#[test]
fn rounds_leave_nothing_behind() {
    host(&["leaks-nothing"]);
}

#[test]
fn the_threads_of_pkcs11_tool() {
    let copy = Copy::new();
    let (p11, _slot) = copy.token();
    p11.finalize().unwrap();
    let out = Command::new("pkcs11-tool")
        .arg("--module")
        .arg(copy.path())
        // Initialize with locking, get information, list slots, ask the token; others meanwhile too.
        .args(["--test-threads", "ILGISLT0"])
        .args(["--test-threads", "P1GISLT0GISLT0"])
        .args(["--test-threads", "P1SLGIT0SLGIT0"])
        .env("KEYSTEAD_PKCS11_CONF", copy.dir().join("pkcs11.toml"))
        .output()
        .expect("pkcs11-tool (opensc)");
    let said = [out.stdout, out.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(out.status.success(), "{said}");
    let end = "all threads have ended with CKR_OK";
    let (_, end) = said.split_once(end).unwrap_or_else(|| panic!("{said}"));
    assert_eq!(end.matches("state:-1, rv:CKR_OK").count(), 3, "{said}");
}
