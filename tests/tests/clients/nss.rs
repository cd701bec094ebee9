//! NSS: modutil adds the module, certutil makes keys, certificates and requests in the token, selfserv serves TLS with
//! them, tstclnt and openssl talk to it, cmsutil signs.

use super::make_keys;
use tests::daemon::{Daemon, free_port};
use tests::openssl::openssl;
use tests::p11::Token;
use tests::up::Home;

/// Serve with the certificate `name` to openssl and tstclnt, then stop by the page that stops it.
#[track_caller]
fn serves(home: &Home, token: &Token, name: &str) {
    let (dir, port) = (home.path(""), free_port());
    let mut command = token.command("selfserv");
    command
        .args("-d sql:nssdb -V tls1.2:tls1.3 -f pin -n".split(' '))
        .args([&format!("web:{name}"), "-p", &port.to_string()]);
    let mut server = Daemon::start(&dir, "selfserv", &mut command);
    server.ready(|_| std::net::TcpStream::connect(("127.0.0.1", port)).ok());
    let get = |version: &str, page: &str| {
        let words = format!(
            "s_client -connect 127.0.0.1:{port} -{version} -CAfile {name}.pem -verify_return_error -quiet -ign_eof"
        );
        openssl(&dir, &words)
            .stdin(format!("GET {page} HTTP/1.0\r\n\r\n"))
            .ok()
            .says("200 OK")
    };
    get("tls1_2", "/");
    get("tls1_3", "/");
    // Without -Q tstclnt 3.87 waits after the page for more, for ever.
    let client = format!("-d sql:clientdb -h localhost -p {port} -V tls1.3:tls1.3 -Q");
    token
        .run("tstclnt")
        .words(&client)
        .ok()
        .says("subject DN: CN=localhost");
    get("tls1_3", "/stop");
    let status = server.ended(20);
    assert_eq!(status.code(), Some(0), "{}", server.report());
    assert_eq!(server.stderr(), "");
    assert!(
        server.stdout().contains("selfserv: normal termination"),
        "{}",
        server.report()
    );
}

both!(makes_and_serves, "web": keys_and_certificates_are_made_in_the_token_and_serve, keys_and_certificates_are_made_in_a_cluster_and_serve);

fn makes_and_serves(home: &Home, token: &Token) {
    make_keys(token);
    let dir = home.path("");
    home.write("pin", format!("{}\n", token.pin));
    home.write("noise", "not the token's source of random numbers");
    for db in ["nssdb", "clientdb"] {
        std::fs::create_dir(home.path(db)).expect("make a directory");
        token
            .run("certutil")
            .words(&format!("-N -d sql:{db} --empty-password"))
            .ok();
    }
    token
        .run("modutil")
        .words("-force -dbdir sql:nssdb -add keystead -libfile")
        .arg(token.module())
        .ok()
        .says("Module \"keystead\" added to database.");
    token
        .run("modutil")
        .words("-dbdir sql:nssdb -list keystead")
        .ok()
        .says("Token Name: web")
        .says("User Pin: Initialized");
    let certutil = |command: &str| {
        let (command, words) = command.split_once(' ').unwrap_or((command, ""));
        let run = token.run("certutil").arg(command);
        run.words("-d sql:nssdb -h web -f pin").words(words).ok()
    };
    certutil("-K").says("rsa").says("ec");
    for (name, kind, serial) in [
        ("server-rsa", "rsa -g 2048", 77),
        ("server-ec", "ec -q nistp256", 78),
    ] {
        certutil(&format!(
            "-S -n {name} -s CN=localhost -8 localhost -x -t CTu,CTu,CTu -m {serial} -v 12 -z noise -k {kind}"
        ));
        let pem = certutil(&format!("-L -n web:{name} -a")).text();
        home.write(&format!("{name}.pem"), pem);
        let add = format!("-A -d sql:clientdb -n {name} -t CT,C,C -a -i {name}.pem");
        token.run("certutil").words(&add).ok();
    }
    certutil("-K").says("web:server-rsa").says("web:server-ec");
    for kind in ["rsa -g 2048", "ec -q nistp384"] {
        certutil(&format!(
            "-R -s CN=request -z noise -a -o csr.pem -k {kind}"
        ));
        openssl(&dir, "req -in csr.pem -noout -verify -subject")
            .ok()
            .says("verify OK")
            .says("CN = request");
    }
    serves(home, token, "server-rsa");
    serves(home, token, "server-ec");

    home.write("message", "a letter\n");
    token
        .run("cmsutil")
        .words("-S -d sql:nssdb -N web:server-rsa -f pin -i message -o signed")
        .ok();
    openssl(
        &dir,
        "cms -verify -inform DER -in signed -CAfile server-rsa.pem -purpose any",
    )
    .ok()
    .says("a letter");

    certutil("-F -n web:server-ec");
    certutil("-K")
        .says("web:server-rsa")
        .silent_about("web:server-ec");
    certutil("-L")
        .says("web:server-rsa")
        .silent_about("web:server-ec");
}
