//! How a command finds the `keystead up` that serves a data directory.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::aws::Aws;

/// What a running `up` leaves in its data directory.
#[derive(Serialize, Deserialize)]
pub struct Running {
    /// Where it serves.
    pub url: String,
    /// Its process.
    pub pid: u32,
    /// The data directory, absolute.
    pub data_dir: PathBuf,
}

const FILE: &str = "running.json";

impl Running {
    /// Says that this process serves `data_dir` at `url`.
    pub fn announce(url: &str, data_dir: &Path) -> std::io::Result<()> {
        let running = Running {
            url: url.into(),
            pid: std::process::id(),
            data_dir: data_dir.into(),
        };
        let part = data_dir.join("running.json.new");
        fs::write(&part, serde_json::to_vec_pretty(&running)?)?;
        fs::rename(part, data_dir.join(FILE))
    }

    /// Says that nobody does any more.
    pub fn withdraw(data_dir: &Path) {
        let _ = fs::remove_file(data_dir.join(FILE));
    }

    /// The `up` that serves `data_dir`.
    ///
    /// # Errors
    /// A sentence for the user where there is none.
    pub fn find(data_dir: &Path) -> Result<Running, String> {
        let file = data_dir.join(FILE);
        let text = fs::read(&file).map_err(|error| {
            // What cannot be looked at may be there.
            if error.kind() != std::io::ErrorKind::NotFound {
                return format!("{}: {error}", file.display());
            }
            format!(
                "no `keystead up` serves {}; start one with `keystead up --data-dir {0}`, or name another directory \
                 with --data-dir or KEYSTEAD_DATA_DIR",
                data_dir.display()
            )
        })?;
        serde_json::from_slice(&text).map_err(|error| {
            format!(
                "{}: {error}; a running `keystead up` writes this file: stop it and start it again",
                file.display()
            )
        })
    }

    /// Runs management commands, a line each, by the shell that users have; what it printed.
    pub fn mgmt(&self, script: &str) -> Result<String, String> {
        self.mgmt_on(self.aws().account(), None, script)
    }

    /// The same, on a cluster of an account; none named: the only one.
    pub fn mgmt_on(
        &self,
        account: &str,
        cluster: Option<&str>,
        script: &str,
    ) -> Result<String, String> {
        let failed = |error: std::io::Error| format!("keystead mgmt: {error}");
        let mut child = Command::new(std::env::current_exe().map_err(failed)?)
            .args(["mgmt", "--data-dir"])
            .arg(&self.data_dir)
            .args(cluster.map(|id| format!("--cluster-id={id}")))
            .env("AWS_ACCESS_KEY_ID", account)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        // Dropping the pipe's end tells the shell that the script is over.
        child
            .stdin
            .take()
            .expect("standard input is a pipe")
            .write_all(script.as_bytes())
            .map_err(failed)?;
        let output = child.wait_with_output().map_err(failed)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.success() {
            true => Ok(text),
            false => Err(format!(
                "keystead mgmt:\n{text}{}",
                String::from_utf8_lossy(&output.stderr)
            )),
        }
    }

    /// A client of it.
    pub fn aws(&self) -> Aws {
        Aws::new(&self.url)
    }
}

/// `--data-dir`, else KEYSTEAD_DATA_DIR, else `$XDG_DATA_HOME/keystead/up`, else `~/.local/share/keystead/up`.
pub fn data_dir(named: Option<PathBuf>) -> Result<PathBuf, String> {
    let dir = named.or_else(|| {
        std::env::var_os("XDG_DATA_HOME").map(|d| PathBuf::from(d).join("keystead/up"))
    });
    let dir = dir.or_else(|| {
        std::env::var_os("HOME").map(|d| PathBuf::from(d).join(".local/share/keystead/up"))
    });
    let dir =
        dir.ok_or("no data directory: give --data-dir DIR, or set KEYSTEAD_DATA_DIR or HOME")?;
    std::path::absolute(&dir).map_err(|error| format!("{}: {error}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_is_not_taken_for_none() {
        let home = tempfile::tempdir().unwrap();
        let none = Running::find(home.path()).err().unwrap();
        assert!(none.starts_with("no `keystead up` serves "), "{none}");
        // As root there is no file without the right to read it.
        let file = home.path().join(FILE);
        fs::create_dir(&file).unwrap();
        let refused = Running::find(home.path()).err().unwrap();
        assert!(
            refused.starts_with(&format!("{}: ", file.display())),
            "{refused}"
        );
    }
}
