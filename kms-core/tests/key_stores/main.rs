//! The key store suite on SoftHSM2 or a named module, and the refusals that need no particular module.
//!
//! On our module's embedded tokens: KEYSTEAD_TEST_MODULE names the library, and KEYSTEAD_TEST_MODULE_CONF is `config=FILE` with a file that
//! says `empty-slot = true`, since each cluster and each service of the stories makes a token of its own.
//!
//! SoftHSM2 reads its configuration's path from the environment and has one state a process, so each test runs in a child of its own
//! that is started with that environment.

mod management;
mod refusals;

use std::path::PathBuf;
use std::process::Command;

use kms_core::suite::tokens::Tokens;

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

fn dir() -> PathBuf {
    std::env::var_os("KEYSTEAD_TEST_DIR")
        .expect("started by its parent")
        .into()
}

/// The module that KEYSTEAD_TEST_MODULE names, with KEYSTEAD_TEST_MODULE_CONF for its configuration; else SoftHSM2.
fn target() -> Tokens {
    if let Some(named) = std::env::var_os("KEYSTEAD_TEST_MODULE") {
        let config = std::env::var("KEYSTEAD_TEST_MODULE_CONF").ok();
        return Tokens::new("the named module", named.into(), config);
    }
    let known = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/local/lib/softhsm/libsofthsm2.so",
        "/opt/homebrew/lib/softhsm/libsofthsm2.so",
    ];
    let path = known.iter().map(PathBuf::from).find(|path| path.exists());
    let path = path
        .expect("SoftHSM2 is not installed: install it, or name a module in KEYSTEAD_TEST_MODULE");
    Tokens::new("SoftHSM2", path, None)
}

#[test]
fn suite() {
    in_child("suite_child");
}

#[test]
#[ignore = "run by suite in a process of its own"]
fn suite_child() {
    kms_core::suite::run(&target(), &dir().join("data"));
}

#[test]
fn refusals_and_management() {
    in_child("refusals_child");
}

#[test]
#[ignore = "run by refusals_and_management in a process of its own"]
fn refusals_child() {
    refusals::run(&target(), &dir().join("data"));
}
