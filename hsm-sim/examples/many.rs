//! What many token keys cost: `cargo run --release -p hsm-sim --example many -- DIR COUNT`. The first run fills the
//! token in DIR, each run then opens it, logs in, and prints times and memory.

use std::path::Path;
use std::time::Instant;

use hsm_api::{
    Attr, AttrType, Hello, Hidden, Hsm, Link, MechId, Mechanism, ObjectId, Params, Peer, Reply,
    Request, Role, SessionId, Value,
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

fn memory(of: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with(of));
    let kib = line.and_then(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

fn fill(link: &dyn Link, count: u64) -> hsm_api::Result<()> {
    let ask = |request: &Request<'_>| link.call(S, request, &mut []);
    let login = |role| Request::Login {
        role,
        name: None,
        pin: Hidden(PIN),
    };
    ask(&Request::InitToken {
        so_pin: Hidden(PIN),
        label: "many",
    })?;
    ask(&login(Role::Co))?;
    ask(&Request::InitPin { pin: Hidden(PIN) })?;
    ask(&Request::Logout)?;
    ask(&login(Role::Cu))?;
    for n in 0..count {
        ask(&Request::GenerateKey {
            mech: Mechanism {
                id: MechId(0x1080),
                params: Params::None,
            },
            // Strewn about, as the random ids of the module are.
            id: ObjectId(u128::from(n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)),
            template: vec![
                attr(1, Value::Bool(true)),
                attr(2, Value::Bool(true)),
                attr(3, Value::Bytes(format!("key number {n}").into_bytes())),
                attr(0x102, Value::Bytes(n.to_be_bytes().to_vec())),
                attr(0x161, Value::Ulong(32)),
                attr(0x104, Value::Bool(true)),
                attr(0x105, Value::Bool(true)),
            ],
        })?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, dir, count] = &args[..] else {
        return Err("usage: many DIR COUNT".into());
    };
    let dir = Path::new(dir);
    let who = Hello {
        application: 1,
        peer: Peer::Client,
    };
    if !dir.join("token.db").exists() {
        let began = Instant::now();
        let engine = Engine::embedded(dir, Settings::default())?;
        fill(&*engine.open(&who)?, count.parse()?)?;
        println!("fill       {:>9.3} s", began.elapsed().as_secs_f64());
        return Ok(());
    }
    let began = Instant::now();
    let engine = Engine::embedded(dir, Settings::default())?;
    println!(
        "open       {:>9.3} s {:>6} MiB",
        began.elapsed().as_secs_f64(),
        memory("VmRSS")
    );
    let link = engine.open(&who)?;
    link.call(
        S,
        &Request::Login {
            role: Role::Cu,
            name: None,
            pin: Hidden(PIN),
        },
        &mut [],
    )?;
    println!(
        "+ login    {:>9.3} s {:>6} MiB",
        began.elapsed().as_secs_f64(),
        memory("VmRSS")
    );
    let began = Instant::now();
    let want = vec![attr(3, Value::Bytes(b"key number 7".to_vec()))];
    let Reply::Objects(found) = link.call(S, &Request::Find { template: want }, &mut [])? else {
        return Err("no list".into());
    };
    println!(
        "find       {:>9.6} s, {} found",
        began.elapsed().as_secs_f64(),
        found.len()
    );
    println!("peak                   {:>6} MiB", memory("VmHWM"));
    Ok(())
}
