//! `cargo bench -p benches --bench growth [-- million]`: how our cost grows with objects (to 100,000, or to a million), sessions
//! and sizes. Writes docs/growth.json and docs/growth.svg, and prints the points in Markdown for docs/performance.md.

use std::error::Error;
use std::process::ExitCode;

use benches::rig::{self, Peer};
use benches::{child, growth, plot};

fn main() -> ExitCode {
    child::program(measure)
}

fn measure() -> Result<(), Box<dyn Error>> {
    let words = child::words();
    let most = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => 100_000,
        ["million"] => 1_000_000,
        _ => return Err(format!("million, or nothing: {}", words.join(" ")).into()),
    };
    let ours = Peer::open("Keystead", &rig::ours()?)?;
    // First, while no other session is open; the objects last, for the others have a token that is nearly empty.
    let sessions = growth::sessions(&ours)?;
    let mut panels = growth::sizes(&ours)?;
    panels.extend(sessions);
    panels.extend(growth::objects(&ours, most)?);
    std::fs::write(
        rig::at_root("docs/growth.json"),
        format!("{:#}\n", growth::json(&panels)),
    )?;
    std::fs::write(rig::at_root("docs/growth.svg"), plot::svg(&panels))?;
    println!("{}", growth::markdown(&panels));
    Ok(())
}
