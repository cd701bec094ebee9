//! What it costs to make and destroy keys for a long time: `cargo run --release -p hsm-sim --example churn -- DIR COUNT`
//! makes and destroys COUNT session keys and COUNT token keys, one after the other, and prints memory and the store's
//! size as it goes. Both must stay as they are.

use std::path::Path;
use std::time::Instant;

use hsm_api::{
    Attr, AttrType, Hello, Hidden, Hsm, MechId, Mechanism, ObjectId, Params, Peer, Request, Role,
    SessionId, Value,
};
use hsm_sim::{Engine, Settings};

const S: SessionId = SessionId(1);
const PIN: &[u8] = b"12345678";

fn attr(ty: u64, value: Value) -> Attr {
    Attr {
        ty: AttrType(ty),
        value,
    }
}

fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS"));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}

fn size(dir: &Path) -> u64 {
    let of = |name| std::fs::metadata(dir.join(name)).map_or(0, |m| m.len());
    (of("token.db") + of("token.db-wal")) / 1024
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, dir, count] = &args[..] else {
        return Err("usage: churn DIR COUNT".into());
    };
    let (dir, count): (_, u64) = (Path::new(dir), count.parse()?);
    let engine = Engine::embedded(dir, Settings::default())?;
    let link = engine.open(&Hello {
        application: 1,
        peer: Peer::Client,
    })?;
    let ask = |request: &Request<'_>| link.call(S, request, &mut []);
    let login = |role| Request::Login {
        role,
        name: None,
        pin: Hidden(PIN),
    };
    ask(&Request::InitToken {
        so_pin: Hidden(PIN),
        label: "churn",
    })?;
    ask(&login(Role::Co))?;
    ask(&Request::InitPin { pin: Hidden(PIN) })?;
    ask(&Request::Logout)?;
    ask(&login(Role::Cu))?;
    println!(
        "{:>8} {:>10} {:>12} {:>12} {:>8}",
        "", "keys", "memory KiB", "store KiB", "s"
    );
    for (kind, token) in [("session", false), ("token", true)] {
        let began = Instant::now();
        for n in 0..count {
            if n % (count / 10).max(1) == 0 {
                let seconds = began.elapsed().as_secs();
                println!(
                    "{kind:>8} {n:>10} {:>12} {:>12} {seconds:>8}",
                    memory(),
                    size(dir)
                );
            }
            // Strewn about, as the random ids of the module are, and none twice.
            let number = u128::from(n + 1) << 1 | u128::from(token);
            let id = ObjectId(number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
            ask(&Request::GenerateKey {
                mech: Mechanism {
                    id: MechId(0x350),
                    params: Params::None,
                },
                id,
                template: vec![
                    attr(1, Value::Bool(token)),
                    attr(3, Value::Bytes(format!("key number {n}").into_bytes())),
                    attr(0x161, Value::Ulong(32)),
                ],
            })?;
            ask(&Request::Destroy { id })?;
        }
        let seconds = began.elapsed().as_secs();
        println!(
            "{kind:>8} {count:>10} {:>12} {:>12} {seconds:>8}",
            memory(),
            size(dir)
        );
    }
    Ok(())
}
