//! How our cost grows: with the objects on a token, with the sessions of an application, with the size of a message.

use std::error::Error;
use std::time::Duration;

use serde_json::{Value, json};

use crate::child;
use crate::limit;
use crate::rig::Peer;
use crate::rows::{self, Kind};
use crate::window::{Plan, Work, interleaved, median};

/// One line of a panel.
pub struct Curve {
    /// For the legend.
    pub name: &'static str,
    /// x and y, both above 0.
    pub points: Vec<(f64, f64)>,
}

/// One picture: both axes are logarithmic.
pub struct Panel {
    /// What is drawn, with its unit.
    pub title: &'static str,
    /// What the x axis counts.
    pub over: &'static str,
    /// Its lines.
    pub curves: Vec<Curve>,
}

const SHORT: Plan = Plan {
    rounds: 9,
    window: Duration::from_millis(15),
    luck: false,
};

/// Objects: a token that is filled step by step up to `most`.
///
/// # Errors
/// What the module refuses.
pub fn objects(ours: &Peer, most: usize) -> Result<Vec<Panel>, Box<dyn Error>> {
    let (mut find, mut create) = (Vec::new(), Vec::new());
    let (mut start, mut memory) = (Vec::new(), Vec::new());
    let mut have = 0;
    for count in std::iter::successors(Some(10), |n| Some(n * 10)).take_while(|n| *n <= most) {
        eprintln!("filling the token with {count} keys ...");
        rows::fill_by_many(ours, have..count)?;
        have = count;
        let mut work = vec![
            rows::work(Kind::Find(count), ours, 1)?,
            rows::work(Kind::Create, ours, 1)?,
        ];
        let rates = interleaved(&mut work, SHORT);
        let mut seconds = Vec::new();
        let mut peak = 0.0_f64;
        for _ in 0..3 {
            let began = child::start(&ours.path, count / 2)?;
            if began.found != 1 {
                return Err(format!("a child found {} of one key", began.found).into());
            }
            seconds.push(began.seconds);
            peak = peak.max(began.megabytes);
        }
        let at = count as f64;
        find.push((at, 1e6 / rates.of(0)));
        create.push((at, 1e6 / rates.of(1)));
        start.push((at, 1e3 * median(seconds)));
        memory.push((at, peak));
    }
    let panel = |title, name, points| Panel {
        title,
        over: "token keys",
        curves: vec![Curve { name, points }],
    };
    Ok(vec![
        Panel {
            title: "time of one act, microseconds",
            over: "token keys",
            curves: vec![
                Curve {
                    name: "find by label",
                    points: find,
                },
                Curve {
                    name: "create and destroy",
                    points: create,
                },
            ],
        },
        panel(
            "load to login (Argon2id in it), milliseconds",
            "start",
            start,
        ),
        panel("peak memory of that process, MB", "memory", memory),
    ])
}

/// Sessions: what one more costs to open and close, and what an operation costs in one of them. For a module of which no other
/// session is open than the peer's own.
///
/// # Errors
/// What the module refuses.
pub fn sessions(ours: &Peer) -> Result<Vec<Panel>, Box<dyn Error>> {
    const MOST: usize = 1000;
    let (module, slot, own) = (ours.module, ours.slot, ours.session);
    let key = rows::aes(own)?;
    let mut open = Vec::new();
    let (mut one_more, mut seal) = (Vec::new(), Vec::new());
    for count in [1, 3, 10, 30, 100, 300, MOST] {
        while open.len() + 1 < count {
            open.push(module.open(slot)?);
        }
        let opens: Work = Box::new(move || {
            let session = module.open(slot).expect("opens");
            session.close().expect("closes");
        });
        let mut work = vec![vec![opens], vec![rows::seal(own, key, 1024)]];
        let rates = interleaved(&mut work, SHORT);
        one_more.push((count as f64, 1e6 / rates.of(0)));
        seal.push((count as f64, 1e6 / rates.of(1)));
    }
    for session in open {
        session.close()?;
    }
    Ok(vec![Panel {
        title: "time of one act, microseconds",
        over: "open sessions",
        curves: vec![
            Curve {
                name: "open and close one more",
                points: one_more,
            },
            Curve {
                name: "AES-256-GCM 1 KiB",
                points: seal,
            },
        ],
    }])
}

/// Sizes: throughput of ours and of the limit from 16 bytes to 16 MiB.
///
/// # Errors
/// What the module refuses.
pub fn sizes(ours: &Peer) -> Result<Vec<Panel>, Box<dyn Error>> {
    let mut panels = Vec::new();
    let of_size: [fn(usize) -> Kind; 2] = [Kind::Gcm, Kind::Sha256];
    let titles = ["AES-256-GCM encryption, MB/s", "SHA-256, MB/s"];
    for (title, kind) in titles.into_iter().zip(of_size) {
        let (mut module, mut bare) = (Vec::new(), Vec::new());
        for size in (4..=24).step_by(2).map(|power| 1_usize << power) {
            let mut work = vec![
                rows::work(kind(size), ours, 1)?,
                limit::work(kind(size), 1).ok_or("no limit")?,
            ];
            let rates = interleaved(&mut work, SHORT);
            let megabytes = |rate: f64| rate * size as f64 / 1e6;
            module.push((size as f64, megabytes(rates.of(0))));
            bare.push((size as f64, megabytes(rates.of(1))));
        }
        panels.push(Panel {
            title,
            over: "bytes",
            curves: vec![
                Curve {
                    name: "Keystead",
                    points: module,
                },
                Curve {
                    name: "AWS-LC directly",
                    points: bare,
                },
            ],
        });
    }
    Ok(panels)
}

/// All points, as data.
pub fn json(panels: &[Panel]) -> Value {
    let curve = |c: &Curve| json!({ "name": c.name, "points": c.points });
    let panel = |p: &Panel| {
        let curves: Vec<Value> = p.curves.iter().map(curve).collect();
        json!({ "title": p.title, "over": p.over, "curves": curves })
    };
    Value::Array(panels.iter().map(panel).collect())
}

/// All points as a table in Markdown, one for each panel.
pub fn markdown(panels: &[Panel]) -> String {
    let mut text = String::new();
    for panel in panels {
        let names: Vec<&str> = panel.curves.iter().map(|c| c.name).collect();
        text += &format!(
            "\n| {}: {} | {} |\n",
            panel.over,
            panel.title,
            names.join(" | ")
        );
        text += &format!("|---|{}\n", "---|".repeat(names.len()));
        for (at, (x, _)) in panel.curves[0].points.iter().enumerate() {
            let values: Vec<String> = panel
                .curves
                .iter()
                .map(|c| crate::plot::figure(c.points[at].1))
                .collect();
            text += &format!("| {} | {} |\n", crate::plot::figure(*x), values.join(" | "));
        }
    }
    text
}
