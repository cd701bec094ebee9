//! Rows that are not a rate of one call: what many objects cost, and what a start costs, in processes of their own.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::report::{Line, Ratio, Wants};
use crate::rig::{self, Peer};
use crate::rows::{self, Kind};
use crate::window::{Plan, interleaved, median};

/// The environment's word for what this program is to do as a child.
const CHILD: &str = "KEYSTEAD_BENCH_CHILD";
/// Token keys of the rows that have many.
const MANY: usize = 100_000;

/// These rows, where they are wanted.
///
/// # Errors
/// What a module refuses, and what does not start.
pub fn lines(wanted: &dyn Fn(&str) -> bool, peers: &[Peer]) -> Result<Vec<Line>, Box<dyn Error>> {
    let mut lines = Vec::new();
    let name = "up --bare to ready";
    if wanted(name) {
        lines.push(up(name)?);
    }
    let name = "find by label, 100,000 by 100";
    if wanted(name) {
        lines.push(find(name, &peers[0])?);
    }
    let name = "start with 100,000 keys";
    if wanted(name) {
        lines.push(start_with_many(name, &peers[0])?);
    }
    Ok(lines)
}

/// What a child process does: `start MODULE`.
///
/// # Errors
/// What the module refuses.
pub fn child(what: &str) -> Result<(), Box<dyn Error>> {
    let path = what.strip_prefix("start ").ok_or("no such task")?;
    let began = Instant::now();
    let session = rig::start(Path::new(path), None)?;
    let passed = began.elapsed();
    let found = session.find(&[(
        pkcs11_sys::CKA_LABEL,
        crate::raw::Value::Bytes(&rows::label(MANY / 2)),
    )])?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .ok_or("no VmHWM")?;
    println!(
        "{} {} {found}",
        passed.as_secs_f64(),
        peak.trim().trim_end_matches(" kB")
    );
    Ok(())
}

/// A child's time from load to login, its peak memory in MB, and how many objects it found.
fn begin(path: &Path) -> Result<(f64, f64, usize), Box<dyn Error>> {
    let out = Command::new(std::env::current_exe()?)
        .env(CHILD, format!("start {}", path.display()))
        .output()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let mut words = text.split_whitespace();
    let mut next = || {
        words
            .next()
            .ok_or_else(|| String::from_utf8_lossy(&out.stderr).into_owned())
    };
    Ok((
        next()?.parse()?,
        next()?.parse::<f64>()? / 1e3,
        next()?.parse()?,
    ))
}

/// What a start costs where the tokens are nearly empty: before other rows fill them.
///
/// # Errors
/// What does not start.
pub fn starts(
    wanted: &dyn Fn(&str) -> bool,
    peers: &[Peer],
) -> Result<Option<Line>, Box<dyn Error>> {
    let name = "start: load to login, small token";
    if !wanted(name) {
        return Ok(None);
    }
    let mut times = vec![Vec::new(); peers.len()];
    for _ in 0..11 {
        for (peer, times) in peers.iter().zip(&mut times) {
            let began = Instant::now();
            begin(&peer.path)?;
            times.push(1.0 / began.elapsed().as_secs_f64());
        }
    }
    let rates: Vec<f64> = times.into_iter().map(median).collect();
    Ok(Some(Line {
        name: name.into(),
        ratios: vec![Ratio {
            of: "SoftHSM2",
            is: rates[0] / rates[1],
            wants: Some(Wants::AtLeast(2.0)),
        }],
        rates: peers.iter().map(|p| p.name).zip(rates).collect(),
        notes: vec!["whole processes; the PIN's work factor is in it".into()],
    }))
}

fn up(name: &str) -> Result<Line, Box<dyn Error>> {
    use std::io::{BufRead, BufReader};
    let binary = std::env::var_os("KEYSTEAD_BIN")
        .map_or_else(|| rig::at_root("target/release/keystead"), Into::into);
    let mut times = Vec::new();
    for _ in 0..7 {
        let dir = tempfile::tempdir()?;
        let began = Instant::now();
        let mut up = Command::new(&binary)
            .args(["up", "--bare", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir.path())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()?;
        let lines = BufReader::new(up.stdout.take().ok_or("no output")?).lines();
        let ready = lines
            .map_while(Result::ok)
            .any(|line| line.starts_with("ready"));
        times.push(began.elapsed().as_secs_f64());
        up.kill()?;
        up.wait()?;
        if !ready {
            return Err("`keystead up --bare` ended before it was ready".into());
        }
    }
    Ok(Line {
        name: name.into(),
        rates: Vec::new(),
        ratios: vec![Ratio {
            of: "seconds",
            is: median(times),
            wants: Some(Wants::AtMost(0.3)),
        }],
        notes: Vec::new(),
    })
}

/// The token has 100 labelled keys when it is measured first, then many: windows cannot interleave, so the bare loop beside each
/// stands for the machine's speed.
fn find(name: &str, ours: &Peer) -> Result<Line, Box<dyn Error>> {
    let plan = Plan {
        rounds: 15,
        window: Duration::from_millis(15),
        luck: false,
    };
    let mut have = rows_there(ours)?;
    let mut relative = Vec::new();
    for count in [100, MANY] {
        if have < count {
            eprintln!("filling {} with {count} token keys ...", ours.name);
            rows::fill(ours.session, have..count)?;
            have = count;
        }
        let hash = crate::limit::work(Kind::Hmac(1024), 1).ok_or("the yardstick does not work")?;
        let mut work = vec![rows::work(Kind::Find(100), ours, 1)?, hash];
        relative.push(interleaved(&mut work, plan).ratio(0, 1));
    }
    Ok(Line {
        name: name.into(),
        rates: Vec::new(),
        ratios: vec![Ratio {
            of: "cost",
            is: relative[0] / relative[1],
            wants: Some(Wants::AtMost(1.5)),
        }],
        notes: Vec::new(),
    })
}

/// How many of the labelled keys the token has, counted from 0 on.
fn rows_there(ours: &Peer) -> Result<usize, Box<dyn Error>> {
    let is = |n: usize| {
        ours.session.find(&[(
            pkcs11_sys::CKA_LABEL,
            crate::raw::Value::Bytes(&rows::label(n)),
        )])
    };
    let (mut low, mut high) = (0, MANY);
    while low < high {
        let middle = (low + high) / 2;
        if is(middle)? == 1 {
            low = middle + 1
        } else {
            high = middle
        }
    }
    Ok(low)
}

fn start_with_many(name: &str, ours: &Peer) -> Result<Line, Box<dyn Error>> {
    let have = rows_there(ours)?;
    if have < MANY {
        eprintln!("filling {} with {MANY} token keys ...", ours.name);
        rows::fill(ours.session, have..MANY)?;
    }
    let (mut times, mut peak) = (Vec::new(), 0.0_f64);
    for _ in 0..5 {
        let (time, memory, found) = begin(&ours.path)?;
        if found != 1 {
            return Err("the child did not find the key".into());
        }
        times.push(time);
        peak = peak.max(memory);
    }
    Ok(Line {
        name: name.into(),
        rates: Vec::new(),
        ratios: vec![
            Ratio {
                of: "seconds",
                is: median(times),
                wants: Some(Wants::AtMost(1.0)),
            },
            Ratio {
                of: "MB",
                is: peak,
                wants: Some(Wants::AtMost(150.0)),
            },
        ],
        notes: Vec::new(),
    })
}
