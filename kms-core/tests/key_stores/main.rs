//! The key store suite on SoftHSM2, and the refusals that need no particular module.
//!
//! SoftHSM2 reads its configuration's path from the environment and has one state a process, so each test runs in a child of its own
//! that is started with that environment.

mod fake;
mod management;
mod refusals;

use std::path::Path;
use std::process::Command;

/// Runs the ignored test `name` of this binary in a child with a token directory of its own.
fn in_child(name: &str) {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let conf = dir.path().join("softhsm2.conf");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
        tokens.display()
    );
    std::fs::write(&conf, text).unwrap();
    let out = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            name,
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("SOFTHSM2_CONF", &conf)
        .env("KEYSTEAD_TEST_DIR", dir.path())
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    assert!(
        out.status.success() && said.contains("1 passed"),
        "{name} failed in its child:\n{said}"
    );
}

fn dir() -> std::path::PathBuf {
    Path::new(&std::env::var_os("KEYSTEAD_TEST_DIR").expect("started by its parent")).to_owned()
}

#[test]
fn suite_on_softhsm2() {
    in_child("suite_child");
}

#[test]
#[ignore = "run by suite_on_softhsm2 in a process of its own"]
fn suite_child() {
    kms_core::suite::run(&fake::SoftHsm::new(), &dir().join("data"));
}

#[test]
fn refusals_and_management() {
    in_child("refusals_child");
}

#[test]
#[ignore = "run by refusals_and_management in a process of its own"]
fn refusals_child() {
    refusals::run(&fake::SoftHsm::new(), &dir().join("data"));
}
