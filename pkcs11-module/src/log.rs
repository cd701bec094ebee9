//! The call log: one line for each call, with name, result and duration, and for a refusal the
//! reason. Reasons are made where the cause is known and hold no secret.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hsm_api::{Error, Result, Rv};

use crate::stderr;

/// Where the lines go; a value of the module, so that two copies of the library log by themselves.
#[derive(Debug, Default)]
pub enum Log {
    /// Nowhere: not even the clock is read.
    #[default]
    Off,
    /// Nowhere either, for nobody has said: complaints go to standard error.
    Unsaid,
    /// Standard error.
    Stderr,
    /// A file, in append mode: lines of several processes do not mix.
    File(std::fs::File),
}

impl Log {
    /// The environment variable that overrules the configuration.
    pub const ENV: &str = "KEYSTEAD_PKCS11_LOG";

    /// `stderr`, `off` or the path of a file.
    ///
    /// # Errors
    /// ARGUMENTS_BAD where the file cannot be opened.
    pub fn open(target: &str) -> Result<Log> {
        match target {
            "" | "off" => Ok(Log::Off),
            "stderr" => Ok(Log::Stderr),
            path => {
                let file = OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(Path::new(path));
                file.map(Log::File).map_err(|e| {
                    let why = format!("the log file {path} cannot be opened: {e}");
                    Error::new(Rv::ARGUMENTS_BAD, why)
                })
            }
        }
    }

    /// The time at which a call begins, if anyone will ask.
    pub fn start(&self) -> Option<Instant> {
        match self {
            Log::Off | Log::Unsaid => None,
            _ => Some(Instant::now()),
        }
    }

    /// Writes a call's line.
    pub fn call(&self, name: &str, start: Option<Instant>, result: &Result<()>) {
        let Some(start) = start else { return };
        let micros = start.elapsed().as_nanos() as f64 / 1000.0;
        let (rv, why) = match result {
            Ok(()) => ("CKR_OK", ""),
            Err(e) => (e.rv.name(), &*e.why),
        };
        let gap = if why.is_empty() { "" } else { ": " };
        self.line(&format!("{name} {rv} {micros:.1} us{gap}{why}"));
    }

    /// What somebody should read of which no return code tells, where nobody chose a log; whether it was said.
    pub fn complain(&self, text: &str) -> bool {
        matches!(self, Log::Unsaid)
            && stderr::write(&format!("libkeystead_pkcs11: {text}\n"), false)
    }

    /// Writes a line; a log that cannot be written harms nobody.
    pub fn line(&self, text: &str) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let id = std::process::id();
        let line = format!(
            "{}.{:06} [{id}] {text}\n",
            now.as_secs(),
            now.subsec_micros()
        );
        let _ = match self {
            Log::Off | Log::Unsaid => Ok(()),
            Log::Stderr => {
                stderr::write(&line, true);
                Ok(())
            }
            Log::File(file) => (&*file).write_all(line.as_bytes()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_call() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = Log::open(path.to_str().unwrap()).unwrap();
        log.call("C_Sign", log.start(), &Ok(()));
        log.call(
            "C_Login",
            log.start(),
            &Err(Error::new(Rv::PIN_INCORRECT, "wrong")),
        );
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].contains("C_Sign CKR_OK") && lines[0].ends_with(" us"),
            "{text}"
        );
        assert!(lines[1].contains("C_Login CKR_PIN_INCORRECT") && lines[1].ends_with("wrong"));
        assert!(Log::open("/nowhere/at/all").is_err());
    }
}
