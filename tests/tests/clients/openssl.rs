//! `openssl` with libp11's engine `pkcs11`: requests, certificates, CMS, S/MIME, RSA decryption, ECDH, and a TLS server
//! whose key stays in the token; alone and on a cluster.

use super::{make_keys, only_says, uri};
use tests::daemon::Daemon;
use tests::openssl::openssl;
use tests::p11::Token;
use tests::run::Run;
use tests::up::Home;

/// What the engine's loading says, and all that any command here may say.
const LOADED: &str = "Engine \"pkcs11\" set.";

/// `openssl COMMAND WORDS` with the engine and our module; more arguments may follow.
fn with_engine(token: &Token, words: &str) -> Run {
    let (command, words) = words.split_once(' ').expect("a command and options");
    token
        .run("openssl")
        .words(&format!("{command} -engine pkcs11 {words}"))
        .env("PKCS11_MODULE_PATH", token.module())
}

/// A self-signed certificate of the key `id` for localhost: c01.pem.
#[track_caller]
pub fn certificate(token: &Token, id: &str) {
    let made = with_engine(token, "req -new -x509 -days 30 -keyform engine -key")
        .arg(uri(token, id))
        .words("-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -out")
        .arg(format!("c{id}.pem"))
        .ok();
    only_says(made, LOADED);
}

/// Serve two connections, TLS 1.2 and TLS 1.3, and end by itself with status 0.
#[track_caller]
fn serves(home: &Home, token: &Token, id: &str) {
    let dir = home.path("");
    let mut command = token.command("openssl");
    command
        .env("PKCS11_MODULE_PATH", token.module())
        .args(
            "s_server -www -naccept 2 -accept 127.0.0.1:0 -engine pkcs11 -keyform engine"
                .split(' '),
        )
        .args(["-cert", &format!("c{id}.pem"), "-key", &uri(token, id)]);
    let mut server = Daemon::start(&dir, "s_server", &mut command);
    let address = server.ready(|s| {
        let out = s.stdout();
        let line = out.lines().find_map(|l| l.strip_prefix("ACCEPT "));
        line.map(str::to_owned)
    });
    for (version, shown) in [("tls1_2", "New, TLSv1.2"), ("tls1_3", "New, TLSv1.3")] {
        let words = format!(
            "s_client -connect {address} -{version} -CAfile c{id}.pem -verify_return_error"
        );
        openssl(&dir, &words)
            .stdin("GET / HTTP/1.0\r\n\r\n")
            .arg("-ign_eof")
            .ok()
            .says(shown)
            .says("Verify return code: 0 (ok)")
            .says("HTTP/1.0 200 ok");
    }
    let status = server.ended(20);
    assert_eq!(status.code(), Some(0), "{}", server.report());
    assert_eq!(server.stderr().trim(), LOADED);
}

both!(sign_mail, "web": requests_certificates_and_mail_are_signed, requests_certificates_and_mail_are_signed_on_a_cluster);

fn sign_mail(home: &Home, token: &Token) {
    make_keys(token);
    let dir = home.path("");
    home.write("message", "a letter\n");
    for id in ["01", "02"] {
        let key = uri(token, id);
        let request = with_engine(token, "req -new -subj /CN=localhost -keyform engine -key");
        only_says(request.arg(&key).words("-out csr.pem").ok(), LOADED);
        openssl(&dir, "req -in csr.pem -noout -verify -subject")
            .ok()
            .says("verify OK")
            .says("CN = localhost");
        certificate(token, id);
        openssl(&dir, &format!("verify -CAfile c{id}.pem c{id}.pem"))
            .ok()
            .says("OK");
        for kind in ["cms", "smime"] {
            let words = format!(
                "{kind} -sign -in message -signer c{id}.pem -out signed -keyform engine -inkey"
            );
            only_says(with_engine(token, &words).arg(&key).ok(), LOADED);
            let verify = format!("{kind} -verify -in signed -CAfile c{id}.pem");
            openssl(&dir, &verify).ok().says("a letter");
            // A signature over something else is none.
            let text = String::from_utf8(home.read("signed")).expect("a text");
            home.write("other", text.replace("a letter", "a better"));
            openssl(&dir, &format!("{kind} -verify -in other -CAfile c{id}.pem")).fails();
        }
    }
}

both!(decrypt_and_agree, "web": rsa_decrypts_and_ec_agrees, rsa_decrypts_and_ec_agrees_on_a_cluster);

fn decrypt_and_agree(home: &Home, token: &Token) {
    make_keys(token);
    let dir = home.path("");
    home.write("message", "for one reader\n");
    for id in ["01", "02"] {
        certificate(token, id);
        let public = format!("x509 -in c{id}.pem -pubkey -noout -out p{id}.pem");
        openssl(&dir, &public).ok();
    }
    for options in [
        "-pkeyopt rsa_padding_mode:pkcs1",
        "-pkeyopt rsa_padding_mode:oaep",
        "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256",
    ] {
        let seal =
            format!("pkeyutl -encrypt -pubin -inkey p01.pem {options} -in message -out sealed");
        openssl(&dir, &seal).ok();
        let open = format!("pkeyutl -decrypt {options} -in sealed -keyform engine -inkey");
        let opened = with_engine(token, &open).arg(uri(token, "01")).ok();
        assert_eq!(only_says(opened, LOADED).text(), "for one reader\n");
    }
    openssl(&dir, "cms -encrypt -aes256 -in message -out sealed c01.pem").ok();
    let open = "cms -decrypt -in sealed -recip c01.pem -keyform engine -inkey";
    let opened = with_engine(token, open).arg(uri(token, "01")).ok();
    only_says(opened, LOADED).says("for one reader");

    openssl(
        &dir,
        "ecparam -name prime256v1 -genkey -noout -out peer.pem",
    )
    .ok();
    openssl(&dir, "pkey -in peer.pem -pubout -out peer-public.pem").ok();
    let derive = "pkeyutl -derive -peerkey peer-public.pem -keyform engine -inkey";
    let ours = with_engine(token, derive).arg(uri(token, "02")).ok();
    let theirs = openssl(&dir, "pkeyutl -derive -inkey peer.pem -peerkey p02.pem").ok();
    assert_eq!(ours.stdout.len(), 32);
    assert_eq!(only_says(ours, LOADED).stdout, theirs.stdout);
}

both!(serves_tls, "web": a_tls_server_has_its_key_in_the_token, a_tls_server_has_its_key_in_the_cluster);

fn serves_tls(home: &Home, token: &Token) {
    make_keys(token);
    for id in ["01", "02"] {
        certificate(token, id);
        serves(home, token, id);
    }
}
