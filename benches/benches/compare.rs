//! `cargo bench -p benches`: our module beside SoftHSM2, in one run. Prints a table; the ratio counts.

use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use benches::peer::{self, Peer};
use benches::window::interleaved;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::Attribute;

const CHILD: &str = "KEYSTEAD_BENCH_CHILD";
const ROUNDS: usize = 7;
const WINDOW: Duration = Duration::from_millis(200);
const OBJECTS: usize = 1000;

fn main() -> ExitCode {
    let outcome = if std::env::var_os(CHILD).is_some() {
        measure()
    } else {
        again()
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs this program once more, with its modules pointed at an empty directory.
fn again() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let status = peer::under_test(dir.path())?.env(CHILD, "1").status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the measurement ended with {status}").into())
    }
}

fn measure() -> Result<(), Box<dyn Error>> {
    let root = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../target/release/libkeystead_pkcs11.so"
    );
    let ours = peer::find("KEYSTEAD_SO", &[root])?;
    let soft = peer::find(
        "SOFTHSM2_SO",
        &[
            "/usr/lib/softhsm/libsofthsm2.so",
            "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
            "/usr/lib64/softhsm/libsofthsm.so",
        ],
    )?;
    let peers = [
        Peer::open("Keystead", &ours)?,
        Peer::open("SoftHSM2", &soft)?,
    ];
    eprintln!("filling each token with {OBJECTS} objects ...");
    for peer in &peers {
        peer.fill(OBJECTS)?;
    }
    println!(
        "{:<28}{:>16}{:>16}{:>10}",
        "operations a second", peers[0].name, peers[1].name, "ratio"
    );
    row("AES-256-GCM encrypt 1 KiB", &peers, gcm);
    row("RSA-2048 SHA-256 sign", &peers, sign);
    row("find by label", &peers, find);
    Ok(())
}

fn row(name: &str, peers: &[Peer; 2], act: fn(&Peer)) {
    let mut contenders: Vec<Box<dyn FnMut() + '_>> = peers
        .iter()
        .map(|peer| Box::new(move || act(peer)) as Box<dyn FnMut() + '_>)
        .collect();
    let rates = interleaved(&mut contenders, ROUNDS, WINDOW);
    println!(
        "{name:<28}{:>16.0}{:>16.0}{:>10.2}",
        rates[0],
        rates[1],
        rates[0] / rates[1]
    );
}

fn gcm(peer: &Peer) {
    let mut iv = [7; 12];
    let params = GcmParams::new(&mut iv, b"aad", 128.into()).expect("parameters of the usual size");
    let sealed = peer
        .session
        .encrypt(&Mechanism::AesGcm(params), peer.aes, &[0; 1024]);
    black_box(sealed.expect("encrypts"));
}

fn sign(peer: &Peer) {
    let signature = peer
        .session
        .sign(&Mechanism::Sha256RsaPkcs, peer.rsa, &[0; 64]);
    black_box(signature.expect("signs"));
}

fn find(peer: &Peer) {
    let found = peer
        .session
        .find_objects(&[Attribute::Label(peer::label(OBJECTS / 2))]);
    assert_eq!(found.expect("finds").len(), 1);
}
