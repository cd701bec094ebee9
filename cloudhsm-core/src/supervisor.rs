//! Node processes: start, watch, end. What their deaths mean for a cluster is decided in `worker`.
//!
//! A node's standard input is a pipe that we hold. It ends when we end, in whatever way, and the node
//! exits then: no process is left behind, also after kill -9.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::node::{Conditions, NodeCommand, NodeSpec, Ready};
use crate::state::write_durably;

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

/// The nodes that run now.
pub struct Supervisor {
    spawner: Box<dyn Spawner>,
    running: Mutex<HashMap<String, Box<dyn Process>>>,
    /// What is known of a node besides its process: it survives the node's restart, but not ours.
    about: Mutex<HashMap<String, About>>,
}

#[derive(Default)]
struct About {
    conditions: Conditions,
    /// By a fault.
    held_down: bool,
    /// Was started since we run: that it does not run now is a death.
    seen: bool,
    /// Somebody asked for it: no waiting.
    wanted: bool,
    /// Did not come up lately.
    not_before: Option<Instant>,
}

impl Supervisor {
    /// Nothing runs yet.
    pub fn new(spawner: Box<dyn Spawner>) -> Supervisor {
        Supervisor {
            spawner,
            running: Mutex::default(),
            about: Mutex::default(),
        }
    }

    fn about<T>(&self, hsm_id: &str, f: impl FnOnce(&mut About) -> T) -> T {
        f(self.about.lock().entry(hsm_id.to_owned()).or_default())
    }

    /// Writes the node's file and starts it, under the conditions that hold for it.
    ///
    /// # Errors
    /// Of the file system, or the node's; also where a fault holds it down.
    pub fn start(&self, file: &Path, mut spec: NodeSpec) -> io::Result<()> {
        let id = spec.hsm_id.clone();
        spec.conditions = self.about(&id, |about| {
            about.seen = true;
            about.wanted = false;
            about.conditions.clone()
        });
        write_durably(
            file,
            &serde_json::to_vec_pretty(&spec).map_err(io::Error::other)?,
        )?;
        let mut process = self.spawner.spawn(file, &spec)?;
        // A fault may have come while it started. The lock is held until it is in the list, so that
        // the fault finds it there or is found here.
        let about = self.about.lock();
        if about.get(&id).is_some_and(|a| a.held_down) {
            process.kill();
            return Err(io::Error::other(format!("a fault holds {id} down")));
        }
        self.running.lock().insert(id, process);
        Ok(())
    }

    /// Whether the node runs; one that ended is forgotten.
    pub fn alive(&self, hsm_id: &str) -> bool {
        let mut running = self.running.lock();
        let ended = match running.get_mut(hsm_id) {
            Some(process) => process.ended(),
            None => return false,
        };
        if ended.is_some() {
            running.remove(hsm_id);
        }
        ended.is_none()
    }

    /// Whether it was started since we run.
    pub fn seen(&self, hsm_id: &str) -> bool {
        self.about(hsm_id, |a| a.seen)
    }

    /// Whether it should come up without waiting: somebody asked, or we have just begun.
    pub fn wanted(&self, hsm_id: &str) -> bool {
        self.about(hsm_id, |a| a.wanted || !a.seen)
    }

    /// Whether it may be started now.
    pub fn may_start(&self, hsm_id: &str) -> bool {
        let now = Instant::now();
        self.about(hsm_id, |a| {
            !a.held_down && a.not_before.is_none_or(|t| t <= now)
        })
    }

    /// It did not come up: others first, for a while.
    pub fn back_off(&self, hsm_id: &str, time: Duration) {
        self.about(hsm_id, |a| a.not_before = Some(Instant::now() + time));
    }

    /// Process id of a running node.
    pub fn pid(&self, hsm_id: &str) -> Option<u32> {
        self.running.lock().get(hsm_id)?.pid()
    }

    /// Sends a command; a node that does not run gets all with its next start.
    pub fn send(&self, hsm_id: &str, command: &NodeCommand) {
        if let Some(process) = self.running.lock().get_mut(hsm_id) {
            // A broken pipe means that it has ended, which the worker sees by itself.
            let _ = process.send(command);
        }
    }

    /// Kills a node with signal 9 and keeps it down.
    pub fn kill_and_hold(&self, hsm_id: &str) {
        self.about(hsm_id, |a| {
            a.held_down = true;
            a.seen = true;
        });
        let process = self.running.lock().remove(hsm_id);
        if let Some(mut process) = process {
            process.kill();
        }
    }

    /// Lets a node start again, at once.
    pub fn release(&self, hsm_id: &str) {
        self.about(hsm_id, |a| {
            a.held_down = false;
            a.wanted = true;
            a.not_before = None;
        });
    }

    /// Whether a fault keeps the node down.
    pub fn held_down(&self, hsm_id: &str) -> bool {
        self.about(hsm_id, |a| a.held_down)
    }

