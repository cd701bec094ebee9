//! One command, run to its end within a time limit. When it does not do what the test expects, the message shows the
//! command line, the status and both outputs: enough to repeat it by hand.

use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A command to be run.
pub struct Run {
    program: OsString,
    args: Vec<OsString>,
    command: Command,
    stdin: Vec<u8>,
    limit: Duration,
}

/// What a command did.
pub struct Done {
    line: String,
    /// Exit status, or `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output as it came.
    pub stdout: Vec<u8>,
    /// Standard error as text.
    pub stderr: String,
}

impl Run {
    /// `program` with nothing on its command line yet, a minute to run, and an empty standard input.
    pub fn new(program: impl AsRef<OsStr>) -> Run {
        let program = program.as_ref().to_owned();
        let command = Command::new(&program);
        Run {
            program,
            args: Vec::new(),
            command,
            stdin: Vec::new(),
            limit: Duration::from_secs(60),
        }
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Run {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Run {
        self.args
            .extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Arguments given as one line of words.
    pub fn words(self, words: &str) -> Run {
        self.args(words.split_whitespace())
    }

    /// An environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Run {
        self.command.env(name, value);
        self
    }

    /// Several environment variables.
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        mut self,
        vars: impl IntoIterator<Item = (K, V)>,
    ) -> Run {
        self.command.envs(vars);
        self
    }

    /// Without this environment variable.
    pub fn without(mut self, name: &str) -> Run {
        self.command.env_remove(name);
        self
    }

    /// The working directory.
    pub fn dir(mut self, dir: &Path) -> Run {
        self.command.current_dir(dir);
        self
    }

    /// What it reads.
    pub fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Run {
        self.stdin = bytes.as_ref().to_vec();
        self
    }

    /// How many seconds it may take.
    pub fn limit(mut self, seconds: u64) -> Run {
        self.limit = Duration::from_secs(seconds);
        self
    }

    /// Run it, whatever its status.
    #[track_caller]
    pub fn done(mut self) -> Done {
        let line = std::iter::once(&self.program)
            .chain(&self.args)
            .map(|a| a.to_string_lossy())
            .map(|a| {
                if a.contains([' ', '\n', '"']) {
                    format!("{a:?}")
                } else {
                    a.into_owned()
                }
            })
            .collect::<Vec<_>>()
            .join(" ");
        self.command
            .args(&self.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self
            .command
            .spawn()
            .unwrap_or_else(|e| panic!("cannot run {line}: {e}"));
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let input = self.stdin;
        // A program that ends without reading its input is no fault of the test: the error is dropped.
        thread::spawn(move || drop(stdin.write_all(&input)));
        let stdout = collect(child.stdout.take().expect("stdout is piped"));
        let stderr = collect(child.stderr.take().expect("stderr is piped"));
        let begun = Instant::now();
        let status = loop {
            match child.try_wait().expect("wait for a child") {
                Some(status) => break Some(status),
                None if begun.elapsed() > self.limit => {
                    // Both may fail only because it ended by itself in this moment.
                    drop(child.kill());
                    drop(child.wait());
                    break None;
                }
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        // A descendant that keeps our pipe open is a process left behind: say so instead of hanging.
        let grace = Duration::from_secs(5);
        let (stdout, stderr) = (stdout.recv_timeout(grace), stderr.recv_timeout(grace));
        let held = stdout.is_err() || stderr.is_err();
        let done = Done {
            line,
            code: status.and_then(|s| s.code()),
            stdout: stdout.unwrap_or_default(),
            stderr: String::from_utf8_lossy(&stderr.unwrap_or_default()).into_owned(),
        };
        assert!(
            status.is_some(),
            "not done after {:?}\n{}",
            self.limit,
            done.report()
        );
        assert!(
            !held,
            "ended, but a descendant still holds its output\n{}",
            done.report()
        );
        done
    }

    /// Run it; it must succeed.
    #[track_caller]
    pub fn ok(self) -> Done {
        let done = self.done();
        assert!(done.code == Some(0), "should succeed\n{}", done.report());
        done
    }

    /// Run it; it must end by itself with a status other than 0.
    #[track_caller]
    pub fn fails(self) -> Done {
        let done = self.done();
        assert!(
            done.code.is_some_and(|c| c != 0),
            "should fail, by itself\n{}",
            done.report()
        );
        done
    }
}

impl Done {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Both outputs, for messages whose stream does not matter.
    pub fn all(&self) -> String {
        format!("{}\n{}", self.text(), self.stderr)
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|e| panic!("not JSON: {e}\n{}", self.report()))
    }

    /// One of the outputs must contain `text`.
    #[track_caller]
    pub fn says(self, text: &str) -> Done {
        assert!(
            self.all().contains(text),
            "should say {text:?}\n{}",
            self.report()
        );
        self
    }

    /// Neither output may contain `text`.
    #[track_caller]
    pub fn silent_about(self, text: &str) -> Done {
        assert!(
            !self.all().contains(text),
            "should not say {text:?}\n{}",
            self.report()
        );
        self
    }

    /// All that is known about it.
    pub fn report(&self) -> String {
        let status = self
            .code
            .map_or_else(|| "none (a signal)".into(), |c| c.to_string());
        format!(
            "  command: {}\n  status: {status}\n  stdout: {}\n  stderr: {}",
            self.line,
            self.text().trim_end(),
            self.stderr.trim_end()
        )
    }
}

fn collect(mut from: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (to, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What could be read before an error is still worth showing, and nobody may be waiting any more.
        drop(from.read_to_end(&mut bytes));
        drop(to.send(bytes));
    });
    receiver
}
