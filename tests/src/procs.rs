//! Processes by what their command line mentions, read from /proc, and signals by pid.
//!
//! Every data directory is a fresh temporary path, so "mentions it" means "was started for this test".

use crate::poll::until;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A running process.
#[derive(Debug, Clone)]
pub struct Proc {
    /// Its process id.
    pub pid: u32,
    /// Its command line.
    pub argv: Vec<String>,
}

/// The living processes whose command line mentions `dir`; this one is not among them.
pub fn mentioning(dir: &Path) -> Vec<Proc> {
    let wanted = dir.to_str().expect("a temporary path is text");
    let entries = fs::read_dir("/proc").expect("/proc is readable");
    let pids = entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != std::process::id())
        .filter_map(|pid| {
            // A process that ended since is none.
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let argv: Vec<String> = line
                .split(|b| *b == 0)
                .map(|a| String::from_utf8_lossy(a).into_owned())
                .collect();
            argv.iter()
                .any(|a| a.contains(wanted))
                .then_some(Proc { pid, argv })
        })
        .collect()
}

/// The HSM processes (`keystead node`) that serve out of `dir`.
pub fn nodes(dir: &Path) -> Vec<Proc> {
    mentioning(dir)
        .into_iter()
        .filter(|p| p.argv.get(1).is_some_and(|a| a == "node"))
        .collect()
}

/// The living children of a process.
pub fn children(pid: u32) -> Vec<u32> {
    // A process that ended since has none.
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|p| p.parse().ok())
        .collect()
}

/// Send `signal` (a name without SIG) to `pid`, if it is still there.
pub fn signal(signal: &str, pid: u32) {
    let line = format!("kill -{signal} {pid} 2>/dev/null");
    Command::new("/bin/sh")
        .args(["-c", &line])
        .status()
        .expect("/bin/sh runs");
}

/// Kill one HSM of `dir` with signal 9, wait until it is gone, and say which it was.
#[track_caller]
pub fn kill_one_node(dir: &Path) -> Proc {
    let all = nodes(dir);
    let victim = all.first().cloned();
    let victim = victim.unwrap_or_else(|| panic!("no `keystead node` mentions {}", dir.display()));
    signal("KILL", victim.pid);
    until(10, "the killed HSM's process is gone", || {
        let left = nodes(dir);
        if left.iter().any(|p| p.pid == victim.pid) {
            Err(format!("{left:?}"))
        } else {
            Ok(())
        }
    });
    victim
}
