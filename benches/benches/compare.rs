//! `cargo bench -p benches [-- FILTER...]`: our module beside its peers and the limit, in one run; the ratios count.
//!
//! Words that are no option pick the rows whose name has one of them (`cargo bench -p benches -- GCM`). A run of all rows
//! also writes docs/performance.json and docs/performance.svg, and prints the table in Markdown for docs/performance.md.

use std::error::Error;
use std::process::ExitCode;

use benches::report::{self, Line, Ratio, Wants};
use benches::rig::{self, Peer};
use benches::rows::{self, Kind, ROWS, Row};
use benches::window::{Work, interleaved};
use benches::{child, cluster, creators, limit, special};

fn main() -> ExitCode {
    let words = child::words();
    child::program(|| measure(&words))
}

fn measure(words: &[String]) -> Result<(), Box<dyn Error>> {
    let wanted = |name: &str| {
        words.is_empty()
            || words
                .iter()
                .any(|w| name.to_lowercase().contains(&w.to_lowercase()))
    };
    let mut peers = vec![
        Peer::open("Keystead", &rig::ours()?)?,
        Peer::open("SoftHSM2", &rig::soft()?)?,
    ];
    match rig::kryoptic() {
        Ok(path) => peers.push(Peer::open("Kryoptic", &path)?),
        Err(why) => eprintln!("without Kryoptic: {why}"),
    }
    let mut lines = Vec::new();
    let mut show = |line: Line| {
        println!("{}", line.text());
        lines.push(line);
    };
    if let Some(line) = special::starts(&wanted, &peers)? {
        show(line);
    }
    let few = special::few(&wanted, &peers[0])?;
    for row in ROWS.iter().filter(|r| wanted(r.name)) {
        if let Kind::Find(count) = row.kind {
            for peer in &peers {
                eprintln!("filling {} with {count} token keys ...", peer.name);
                // Ours has the first ones already, where the cost of few was asked for.
                let have = if few.is_some() && peer.name == peers[0].name {
                    special::FEW
                } else {
                    0
                };
                rows::fill(peer.session, have..count)?;
            }
        }
        show(beside(row, &peers));
    }
    for (name, kind) in [
        ("RSA-2048 sign", Kind::RsaSign(2048)),
        ("ECDSA P-256 sign", Kind::EcSign(256)),
        ("AES-256-GCM 1 KiB", Kind::Gcm(1024)),
    ] {
        let name = format!("two threads: {name}");
        if wanted(&name) {
            show(two_threads(name, kind, &peers)?);
        }
    }
    if let Some(line) = creators::line(&wanted, &peers[0])? {
        show(line);
    }
    for line in special::lines(&wanted, &peers, few)? {
        show(line);
    }
    for line in cluster::lines(&wanted, &peers[0])? {
        show(line);
    }
    if words.is_empty() {
        std::fs::write(
            rig::at_root("docs/performance.json"),
            format!("{:#}\n", report::json(&lines)),
        )?;
        std::fs::write(rig::at_root("docs/performance.svg"), report::svg(&lines))?;
        println!("\n{}", report::markdown(&lines));
    }
    let short: Vec<&str> = lines
        .iter()
        .filter(|l| l.ratios.iter().any(|r| !r.holds()))
        .map(|l| l.name.as_str())
        .collect();
    println!(
        "{} rows, {} fall short{}{}",
        lines.len(),
        short.len(),
        if short.is_empty() { "" } else { ": " },
        short.join(", ")
    );
    Ok(())
}

/// One row on all modules and the limit, in turns.
fn beside(row: &Row, peers: &[Peer]) -> Line {
    let (mut names, mut work, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for peer in peers {
        match rows::work(row.kind, peer, 1) {
            Ok(made) => {
                names.push(peer.name);
                work.push(made);
            }
            Err(refusal) => notes.push(format!("{}: {refusal}", peer.name)),
        }
    }
    let modules = names.len();
    if let Some(made) = limit::work(row.kind, 1) {
        names.push("limit");
        work.push(made);
    }
    let rates = interleaved(&mut work, row.kind.plan());
    let mut ratios = Vec::new();
    if names.first() == Some(&"Keystead") {
        if names.len() > modules {
            ratios.push(Ratio {
                of: "limit",
                is: rates.ratio(0, modules),
                wants: row.limit.map(Wants::AtLeast),
            });
        }
        let best = (1..modules).max_by(|a, b| rates.of(*a).total_cmp(&rates.of(*b)));
        if let Some(best) = best {
            ratios.push(Ratio {
                of: names[best],
                is: rates.ratio(0, best),
                wants: row.peers.map(Wants::AtLeast),
            });
        }
    }
    Line {
        name: row.name.to_owned(),
        rates: names
            .iter()
            .enumerate()
            .map(|(at, name)| (*name, rates.of(at)))
            .collect(),
        ratios,
        notes,
    }
}

/// What a second thread adds, for every module and for the limit.
fn two_threads(name: String, kind: Kind, peers: &[Peer]) -> Result<Line, Box<dyn Error>> {
    let mut names = Vec::new();
    let mut work: Vec<Vec<Work>> = Vec::new();
    for peer in peers {
        names.push(peer.name);
        work.push(rows::work(kind, peer, 1)?);
        work.push(rows::work(kind, peer, 2)?);
    }
    names.push("limit");
    work.extend(limit::work(kind, 1));
    work.extend(limit::work(kind, 2));
    let rates = interleaved(&mut work, kind.plan());
    let ratios = names.iter().enumerate().map(|(at, name)| Ratio {
        of: name,
        is: rates.ratio(2 * at + 1, 2 * at),
        wants: (at == 0).then_some(Wants::AtLeast(1.9)),
    });
    Ok(Line {
        name,
        rates: names
            .iter()
            .enumerate()
            .map(|(at, name)| (*name, rates.of(2 * at + 1)))
            .collect(),
        ratios: ratios.collect(),
        notes: vec!["two threads by one, of each; wants a quiet machine of two cores".into()],
    })
}
