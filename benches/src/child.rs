//! What this program does as a child process: a start as a short-lived program makes it, keys in turns, the PIN's work factor.

use std::error::Error;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::limit;
use crate::raw::Value;
use crate::rig::{self, Peer};
use crate::rows::{self, Kind};
use crate::window::{Plan, interleaved};

/// The environment's word for what a child is to do.
const TASK: &str = "KEYSTEAD_BENCH_CHILD";
const MEASURE: &str = "measure";

/// What a start took.
pub struct Start {
    /// From before the load to after the login.
    pub seconds: f64,
    /// Peak memory, in 1e6 bytes.
    pub megabytes: f64,
    /// How many objects had the label.
    pub found: usize,
}

/// The words of the command line that are no option.
pub fn words() -> Vec<String> {
    std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect()
}

/// A benchmark's `main`: runs this program once more, with its modules pointed at an empty directory, to measure; and does a
/// child's task in a child.
pub fn program(measure: impl FnOnce() -> Result<(), Box<dyn Error>>) -> ExitCode {
    let outcome = match std::env::var(TASK).as_deref() {
        Ok(MEASURE) => measure(),
        Ok(task) => run(task),
        Err(_) => again(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The empty directory is on a disk, where a commit costs what it does.
fn again() -> Result<(), Box<dyn Error>> {
    let target = rig::at_root("target");
    std::fs::create_dir_all(&target)?;
    let dir = tempfile::tempdir_in(target)?;
    let status = rig::under_test(dir.path())?
        .args(words())
        .env(TASK, MEASURE)
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the measurement ended with {status}").into())
    }
}

fn run(task: &str) -> Result<(), Box<dyn Error>> {
    match task.split_once(' ').unwrap_or((task, "")) {
        ("start", of) => {
            let (number, path) = of.split_once(' ').ok_or("start NUMBER MODULE")?;
            begin(number.parse()?, Path::new(path))
        }
        ("create", path) => create(Path::new(path)),
        ("search", path) => search(Path::new(path)),
        ("factor", "") => factor(),
        _ => Err(format!("no such task: {task}").into()),
    }
}

/// A child that starts a module; the object that it looks for is the `number`th of [`rows::fill`].
///
/// # Errors
/// What the child says.
pub fn start(path: &Path, number: usize) -> Result<Start, Box<dyn Error>> {
    let text = answer(&format!("start {number} {}", path.display()))?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let [seconds, kilobytes, found] = words[..] else {
        return Err(format!("a start answered {text:?}").into());
    };
    Ok(Start {
        seconds: seconds.parse()?,
        megabytes: kilobytes.parse::<f64>()? * 1.024 / 1e3,
        found: found.parse()?,
    })
}

/// The rate of a search by label for the first key of [`rows::fill`], by that of a bare HMAC, in a process that has read the token and
/// made nothing of it: what a process has made itself is in another form there.
///
/// # Errors
/// What the child says.
pub fn search_rate(path: &Path) -> Result<f64, Box<dyn Error>> {
    Ok(answer(&format!("search {}", path.display()))?
        .trim()
        .parse()?)
}

fn search(path: &Path) -> Result<(), Box<dyn Error>> {
    let peer = Peer::started("the child", path, rig::start(path, None)?)?;
    let plan = Plan {
        rounds: 15,
        window: Duration::from_millis(15),
        luck: false,
    };
    let hash = limit::work(Kind::Hmac(1024), 1).ok_or("the yardstick does not work")?;
    let mut work = vec![rows::work(Kind::Find(1), &peer, 1)?, hash];
    println!("{}", interleaved(&mut work, plan).ratio(0, 1));
    Ok(())
}

/// Seconds that the PIN's work factor takes in a process that has done nothing else.
///
/// # Errors
/// What the child says.
pub fn work_factor() -> Result<f64, Box<dyn Error>> {
    Ok(answer("factor")?.trim().parse()?)
}

fn answer(task: &str) -> Result<String, Box<dyn Error>> {
    let out = Command::new(std::env::current_exe()?)
        .env(TASK, task)
        .output()?;
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into());
    }
    Ok(String::from_utf8(out.stdout)?)
}

fn begin(number: usize, path: &Path) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let session = rig::start(path, None)?;
    let passed = began.elapsed();
    let label = rows::label(number);
    let found = session.find(&[(pkcs11_sys::CKA_LABEL, Value::Bytes(&label))])?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .ok_or("no VmHWM")?;
    let kilobytes = peak.trim().trim_end_matches(" kB");
    session.module.finalize()?;
    println!("{} {kilobytes} {found}", passed.as_secs_f64());
    Ok(())
}

/// One derivation with the cost that a token's PINs have.
fn factor() -> Result<(), Box<dyn Error>> {
    let cost = hsm_sim::PinRules::embedded().cost;
    let broken = |e: argon2::Error| e.to_string();
    let params = argon2::Params::new(cost.memory, cost.passes, 1, Some(32)).map_err(broken)?;
    let (algorithm, version) = (argon2::Algorithm::Argon2id, argon2::Version::V0x13);
    let mut key = [0; 32];
    let began = Instant::now();
    argon2::Argon2::new(algorithm, version, params)
        .hash_password_into(rig::USER_PIN.as_bytes(), &[7; 16], &mut key)
        .map_err(broken)?;
    let passed = began.elapsed();
    std::hint::black_box(&key);
    println!("{}", passed.as_secs_f64());
    Ok(())
}

/// A token key made and destroyed for every byte that comes.
fn create(path: &Path) -> Result<(), Box<dyn Error>> {
    let session = rig::start(path, None)?;
    let peer = Peer::started("the child", path, session)?;
    let mut work = rows::work(Kind::Create, &peer, 1)?;
    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut byte = [0];
    loop {
        output.write_all(b".")?;
        output.flush()?;
        if input.read(&mut byte)? == 0 {
            return Ok(());
        }
        work[0]();
    }
}

/// A process that makes and destroys one key at a time, when it is told to. It ends with this value.
pub struct Creator {
    process: Child,
    // Taken at the end: closed, it tells the process to end.
    tell: Option<ChildStdin>,
    hear: ChildStdout,
}

impl Creator {
    /// Ready to create.
    ///
    /// # Errors
    /// What does not start.
    pub fn new(path: &Path) -> Result<Creator, Box<dyn Error>> {
        let mut process = Command::new(std::env::current_exe()?)
            .env(TASK, format!("create {}", path.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let tell = process.stdin.take();
        let hear = process.stdout.take().ok_or("no output")?;
        let mut creator = Creator {
            process,
            tell,
            hear,
        };
        creator.hear()?;
        Ok(creator)
    }

    /// One key.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn create(&mut self) -> std::io::Result<()> {
        self.tell
            .as_mut()
            .expect("open until the end")
            .write_all(b".")?;
        self.hear()
    }

    fn hear(&mut self) -> std::io::Result<()> {
        self.hear.read_exact(&mut [0])
    }
}

impl Drop for Creator {
    fn drop(&mut self) {
        self.tell = None;
        // It was told to end; how it ended is nobody's concern any more.
        let _ = self.process.wait();
    }
}
