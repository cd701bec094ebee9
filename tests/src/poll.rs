//! Waiting for a state.

use std::thread;
use std::time::{Duration, Instant};

/// Ask until the answer is `Ok`; after `seconds` the test fails with the last `Err`, which should say what was seen.
#[track_caller]
pub fn until<T>(seconds: u64, what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match ask() {
            Ok(found) => return found,
            Err(last) if begun.elapsed() > Duration::from_secs(seconds) => {
                panic!("waited {seconds} s until {what}; last seen: {last}")
            }
            Err(_) => thread::sleep(Duration::from_millis(25)),
        }
    }
}
