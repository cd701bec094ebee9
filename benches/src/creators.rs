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
    let name = "token key create + destroy, concurrent creators";
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
    let names = ["1 thread", "4 threads", "16 threads", "4 processes", "bare"];
    let bare = names.len() - 1;
    let plan = Plan {
        rounds: 15,
        window: Duration::from_millis(100),
        luck: false,
    };
    let rates = interleaved(&mut work, plan);
    let ratio = |of, by, wants: f64| Ratio {
        of: names[of],
        is: rates.ratio(of, by),
        wants: (wants > 0.0).then_some(Wants::AtLeast(wants)),
    };
    Ok(Some(Line {
        name: name.into(),
        ratios: vec![
            ratio(0, bare, 0.7),
            ratio(1, bare, 0.0),
            // More than bare commits can: these are shared.
            ratio(2, bare, 1.0),
            ratio(3, bare, 0.0),
        ],
        rates: names
            .iter()
            .enumerate()
            .map(|(at, name)| (*name, rates.of(at)))
            .collect(),
        notes: vec!["each beside bare durable SQLite commits, one after the other".into()],
    }))
}
