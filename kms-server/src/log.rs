//! One line a request, for people and for grep. Never a body, never a message for the caller:
//! both may hold what was encrypted.

use std::fmt::Write as _;
use std::io::Write;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const STAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// How much is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    Off,
    /// Requests that failed by a fault of the service.
    Error,
    /// Every request.
    Info,
    /// Every request, refusals with their cause inside.
    Debug,
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "error" => Ok(Self::Error),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            other => Err(format!(
                "{other:?} is no log level; there are off, error, info, debug"
            )),
        }
    }
}

/// Where lines go.
pub struct Log {
    level: Level,
    out: Mutex<Box<dyn Write + Send>>,
}

impl Log {
    /// To stderr.
    pub fn stderr(level: Level) -> Self {
        Self::to(level, Box::new(std::io::stderr()))
    }

    /// To a place of the caller's choice.
    pub fn to(level: Level, out: Box<dyn Write + Send>) -> Self {
        Self {
            level,
            out: Mutex::new(out),
        }
    }

    pub(crate) fn line(&self, entry: &Entry<'_>) {
        let fault = entry.status >= 500;
        let from = match (fault, entry.own) {
            (true, _) => Level::Error,
            (false, false) => Level::Info,
            (false, true) => Level::Debug,
        };
        if self.level < from {
            return;
        }
        let Entry {
            service,
            operation,
            caller,
            region,
            result,
            status,
            took,
            id,
            own: _,
            cause,
        } = entry;
        let now = OffsetDateTime::now_utc().format(STAMP).unwrap_or_default();
        let level = match from {
            Level::Error => "error",
            Level::Debug => "debug",
            _ => "info",
        };
        let ms = took.as_secs_f64() * 1000.0;
        let mut line = format!(
            "{now} {level} service={service} op={operation} result={result} status={status} \
             ms={ms:.3} caller={caller} region={region} id={id}"
        );
        if let Some(cause) = cause.filter(|_| fault || self.level >= Level::Debug) {
            // As a quoted string: a cause of several lines stays one line.
            let _ = write!(line, " cause={cause:?}");
        }
        line.push('\n');
        // A log that cannot be written must not stop the service.
        let mut out = self
            .out
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let _ = out.write_all(line.as_bytes());
    }
}

/// What is known of a request when it is answered.
pub(crate) struct Entry<'a> {
    pub(crate) service: &'a str,
    pub(crate) operation: &'a str,
    pub(crate) caller: &'a str,
    pub(crate) region: &'a str,
    pub(crate) result: &'a str,
    pub(crate) status: u16,
    pub(crate) took: Duration,
    pub(crate) id: &'a str,
    /// Asked by the server's own program.
    pub(crate) own: bool,
    pub(crate) cause: Option<&'a str>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::Arc;

    /// A place to look at what was logged.
    #[derive(Clone, Default)]
    pub(crate) struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Sink {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(level: &str, status: u16) -> String {
        logged_of(level, status, false)
    }

    fn logged_of(level: &str, status: u16, own: bool) -> String {
        let sink = Sink::default();
        let log = Log::to(level.parse().unwrap(), Box::new(sink.clone()));
        log.line(&Entry {
            service: "kms",
            operation: "Encrypt",
            caller: "arn:aws:iam::123456789012:root",
            region: "us-east-1",
            result: "NotFoundException",
            status,
            took: Duration::from_micros(1500),
            id: "r",
            own,
            cause: Some("two\nlines"),
        });
        sink.text()
    }

    #[test]
    fn levels() {
        assert_eq!(logged("off", 500), "");
        assert_eq!(logged("error", 400), "");
        let fault = logged("error", 500);
        assert!(fault.ends_with(" id=r cause=\"two\\nlines\"\n"), "{fault}");
        let refusal = logged("info", 400);
        assert!(
            refusal.ends_with(
                " info service=kms op=Encrypt result=NotFoundException status=400 ms=1.500 \
                 caller=arn:aws:iam::123456789012:root region=us-east-1 id=r\n"
            ),
            "{refusal}"
        );
        assert!(logged("debug", 400).contains("cause="));
        assert_eq!(logged_of("info", 200, true), "");
        assert!(logged_of("debug", 200, true).contains(" op=Encrypt "));
        assert!(logged_of("error", 500, true).contains(" status=500 "));
        assert!(
            "loud"
                .parse::<Level>()
                .unwrap_err()
                .contains("off, error, info, debug")
        );
    }
}
