//! Rows that are not a rate of one call: what many objects cost, and what a start costs, in processes of their own.

use std::error::Error;
use std::process::Command;
use std::time::Instant;

use crate::child;
use crate::report::{Line, Ratio, Wants};
use crate::rig::{self, Peer};
use crate::rows;
use crate::window::median;

/// The row of a search.
const FIND: &str = "find by label, 100,000 by 100";
/// Keys of the row that has few.
pub const FEW: usize = 100;
/// Token keys of the rows that have many.
const MANY: usize = 100_000;
/// Rounds of whole processes.
const STARTS: usize = 61;

/// These rows, where they are wanted; `few` is of [`few`].
///
/// # Errors
/// What a module refuses, and what does not start.
pub fn lines(
    wanted: &dyn Fn(&str) -> bool,
    peers: &[Peer],
    few: Option<f64>,
) -> Result<Vec<Line>, Box<dyn Error>> {
    let mut lines = Vec::new();
    let name = "up --bare to ready";
    if wanted(name) {
        lines.push(up(name)?);
    }
    if let Some(few) = few {
        lines.push(find(&peers[0], few)?);
    }
    let name = "start with 100,000 keys";
    if wanted(name) {
        lines.push(start_with_many(name, &peers[0])?);
    }
    Ok(lines)
}

/// What a start costs where the tokens are nearly empty: before other rows fill them.
///
/// Whole processes in turns; what disturbs one only makes it longer, so the least time of each counts. Our PIN's work factor is
/// deliberate, so it is measured by itself, as often, and taken off. (SoftHSM2 has one too, some 1,500 rounds of SHA-256: well under a
/// millisecond, which is left in.)
///
/// # Errors
/// What does not start.
pub fn starts(
    wanted: &dyn Fn(&str) -> bool,
    peers: &[Peer],
) -> Result<Option<Line>, Box<dyn Error>> {
    let name = "start and login, small token";
    if !wanted(name) {
        return Ok(None);
    }
    let mut least = vec![f64::INFINITY; peers.len()];
    let mut factor = f64::INFINITY;
    for _ in 0..STARTS {
        for (peer, least) in peers.iter().zip(&mut least) {
            let began = Instant::now();
            child::start(&peer.path, 0)?;
            *least = least.min(began.elapsed().as_secs_f64());
        }
        factor = factor.min(child::work_factor()?);
    }
    let cost = hsm_sim::PinRules::embedded().cost;
    Ok(Some(Line {
        name: name.into(),
        ratios: vec![
            Ratio {
                of: "SoftHSM2's time, without our work factor",
                is: (least[0] - factor) / least[1],
                wants: Some(Wants::AtMost(0.5)),
            },
            Ratio {
                of: "with it",
                is: least[0] / least[1],
                wants: None,
            },
        ],
        rates: peers
            .iter()
            .map(|p| p.name)
            .zip(least.iter().map(|s| 1.0 / s))
            .collect(),
        notes: vec![format!(
            "whole processes, the least of {STARTS}: {:.1} ms of ours, of which the PIN's work factor is {:.1} (Argon2id, {} MiB, \
             {} passes), and {:.1} ms of SoftHSM2's; another process has the token open meanwhile",
            least[0] * 1e3,
            factor * 1e3,
            cost.memory / 1024,
            cost.passes,
            least[1] * 1e3
        )],
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

/// What a search by label costs with few keys, before other rows add theirs: relative to bare work beside it, which stands for the
/// machine's speed, since this and the search among many cannot take turns.
///
/// # Errors
/// What the module refuses.
pub fn few(wanted: &dyn Fn(&str) -> bool, ours: &Peer) -> Result<Option<f64>, Box<dyn Error>> {
    if !wanted(FIND) {
        return Ok(None);
    }
    rows::fill(ours.session, 0..FEW)?;
    child::search_rate(&ours.path).map(Some)
}

fn find(ours: &Peer, few: f64) -> Result<Line, Box<dyn Error>> {
    let have = rows_there(ours)?;
    if have < MANY {
        eprintln!("filling {} with {MANY} token keys ...", ours.name);
        rows::fill_by_many(ours, have..MANY)?;
    }
    Ok(Line {
        name: FIND.into(),
        rates: Vec::new(),
        ratios: vec![Ratio {
            of: "cost",
            is: few / child::search_rate(&ours.path)?,
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
        rows::fill_by_many(ours, have..MANY)?;
    }
    let (mut times, mut peak) = (Vec::new(), 0.0_f64);
    for _ in 0..5 {
        let start = child::start(&ours.path, MANY / 2)?;
        if start.found != 1 {
            return Err("the child did not find the key".into());
        }
        times.push(start.seconds);
        peak = peak.max(start.megabytes);
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
