//! A node as a process. Its standard input is a pipe that we hold. It ends when we end, in whatever
//! way, and the node exits then: no process is left behind, also after kill -9.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::node::{NodeCommand, NodeSpec, Ready};

/// Starts nodes.
pub trait Spawner: Send + Sync {
    /// Starts a node and returns when it serves. `file` holds `spec` as JSON.
    ///
    /// # Errors
    /// The node did not start, or said nothing in time.
    fn spawn(&self, file: &Path, spec: &NodeSpec) -> io::Result<Box<dyn Process>>;
}

/// A running node.
pub trait Process: Send {
    /// Its process id; none where it is no process of its own.
    fn pid(&self) -> Option<u32>;
    /// Writes one command to it.
    ///
    /// # Errors
    /// It does not read any more.
    fn send(&mut self, command: &NodeCommand) -> io::Result<()>;
    /// Whether it ended, and how.
    fn ended(&mut self) -> Option<String>;
    /// Ends it as kill -9 does.
    fn kill(&mut self);
    /// Lets it finish, and ends it after `grace`.
    fn stop(&mut self, grace: Duration);
}

/// Spawns `PROGRAM ARGS... --spec FILE`.
pub struct ProcessSpawner {
    program: PathBuf,
    args: Vec<String>,
    patience: Duration,
}

impl ProcessSpawner {
    /// With the program, and what comes before `--spec FILE`.
    pub fn new(program: impl Into<PathBuf>, args: &[&str]) -> ProcessSpawner {
        ProcessSpawner {
            program: program.into(),
            args: args.iter().map(|a| (*a).to_owned()).collect(),
            patience: Duration::from_secs(30),
        }
    }
}

impl Spawner for ProcessSpawner {
    fn spawn(&self, file: &Path, spec: &NodeSpec) -> io::Result<Box<dyn Process>> {
        let log = file.with_file_name("log");
        let stderr = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&log)?;
        let mut child = Command::new(&self.program)
            .args(&self.args)
            .arg("--spec")
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", self.program.display())))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        let mut node = ChildNode { child, stdin };
        let (said, line) = mpsc::channel();
        // The thread ends with the node's standard output.
        thread::spawn(move || {
            let mut first = String::new();
            if let Some(out) = stdout {
                let mut out = BufReader::new(out);
                let read = out.read_line(&mut first);
                let _ = said.send(read.map(|_| first));
                let _ = io::copy(&mut out, &mut io::sink());
            }
        });
        let failed = |node: &mut ChildNode, why: String| {
            node.kill();
            let log = log.display();
            Err(io::Error::other(format!(
                "node {}: {why}; see {log}",
                spec.hsm_id
            )))
        };
        match line.recv_timeout(self.patience) {
            Ok(Ok(text)) => match serde_json::from_str::<Ready>(&text) {
                Ok(ready) if ready.ready == spec.hsm_id => Ok(Box::new(node)),
                _ if text.is_empty() => failed(&mut node, "ended before it served".into()),
                _ => failed(&mut node, "said something else than ready".into()),
            },
            Ok(Err(e)) => failed(&mut node, e.to_string()),
            Err(_) => failed(&mut node, format!("not ready after {:?}", self.patience)),
        }
    }
}

struct ChildNode {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Process for ChildNode {
    fn pid(&self) -> Option<u32> {
        Some(self.child.id())
    }
    fn send(&mut self, command: &NodeCommand) -> io::Result<()> {
        let mut line = serde_json::to_vec(command).map_err(io::Error::other)?;
        line.push(b'\n');
        match &mut self.stdin {
            Some(pipe) => pipe.write_all(&line).and_then(|()| pipe.flush()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
    fn ended(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(status.to_string()),
            Err(e) => Some(e.to_string()),
        }
    }
    fn kill(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
    fn stop(&mut self, grace: Duration) {
        self.stdin = None;
        let end = Instant::now() + grace;
        while self.ended().is_none() && Instant::now() < end {
            thread::sleep(Duration::from_millis(5));
        }
        self.kill();
    }
}

impl Drop for ChildNode {
    fn drop(&mut self) {
        self.kill();
    }
}
