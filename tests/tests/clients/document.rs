//! docs/clients.md, word for word: its blocks are one script, and every command of it succeeds.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tests::run::Run;
use tests::tools;
use tests::up::Home;

#[test]
fn every_block_runs_as_it_stands() {
    let path = tools::root().join("docs/clients.md");
    let text = fs::read_to_string(&path).expect("read docs/clients.md");
    let lines = text.lines().filter_map(|l| l.strip_prefix("    "));
    let script: Vec<&str> = lines.collect();
    assert!(script.len() > 50, "blocks are indented: {script:?}");

    let home = Home::new();
    // OpenSSH asks for the PIN.
    let ask = home.write("ask", "#!/bin/sh\necho 1234\n");
    fs::set_permissions(&ask, fs::Permissions::from_mode(0o700)).expect("make it a program");
    let work = home.path("work");
    fs::create_dir(&work).expect("make a directory");
    let binaries = tools::keystead();
    let binaries = binaries.parent().expect("a file is in a directory");
    let path = env::var("PATH").expect("PATH");
    Run::new(tools::need("bash"))
        .args(["-e", "-c", &script.join("\n")])
        .envs(home.env())
        .without("KEYSTEAD_PKCS11_CONF")
        .without("KEYSTEAD_PKCS11_LOG")
        .env("M", tools::module())
        .env("PATH", format!("{}:/usr/bin:{path}", binaries.display()))
        .env("SSH_ASKPASS", ask)
        .env("SSH_ASKPASS_REQUIRE", "force")
        .dir(&work)
        .limit(300)
        .ok()
        .says("served")
        .says("Card added")
        .says("Signed user key")
        .says("rsa      01")
        .says("java, PrivateKeyEntry")
        .says("Next signing");
}
