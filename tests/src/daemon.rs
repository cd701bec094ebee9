//! A server under test: started, watched by the files that it writes to, ended by a signal or by itself; killed on drop.

use crate::poll::until;
use crate::procs;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// A running server.
pub struct Daemon {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    name: String,
}

impl Daemon {
    /// Start it; what it writes goes to NAME.out and NAME.err in `dir`.
    #[track_caller]
    pub fn start(dir: &Path, name: &str, command: &mut Command) -> Daemon {
        let (stdout, stderr) = (
            dir.join(format!("{name}.out")),
            dir.join(format!("{name}.err")),
        );
        let create = |path: &Path| {
            File::create(path).unwrap_or_else(|e| panic!("create {}: {e}", path.display()))
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(create(&stdout))
            .stderr(create(&stderr))
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {name}: {e}"));
        Daemon {
            child,
            stdout,
            stderr,
            name: name.to_owned(),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard output until now.
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// What it wrote to standard error until now.
    pub fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// Send it a signal, named without SIG.
    pub fn signal(&self, name: &str) {
        procs::signal(name, self.pid());
    }

    /// Wait until `ready` finds what it looks for; a server that has ended instead is a failure at once.
    #[track_caller]
    pub fn ready<T>(&mut self, ready: impl Fn(&Daemon) -> Option<T>) -> T {
        let what = format!("{} is ready", self.name);
        until(30, &what, || {
            if let Some(found) = ready(self) {
                return Ok(found);
            }
            let ended = self.child.try_wait().expect("wait for a child");
            assert!(ended.is_none(), "{} ended\n{}", self.name, self.report());
            Err(self.report())
        })
    }

    /// Its status, when it has ended within the time.
    #[track_caller]
    pub fn ended(&mut self, seconds: u64) -> ExitStatus {
        let what = format!("{} has ended", self.name);
        until(seconds, &what, || {
            let status = self.child.try_wait().expect("wait for a child");
            status.ok_or_else(|| self.report())
        })
    }

    /// Both outputs, for messages.
    pub fn report(&self) -> String {
        let (out, err) = (self.stdout(), self.stderr());
        format!(
            "  {}'s stdout: {}\n  stderr: {}",
            self.name,
            out.trim_end(),
            err.trim_end()
        )
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has usually ended; what cannot be killed any more needs no killing.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port of the loopback that nobody listens on in this moment.
pub fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("bind a loopback port");
    socket.local_addr().expect("a bound port").port()
}

/// Is the current user root?
pub fn root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout.trim_ascii() == b"0"
}

fn read(path: &Path) -> String {
    fs::read(path).map_or_else(
        |e| format!("({}: {e})", path.display()),
        |bytes| String::from_utf8_lossy(&bytes).into_owned(),
    )
}
