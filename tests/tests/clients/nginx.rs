//! nginx with its keys in the token: the master reads the keys and forks workers, so the module meets a fork after login,
//! reloads and workers killed at any moment.

use super::make_keys;
use super::openssl::certificate;
use std::collections::BTreeSet;
use std::process::Command;
use std::thread;
use tests::daemon::{Daemon, free_port, root};
use tests::openssl::openssl;
use tests::p11::Token;
use tests::poll::until;
use tests::procs;
use tests::tools;
use tests::up::Home;

const WORKERS: usize = 4;

/// One request over a connection of its own; the worker that answered.
#[track_caller]
fn ask(home: &Home, port: u16, id: &str) -> u32 {
    // A certificate of each key is there: the client's cipher chooses.
    let kind = match id {
        "01" => "-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256",
        _ => "-tls1_3 -sigalgs ecdsa_secp256r1_sha256",
    };
    let words = format!(
        "s_client -connect 127.0.0.1:{port} {kind} -CAfile c{id}.pem -verify_return_error -quiet -ign_eof"
    );
    let answer = openssl(&home.path(""), &words)
        .stdin("GET / HTTP/1.0\r\n\r\n")
        .ok()
        .text();
    let pid = answer.lines().find_map(|l| l.strip_prefix("worker "));
    let pid = pid.and_then(|p| p.parse().ok());
    pid.unwrap_or_else(|| panic!("no worker in {answer:?}"))
}

/// Many requests from several clients at once; the workers that answered.
#[track_caller]
fn ask_many(home: &Home, port: u16, each: usize) -> BTreeSet<u32> {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..6)
            .map(|client| {
                let id = if client % 2 == 0 { "01" } else { "02" };
                scope.spawn(move || (0..each).map(|_| ask(home, port, id)).collect::<Vec<u32>>())
            })
            .collect();
        clients
            .into_iter()
            .flat_map(|c| c.join().expect("every request is answered"))
            .collect()
    })
}

/// The workers, when there are as many as configured and none of `old`.
#[track_caller]
fn workers(master: &Daemon, old: &[u32]) -> Vec<u32> {
    until(30, "the workers are new", || {
        let now = procs::children(master.pid());
        if now.len() == WORKERS && !now.iter().any(|p| old.contains(p)) {
            Ok(now)
        } else {
            Err(format!("{now:?} after {old:?}"))
        }
    })
}

both!(serves, "web": workers_serve_with_the_master_s_keys_through_reloads_and_kills, workers_serve_with_keys_of_a_cluster);

fn serves(home: &Home, token: &Token) {
    make_keys(token);
    certificate(token, "01");
    certificate(token, "02");
    let (dir, port) = (home.path(""), free_port());
    let at = dir.display();
    // As it is installed: the master is root's, the workers and the tokens are somebody's without rights. A worker that
    // may not read the tokens waits in libp11 0.4.12 for a session for ever.
    let user = if root() {
        let chown = Command::new("chown")
            .args(["-R", "nobody"])
            .arg(home.path("xdg"))
            .status();
        assert!(chown.expect("chown runs").success());
        let chmod = Command::new("chmod").arg("755").arg(&dir).status();
        assert!(chmod.expect("chmod runs").success());
        "user nobody nogroup;"
    } else {
        ""
    };
    let engine = home.write(
        "openssl.cnf",
        format!(
            "openssl_conf = init\n[init]\nengines = engines\n[engines]\npkcs11 = pkcs11\n[pkcs11]\n\
             engine_id = pkcs11\nMODULE_PATH = {}\nPIN = {}\ninit = 1\n",
            tools::module().display(),
            token.pin
        ),
    );
    let key = |id: &str| format!("\"engine:pkcs11:pkcs11:token=web;id=%{id};type=private\"");
    let config = home.write(
        "nginx.conf",
        format!(
            "{user}\nworker_processes {WORKERS};\ndaemon off;\npid {at}/nginx.pid;\nerror_log {at}/nginx.log notice;\n\
             env XDG_DATA_HOME;\nenv HOME;\nenv KEYSTEAD_PKCS11_CONF;\nevents {{ worker_connections 256; }}\nhttp {{\n access_log off;\n\
             client_body_temp_path {at}/t;\n proxy_temp_path {at}/t;\n fastcgi_temp_path {at}/t;\n\
             uwsgi_temp_path {at}/t;\n scgi_temp_path {at}/t;\n\
             server {{\n listen 127.0.0.1:{port} ssl;\n ssl_protocols TLSv1.2 TLSv1.3;\n ssl_session_cache off;\n ssl_session_tickets off;\n\
             ssl_certificate {at}/c01.pem;\n ssl_certificate_key {};\n\
             ssl_certificate {at}/c02.pem;\n ssl_certificate_key {};\n\
             location / {{ return 200 \"worker $pid\\n\"; }}\n }}\n}}\n",
            key("01"),
            key("02")
        ),
    );
    token
        .run("nginx")
        .arg("-t")
        .arg("-c")
        .arg(&config)
        .env("OPENSSL_CONF", &engine)
        .ok()
        .says("test is successful");
    let mut command = token.command("nginx");
    command.env("OPENSSL_CONF", &engine).arg("-c").arg(&config);
    let mut master = Daemon::start(&dir, "nginx", &mut command);
    master.ready(|m| (procs::children(m.pid()).len() == WORKERS).then_some(()));
    let mut now = workers(&master, &[]);
    let served = ask_many(home, port, 25);
    assert!(
        served.len() > 1 && served.iter().all(|p| now.contains(p)),
        "{served:?} of {now:?}"
    );

    for _ in 0..3 {
        let during = thread::scope(|scope| {
            let clients = scope.spawn(|| ask_many(home, port, 8));
            master.signal("HUP");
            clients
                .join()
                .expect("requests are answered during a reload")
        });
        assert!(!during.is_empty());
        now = workers(&master, &now);
        let served = ask_many(home, port, 3);
        assert!(
            served.iter().all(|p| now.contains(p)),
            "{served:?} of {now:?}"
        );
    }

    for _ in 0..2 {
        let victim = now[0];
        procs::signal("KILL", victim);
        now = workers(&master, &[victim]);
        let served = ask_many(home, port, 5);
        assert!(
            served.iter().all(|p| now.contains(p)),
            "{served:?} of {now:?}"
        );
    }

    master.signal("QUIT");
    let status = master.ended(20);
    assert_eq!(status.code(), Some(0), "{}", master.report());
    assert_eq!(
        (master.stdout(), master.stderr()),
        (String::new(), String::new())
    );
    let log = String::from_utf8(home.read("nginx.log")).expect("a text");
    let bad: Vec<&str> = log
        .lines()
        .filter(|l| !l.contains("[notice]") && !l.contains("exited on signal 9"))
        .collect();
    assert_eq!(bad, Vec::<&str>::new(), "in nginx's log");
    let ends = log.lines().filter(|l| l.contains("exited with code"));
    assert!(ends.clone().count() >= 4 * WORKERS - 2, "{log}");
    assert!(
        ends.clone().all(|l| l.ends_with("exited with code 0")),
        "{log}"
    );
    // What the workers did left a sound token behind.
    token.user("--list-objects").ok().says("rsa").says("ec");
}
