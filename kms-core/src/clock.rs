//! Time as a value, so that a test can let thirty days pass.

use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Seconds since 1970, with milliseconds, as the protocol writes them.
    fn now(&self) -> f64;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> f64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        // Milliseconds since 1970 fit a double exactly.
        since.as_millis() as f64 / 1000.0
    }
}
