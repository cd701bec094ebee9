//! `workload MODULE NAME [COUNT]`: a fixed number of one-shot calls, for `benches/callgrind.py` to count the module's
//! instructions, or as many as a profiler needs. The embedded token and its keys are made first; only the functions that are named
//! to callgrind count.

use std::error::Error;
use std::path::Path;

use benches::rig::{self, Peer};
use benches::rows::{self, Kind};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(module), Some(name)) = (args.next(), args.next()) else {
        return Err("usage: workload MODULE NAME [COUNT]".into());
    };
    let wished = args.next();
    if std::env::var_os("KEYSTEAD_BENCH_CHILD").is_none() {
        let dir = tempfile::tempdir()?;
        let status = rig::under_test(dir.path())?
            .args([module, name])
            .args(wished)
            .env("KEYSTEAD_BENCH_CHILD", "workload")
            .status()?;
        return if status.success() {
            Ok(())
        } else {
            Err(format!("the workload ended with {status}").into())
        };
    }
    let (kind, count) = match name.as_str() {
        "gcm-1k" => (Kind::Gcm(1024), 200),
        "hmac-1k" => (Kind::Hmac(1024), 200),
        "sha256-64" => (Kind::Sha256(64), 200),
        "ecdsa-p256-sign" => (Kind::EcSign(256), 50),
        "ecdsa-p256-verify" => (Kind::EcVerify(256), 20),
        "rsa-2048-sign" => (Kind::RsaSign(2048), 10),
        "aes-ctr-16" => (Kind::Ctr(16), 200),
        // For profilers alone: what SQLite, the kernel and rejection sampling do there differs from run to run.
        "create" => (Kind::Create, 200),
        "ecdh" => (Kind::Ecdh, 200),
        "ml-kem" => (Kind::MlKem, 200),
        "find-1000" => (Kind::Find(1000), 200),
        _ => return Err(format!("no workload {name}").into()),
    };
    let peer = Peer::open("Keystead", Path::new(&module))?;
    if let Kind::Find(count) = kind {
        rows::fill(peer.session, 0..count)?;
    }
    let mut work = rows::work(kind, &peer, 1)?;
    let count = wished.map_or(Ok(count), |n| n.parse())?;
    (0..count).for_each(|_| work[0]());
    Ok(())
}
