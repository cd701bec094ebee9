//! The service that the demo talks to: `keystead up --bare` as a process of its own, as a user starts it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use super::say::Progress;
use crate::guide::until;
use crate::running::Running;

/// A running service.
pub struct Up {
    /// Where it serves.
    pub url: String,
    child: Child,
    dir: PathBuf,
}

impl Up {
    /// Starts it in `dir` and waits until it is ready.
    pub fn start(dir: &Path, progress: &Progress) -> Result<Up, String> {
        let program = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
        let log = dir.join("up.log");
        let stderr =
            std::fs::File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let mut child = Command::new(&program)
            .args(["up", "--bare", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir.join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let lines = BufReader::new(child.stdout.take().expect("standard output is a pipe")).lines();
        let (send, ready) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(url) = line.strip_prefix("ready ") {
                    let _ = send.send(url.to_owned());
                }
            }
        });
        let mut up = Up {
            url: String::new(),
            child,
            dir: dir.to_owned(),
        };
        let url = until(&|| progress.show(), || match ready.try_recv() {
            Ok(url) => Ok(Some(url)),
            Err(_) => match up.child.try_wait() {
                Ok(Some(status)) => {
                    let log = std::fs::read_to_string(&log).unwrap_or_default();
                    Err(format!("`keystead up` ended at once ({status}):\n{log}"))
                }
                _ => Ok(None),
            },
        })?;
        up.url = url;
        Ok(up)
    }

    /// Where the demo keeps customerCA.crt.
    pub fn anchor(&self) -> PathBuf {
        self.dir.join("customerCA.crt")
    }

    /// A directory for the demo's own files.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs management commands, a line each, by the shell that users have.
    pub fn mgmt(&self, script: &str) -> Result<String, String> {
        Running::find(&self.dir.join("data"))?.mgmt(script)
    }

    /// Asks it to stop, and waits until it and its HSMs have.
    pub fn stop(&mut self) -> Result<(), String> {
        let asked = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let status = self
            .child
            .wait()
            .map_err(|error| format!("waiting for keystead up: {error}"))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("keystead up ended with {status}"))
        }
    }
}

impl Drop for Up {
    /// Ends the service where the story broke off; its HSMs end with it.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