    /// The conditions that hold for a node.
    pub fn conditions(&self, hsm_id: &str) -> Conditions {
        self.about(hsm_id, |a| a.conditions.clone())
    }

    /// Changes them, and tells the node.
    pub fn set_conditions(&self, hsm_id: &str, change: impl FnOnce(&mut Conditions)) -> Conditions {
        let now = self.about(hsm_id, |a| {
            change(&mut a.conditions);
            a.conditions.clone()
        });
        self.send(hsm_id, &NodeCommand::Conditions(now.clone()));
        now
    }

    /// Ends one node in good order and forgets all about it.
    pub fn stop(&self, hsm_id: &str, grace: Duration) {
        self.about.lock().remove(hsm_id);
        let process = self.running.lock().remove(hsm_id);
        if let Some(mut process) = process {
            process.stop(grace);
        }
    }

    /// Ends all nodes in good order, at the same time.
    pub fn stop_all(&self, grace: Duration) {
        self.about.lock().clear();
        let nodes: Vec<_> = self.running.lock().drain().map(|(_, p)| p).collect();
        thread::scope(|scope| {
            for mut process in nodes {
                scope.spawn(move || process.stop(grace));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, SocketAddr};

    fn spec(dir: &Path) -> NodeSpec {
        let port = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        NodeSpec {
            hsm_id: "hsm-abc".into(),
            cluster_id: "cluster-abc".into(),
            account: "1".into(),
            region: "r".into(),
            zone: "ra".into(),
            serial: "S".into(),
            origin: 1,
            hsm_type: "hsm2m.medium".into(),
            fips: true,
            data_dir: dir.to_owned(),
            listen: crate::node::Listen {
                client: port,
                service: port,
                management: port,
            },
            service_ca: dir.to_owned(),
            credentials: crate::node::Credentials {
                certificate: dir.to_owned(),
                key: dir.to_owned(),
            },
            hardware: crate::node::Hardware {
                key: dir.to_owned(),
                aws_certificate: dir.to_owned(),
                manufacturer_certificate: dir.to_owned(),
            },
            backup_key: dir.to_owned(),
            preco_password: "password".into(),
            peers: vec![],
            conditions: Conditions::default(),
        }
    }

    fn shell(script: &str) -> Supervisor {
        // `sh -c SCRIPT --spec FILE`: $0 is --spec, $1 the file.
        Supervisor::new(Box::new(ProcessSpawner::new("sh", &["-c", script])))
    }

    #[test]
    fn a_real_process_is_ready_is_told_and_ends_with_its_input() {
        let dir = tempfile::tempdir().expect("dir");
        let told = dir.path().join("told");
        let script = format!(
            r#"grep -q hsm-abc "$1" && echo '{{"ready":"hsm-abc"}}'; read line; echo "$line" > {}; cat"#,
            told.display()
        );
        let nodes = shell(&script);
        nodes
            .start(&dir.path().join("spec.json"), spec(dir.path()))
            .expect("starts");
        assert!(nodes.alive("hsm-abc") && nodes.pid("hsm-abc").is_some());
        nodes.set_conditions("hsm-abc", |c| c.delay_ms = 7);
        for _ in 0..200 {
            if std::fs::read_to_string(&told).is_ok_and(|t| t.ends_with('\n')) {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let line = std::fs::read_to_string(&told).expect("told");
        assert!(line.contains(r#""delay_ms":7"#), "{line}");
        let begin = Instant::now();
        nodes.stop_all(Duration::from_secs(20));
        assert!(begin.elapsed() < Duration::from_secs(10), "ends by itself");
        assert!(!nodes.alive("hsm-abc"));
    }

    #[test]
    fn a_killed_process_is_dead_at_once_and_held() {
        let dir = tempfile::tempdir().expect("dir");
        let nodes = shell(r#"echo '{"ready":"hsm-abc"}'; exec sleep 100"#);
        nodes
            .start(&dir.path().join("spec.json"), spec(dir.path()))
            .expect("starts");
        nodes.kill_and_hold("hsm-abc");
        assert!(!nodes.alive("hsm-abc") && nodes.held_down("hsm-abc"));
        nodes.release("hsm-abc");
        assert!(!nodes.held_down("hsm-abc"));
    }

    #[test]
    fn a_node_that_does_not_serve_is_an_error_with_its_log() {
        let dir = tempfile::tempdir().expect("dir");
        for (script, wanted) in [
            ("exit 3", "ended before"),
            ("echo hello; exec sleep 9", "something else"),
        ] {
            let error = shell(script).start(&dir.path().join("spec.json"), spec(dir.path()));
            let error = error.err().expect("refused").to_string();
            assert!(error.contains(wanted) && error.contains("log"), "{error}");
        }
    }
}
