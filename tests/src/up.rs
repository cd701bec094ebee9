//! `keystead up` as a value, and the directory that a test lives in.

use crate::aws::REGION;
use crate::procs;
use crate::run::Run;
use crate::tools;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long the service may take to say that it serves: a cluster of two HSMs is made in that time, on a busy machine.
const READY: Duration = Duration::from_secs(90);

/// A test's own directory: the data directory, a home, a place for temporary files. Removed when it goes out of scope;
/// declare it before what lives in it.
pub struct Home {
    dir: TempDir,
    /// The region that the user of this directory works in.
    pub region: String,
}

impl Home {
    /// A fresh one.
    pub fn new() -> Home {
        Home::in_region(REGION)
    }

    /// A fresh one of a user who works in this region, with a short path: local sockets have room for about a hundred characters.
    pub fn in_region(region: &str) -> Home {
        let dir = tempfile::Builder::new()
            .prefix("ks-")
            .tempdir_in("/tmp")
            .expect("make a directory in /tmp");
        for name in ["data", "xdg", "tmp"] {
            fs::create_dir(dir.path().join(name)).expect("make a directory");
        }
        Home {
            dir,
            region: region.to_owned(),
        }
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The data directory given to `up`.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Write a file in it and say where.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
        path
    }

    /// The bytes of a file in it.
    #[track_caller]
    pub fn read(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()))
    }

    /// What every program under test is told about its surroundings: nothing of the developer's own may leak in.
    pub fn env(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("HOME", self.dir.path().into()),
            ("XDG_DATA_HOME", self.path("xdg").into()),
            ("XDG_CONFIG_HOME", self.path("xdg").into()),
            ("TMPDIR", self.path("tmp").into()),
            // As in the shell of somebody who uses the AWS CLI in that region.
            ("AWS_REGION", self.region.as_str().into()),
            ("AWS_DEFAULT_REGION", self.region.as_str().into()),
        ]
    }

    /// `keystead WORDS`, its surroundings in this directory.
    pub fn keystead(&self, words: &str) -> Run {
        let run = Run::new(tools::keystead())
            .words(words)
            .envs(self.env())
            .dir(self.dir.path());
        run.without("KEYSTEAD_DATA_DIR")
            .without("KEYSTEAD_PKCS11_CONF")
    }

    /// `keystead COMMAND --data-dir DATA WORDS`: a command that finds the running `up`. More arguments may follow.
    pub fn tool(&self, words: &str) -> Run {
        let (command, words) = words.split_once(' ').unwrap_or((words, ""));
        self.keystead(command)
            .arg("--data-dir")
            .arg(self.data())
            .words(words)
    }
}

impl Default for Home {
    fn default() -> Home {
        Home::new()
    }
}

impl Drop for Home {
    /// A test that failed half-way must not leave HSMs running.
    fn drop(&mut self) {
        for left in procs::mentioning(self.dir.path()) {
            procs::signal("KILL", left.pid);
        }
    }
}

/// A running service.
pub struct Up {
    child: Child,
    /// The data directory it was given.
    pub data: PathBuf,
    /// Where it serves.
    pub url: String,
    log: Arc<Mutex<String>>,
}

impl Up {
    /// `keystead up --bare`: nothing made yet.
    #[track_caller]
    pub fn bare(home: &Home) -> Up {
        Up::start(home, &["--bare"], &[])
    }

    /// `keystead up` with more arguments and environment, on a free port; returns when it says that it is ready.
    #[track_caller]
    pub fn start(home: &Home, args: &[&str], env: &[(&str, &Path)]) -> Up {
        let data = home.data();
        let mut command = Command::new(tools::keystead());
        command
            .arg("up")
            .args(args)
            .args(["--listen", "127.0.0.1:0", "--data-dir"])
            .arg(&data);
        command.envs(home.env()).envs(env.iter().copied());
        command
            .env_remove("KEYSTEAD_DATA_DIR")
            .env_remove("KEYSTEAD_PKCS11_CONF");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("start keystead up");
        let log = Arc::new(Mutex::new(String::new()));
        let (ready, url) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let keep = Arc::clone(&log);
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Some(url) = line.strip_prefix("ready ") {
                    // The test may have given up.
                    drop(ready.send(url.trim().to_owned()));
                }
                note(&keep, &line);
            }
        });
        let keep = Arc::clone(&log);
        thread::spawn(move || {
            stderr
                .lines()
                .map_while(Result::ok)
                .for_each(|line| note(&keep, &line))
        });
        let begun = Instant::now();
        let mut up = Up {
            child,
            data,
            url: String::new(),
            log,
        };
        while up.url.is_empty() {
            match url.recv_timeout(Duration::from_millis(50)) {
                Ok(url) => up.url = url,
                Err(_) => {
                    let ended = up.child.try_wait().expect("wait for a child");
                    assert!(
                        ended.is_none(),
                        "`keystead up {args:?}` ended: {ended:?}\n{}",
                        up.log()
                    );
                    assert!(
                        begun.elapsed() < READY,
                        "not ready after {READY:?}\n{}",
                        up.log()
                    );
                }
            }
        }
        let url = &up.url;
        assert!(
            url.starts_with("http://127.0.0.1:"),
            "`ready` names an address of ours: {url}"
        );
        up
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        self.url.trim_start_matches("http://").trim_end_matches('/')
    }

    /// What it has said so far, on both outputs.
    pub fn log(&self) -> String {
        let text = self.log.lock().unwrap_or_else(|e| e.into_inner());
        format!("  what `up` said:\n{text}")
    }

    /// The rest of the line in which it says this; `ready` is on the other output, and may be read before.
    #[track_caller]
    pub fn said(&self, words: &str) -> String {
        crate::poll::until(10, &format!("up says `{words}`"), || {
            let log = self.log();
            let (_, after) = log.split_once(words).ok_or_else(|| log.clone())?;
            let (line, _) = after.split_once('\n').ok_or("half a line")?;
            Ok(line.to_owned())
        })
    }

    /// Is it still running?
    pub fn alive(&mut self) -> bool {
        self.child.try_wait().expect("wait for a child").is_none()
    }

    /// End it as a user does, with SIGTERM; it must go by itself, and its HSMs with it.
    #[track_caller]
    pub fn stop(mut self) {
        procs::signal("TERM", self.child.id());
        let begun = Instant::now();
        while self.alive() {
            let waited = begun.elapsed();
            assert!(
                waited < Duration::from_secs(20),
                "SIGTERM did not end it in {waited:?}\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(10));
        }
        crate::poll::until(10, "no process of the data directory is left", || {
            let left = procs::mentioning(&self.data);
            if left.is_empty() {
                Ok(())
            } else {
                Err(format!("{left:?}"))
            }
        });
    }

    /// End it as a power cut does. What it started is not touched: mending that is the next start's job.
    pub fn kill(mut self) {
        self.child.kill().expect("kill a child");
        self.child.wait().expect("wait for a child");
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.log());
        }
        procs::signal("TERM", self.child.id());
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) && matches!(self.child.try_wait(), Ok(None))
        {
            thread::sleep(Duration::from_millis(10));
        }
        // Already ended is fine.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn note(log: &Mutex<String>, line: &str) {
    let mut text = log.lock().unwrap_or_else(|e| e.into_inner());
    text.push_str("    ");
    text.push_str(line);
    text.push('\n');
}
