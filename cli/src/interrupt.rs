//! Lets a command that has made things end in good order when the user presses Ctrl-C or a supervisor asks it to.

use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// From now on SIGINT and SIGTERM only ask; whoever works looks with [`check`].
pub fn listen() -> Result<(), String> {
    ctrlc::set_handler(|| REQUESTED.store(true, Ordering::Relaxed))
        .map_err(|error| format!("signals: {error}"))
}

/// An error once the user has asked to stop.
pub fn check() -> Result<(), String> {
    if REQUESTED.load(Ordering::Relaxed) {
        Err("interrupted".to_owned())
    } else {
        Ok(())
    }
}
