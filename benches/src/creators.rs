//! Keys that are made at the same time, by threads and by processes, beside bare commits one after the other: whoever waits
//! for a disk together need not wait in turn.

use std::error::Error;
use std::time::Duration;

use crate::child::Creator;
use crate::limit;
use crate::report::{Line, Ratio, Wants};
use crate::rig::Peer;
use crate::rows::{self, Kind};
use crate::window::{Plan, Work, interleaved};

const PROCESSES: usize = 4;

/// The row, where it is wanted.
///
/// # Errors
/// What the module refuses, and what does not start.
pub fn line(wanted: &dyn Fn(&str) -> bool, ours: &Peer) -> Result<Option<Line>, Box<dyn Error>> {
    let name = "token keys, concurrent creators";
    if !wanted(name) {
        return Ok(None);
    }
    let mut work = Vec::new();
    for threads in [1, 4, 16] {
        work.push(rows::work(Kind::Create, ours, threads)?);
    }
    let process = |_| {
        let mut creator = Creator::new(&ours.path)?;
        let act = move || creator.create().expect("the process creates");
        Ok(Box::new(act) as Work)
    };
    let processes = (0..PROCESSES).map(process);
    work.push(processes.collect::<Result<_, Box<dyn Error>>>()?);
    work.push(limit::work(Kind::Create, 1).ok_or("no bare commit")?);
    let names = [
        "1 thread",
        "4 threads",
        "16 threads",
        "4 processes",
        "limit",
    ];
    let bare = names.len() - 1;
    let plan = Plan {
        rounds: 15,
        window: Duration::from_millis(100),
        luck: false,
    };
    let rates = interleaved(&mut work, plan);
    let by_limit = |at: usize, wants: Option<f64>| Ratio {
        of: names[at],
        is: rates.ratio(at, bare),
        wants: wants.map(Wants::AtLeast),
    };
    Ok(Some(Line {
        name: name.into(),
        ratios: vec![
            by_limit(0, Some(0.7)),
            by_limit(1, None),
            by_limit(2, None),
            by_limit(3, None),
            // Where each waits for a sync of his own there is nothing to gain.
            Ratio {
                of: "16 threads by 1 thread",
                is: rates.ratio(2, 0),
                wants: Some(Wants::AtLeast(1.2)),
            },
        ],
        rates: names
            .iter()
            .enumerate()
            .map(|(at, name)| (*name, rates.of(at)))
            .collect(),
        notes: vec![
            "create + destroy, each by the limit: bare durable SQLite commits, one after the other; a process is told of each act \
             through a pipe, which takes time too"
                .into(),
        ],
    }))
}
