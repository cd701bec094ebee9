//! OpenSSH: keys of the token open a real sshd, by the module and by the agent, and sign users' certificates.
//!
//! OpenSSH 9.2 knows RSA and ECDSA keys of a module only; of an Ed25519 key it says "skipping unsupported key type",
//! whatever the module, and goes on.

use super::make_keys;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tests::daemon::{Daemon, free_port, root};
use tests::p11::Token;
use tests::poll::until;
use tests::procs;
use tests::run::Run;
use tests::up::Home;

/// What OpenSSH says of the Ed25519 key.
const SKIPPED: &str = "skipping unsupported key type\nfailed to fetch key";

/// A program of OpenSSH that gets the PIN from a program, as on a desktop.
fn ssh(home: &Home, token: &Token, program: &str, words: &str) -> Run {
    token
        .run(program)
        .env("SSH_ASKPASS", home.path("ask"))
        .env("SSH_ASKPASS_REQUIRE", "force")
        .env("SSH_AUTH_SOCK", home.path("agent"))
        .words(words)
}

/// `ssh` into the test's sshd.
fn login(home: &Home, token: &Token, port: u16, options: &str) -> Run {
    ssh(home, token, "ssh", "-F none -o UserKnownHostsFile=known")
        .words(&format!("-p {port} {options} 127.0.0.1 echo it is me"))
}

both!(log_in, "web": keys_of_the_token_log_in_and_sign_certificates, keys_of_a_cluster_log_in_and_sign_certificates);

fn log_in(home: &Home, token: &Token) {
    make_keys(token);
    let dir = home.path("");
    token
        .user("--keypairgen --key-type EC:edwards25519 --id 03 --label ed")
        .ok();
    let module = token.module().display().to_string();
    let asks = home.write("ask", format!("#!/bin/sh\necho {}\n", token.pin));
    fs::set_permissions(&asks, fs::Permissions::from_mode(0o700)).expect("make it a program");

    let listed = ssh(home, token, "ssh-keygen", &format!("-D {module}")).ok();
    assert_eq!(listed.stderr.trim().replace('\r', ""), SKIPPED);
    let keys = listed.text();
    let keys: Vec<&str> = keys.lines().collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
    let line = |kind: &str| {
        let found = keys.iter().find(|k| k.starts_with(kind));
        *found.unwrap_or_else(|| panic!("no {kind} key in {keys:?}"))
    };
    home.write("rsa.pub", line("ssh-rsa "));
    home.write("ec.pub", line("ecdsa-sha2-nistp256 "));
    home.write("authorized_keys", keys.join("\n") + "\n");

    for name in ["host", "user"] {
        token
            .run("ssh-keygen")
            .words("-q -t ed25519 -N")
            .args(["", "-f", name])
            .ok();
    }
    if root() {
        fs::create_dir_all("/run/sshd").expect("make sshd's empty directory");
    }
    let (at, port) = (dir.display(), free_port());
    let config = home.write(
        "sshd_config",
        format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {at}/host\nPidFile {at}/sshd.pid\nStrictModes no\nUsePAM no\n\
             AuthorizedKeysFile {at}/authorized_keys\nTrustedUserCAKeys {at}/ca.pub\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin yes\n"
        ),
    );
    home.write("ca.pub", line("ecdsa-sha2-nistp256 "));
    let host = String::from_utf8(home.read("host.pub")).expect("a text");
    home.write("known", format!("[127.0.0.1]:{port} {host}"));
    let mut command = token.command("sshd");
    command.args(["-D", "-e", "-f"]).arg(&config);
    let mut sshd = Daemon::start(&dir, "sshd", &mut command);
    sshd.ready(|s| s.stderr().contains("Server listening").then_some(()));

    // By the module: ssh itself logs in to the token.
    let came = login(home, token, port, &format!("-I {module}")).ok();
    assert_eq!(came.text(), "it is me\n");
    assert_eq!(came.stderr.trim().replace('\r', ""), SKIPPED);

    // By the agent, whose helper process holds the module.
    let mut command = token.command("ssh-agent");
    command
        .args(["-D", "-P", &module, "-a"])
        .arg(home.path("agent"));
    let mut agent = Daemon::start(&dir, "ssh-agent", &mut command);
    agent.ready(|_| home.path("agent").exists().then_some(()));
    ssh(home, token, "ssh-add", &format!("-s {module}"))
        .ok()
        .says("Card added");
    let listed = ssh(home, token, "ssh-add", "-l").ok();
    assert_eq!(listed.text().lines().count(), 2, "{}", listed.report());
    for key in ["rsa.pub", "ec.pub"] {
        let tested = ssh(home, token, "ssh-add", &format!("-T {key}")).ok();
        assert_eq!(tested.stderr, "");
        let came = login(
            home,
            token,
            port,
            &format!("-o IdentitiesOnly=yes -i {key}"),
        )
        .ok();
        assert_eq!(
            (came.text().as_str(), came.stderr.as_str()),
            ("it is me\n", "")
        );
    }

    // A certificate authority in the token, by the agent and by the module; sshd trusts the EC one.
    let user = if root() {
        "root".into()
    } else {
        std::env::var("USER").expect("USER")
    };
    for (ca, by) in [
        ("rsa.pub", "-U".to_owned()),
        ("ec.pub", "-U".to_owned()),
        ("ec.pub", format!("-D {module}")),
    ] {
        let sign = format!("-s {ca} {by} -I it -n {user} -V +1h user.pub");
        ssh(home, token, "ssh-keygen", &sign)
            .ok()
            .says("Signed user key");
    }
    home.write("authorized_keys", "");
    let came = login(
        home,
        token,
        port,
        "-o IdentitiesOnly=yes -o IdentityAgent=none -i user",
    )
    .ok();
    assert_eq!(came.text(), "it is me\n");
    // Without the certificate the same key is a stranger's.
    fs::remove_file(home.path("user-cert.pub")).expect("remove a certificate");
    login(
        home,
        token,
        port,
        "-o IdentitiesOnly=yes -o IdentityAgent=none -i user",
    )
    .fails()
    .says("Permission denied");

    ssh(home, token, "ssh-add", &format!("-e {module}"))
        .ok()
        .says("Card removed");
    ssh(home, token, "ssh-add", "-l")
        .fails()
        .says("no identities");
    let helpers = procs::children(agent.pid());
    agent.signal("TERM");
    // 2 is what ssh-agent says when a signal ended it.
    assert_eq!(agent.ended(10).code(), Some(2), "{}", agent.report());
    until(10, "the agent's helper is gone", || {
        let left = helpers
            .iter()
            .any(|p| fs::read(format!("/proc/{p}/cmdline")).is_ok_and(|l| !l.is_empty()));
        if left {
            Err(format!("{helpers:?}"))
        } else {
            Ok(())
        }
    });
    sshd.signal("TERM");
    assert_eq!(sshd.ended(10).code(), Some(0), "{}", sshd.report());
}
