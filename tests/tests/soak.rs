//! Many processes with many threads on one embedded token, one of the processes killed every second. Nothing that was
//! acknowledged is lost, nothing that was destroyed returns, and nobody sees an error but the specification's.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tests::p11::Token;
use tests::tools;
use tests::up::Home;

/// What the journals say of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Asked for, never acknowledged: it may be there.
    Begun,
    Made,
    /// Its end was asked for, never acknowledged.
    Ending,
    Destroyed,
}

struct Soak {
    home: Home,
    token: Token,
    threads: usize,
    started: usize,
    until: Instant,
}

impl Soak {
    fn spawn(&mut self) -> Child {
        let journal = self.home.path(&format!("journal-{}", self.started));
        self.started += 1;
        // Some end by themselves and are replaced; all end with the soak.
        let left = self
            .until
            .saturating_duration_since(Instant::now())
            .as_secs();
        let life = left.min(3 + self.started as u64 % 9);
        let mut command = Command::new(tools::beside("soaker"));
        command
            .arg(tools::module())
            .arg(&self.token.pin)
            .arg(journal)
            .args([self.threads.to_string(), life.to_string()])
            .stdin(Stdio::null());
        self.token.surround(&mut command).spawn().expect("starts")
    }
}

fn soak(processes: usize, threads: usize, seconds: u64) {
    let home = Home::new();
    let token = Token::ours(&home, "t", "1234");
    token.init("12345678");
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut soak = Soak {
        home,
        token,
        threads,
        started: 0,
        until,
    };
    let mut running: Vec<Child> = (0..processes).map(|_| soak.spawn()).collect();
    let (mut killed, mut next) = (0, Instant::now() + Duration::from_secs(1));
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
        if Instant::now() >= next {
            let mut victim = running.swap_remove(killed * 7 % running.len());
            if victim.try_wait().expect("our child").is_none() {
                victim.kill().expect("our child");
                killed += 1;
            }
            victim.wait().expect("our child");
            running.push(soak.spawn());
            next += Duration::from_secs(1);
        }
        for child in &mut running {
            if let Some(status) = child.try_wait().expect("our child") {
                assert!(status.success(), "a process that nobody killed: {status}");
                *child = soak.spawn();
            }
        }
    }
    for mut child in running {
        let status = child.wait().expect("our child");
        assert!(status.success(), "a process that nobody killed: {status}");
    }
    let fates = read(&soak.home.path(""), soak.started * threads);
    let there = soak.token.secret_keys();
    let mut found: HashMap<&str, usize> = HashMap::new();
    for key in &there {
        *found
            .entry(key["label"].as_str().expect("a label"))
            .or_default() += 1;
    }
    let count = |fate| fates.values().filter(|f| **f == fate).count();
    println!(
        "{} processes, {killed} killed; keys: {} kept, {} destroyed, {} + {} cut off; {} there",
        soak.started,
        count(Fate::Made),
        count(Fate::Destroyed),
        count(Fate::Begun),
        count(Fate::Ending),
        there.len()
    );
    for (label, fate) in &fates {
        let there = found.remove(label.as_str()).unwrap_or_default();
        let right = match fate {
            Fate::Made => there == 1,
            Fate::Destroyed => there == 0,
            Fate::Begun | Fate::Ending => there <= 1,
        };
        assert!(
            right,
            "{label} is {fate:?}, and {there} such keys are there"
        );
    }
    assert_eq!(found.len(), 0, "keys that nobody made: {found:?}");
    assert!(killed > 0 && count(Fate::Destroyed) > 0, "it was a soak");
    soak.token
        .user("--keygen --key-type AES:32 --label after")
        .ok();
}

/// Every journal, whole lines only: the last may have been cut off with its process.
fn read(dir: &Path, most: usize) -> HashMap<String, Fate> {
    let mut fates = HashMap::new();
    let entries = fs::read_dir(dir).expect("the test's directory");
    let journals: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    let name = |p: &Path| p.file_name().map(|n| n.to_string_lossy().into_owned());
    let journals = journals
        .into_iter()
        .filter(|p| name(p).is_some_and(|n| n.starts_with("journal-")));
    let mut read = 0;
    for path in journals {
        read += 1;
        let text = fs::read_to_string(&path).expect("a journal");
        for line in text
            .split_inclusive('\n')
            .filter_map(|l| l.strip_suffix('\n'))
        {
            let (word, label) = line.split_once(' ').expect("two words");
            let fate = match word {
                "making" => Fate::Begun,
                "made" => Fate::Made,
                "destroying" => Fate::Ending,
                "destroyed" => Fate::Destroyed,
                _ => panic!("{}: {line}", path.display()),
            };
            fates.insert(label.to_owned(), fate);
        }
    }
    assert!(read > 0 && read <= most, "{read} journals");
    fates
}

#[test]
fn a_short_soak() {
    soak(4, 4, 8);
}

#[test]
#[ignore = "long: ./check full"]
fn a_minute_of_sixteen_processes_with_sixteen_threads() {
    soak(16, 16, 60);
}
