//! Faults that a node can be given while it runs, so that people can rehearse them. They act on the
//! real connections: a client meets a slow, lossy or closed port, not a flag.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The faults of one node. All are off to begin with.
#[derive(Debug, Default)]
pub struct Faults {
    delay_ms: AtomicU64,
    lost_requests: AtomicU32,
    lost_replies: AtomicU32,
    refuse: AtomicBool,
}

impl Faults {
    /// Waits so long before each request is looked at.
    pub fn delay(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.delay_ms.store(ms, Relaxed);
    }

    /// Loses this share (0 to 1) of requests before they are carried out: the connection breaks.
    pub fn lose_requests(&self, share: f64) {
        self.lost_requests.store(threshold(share), Relaxed);
    }

    /// Loses this share (0 to 1) of replies after the request was carried out: the connection breaks.
    pub fn lose_replies(&self, share: f64) {
        self.lost_replies.store(threshold(share), Relaxed);
    }

    /// Closes the port: new connections are cut, existing ones end at their next request.
    pub fn refuse(&self, on: bool) {
        self.refuse.store(on, Relaxed);
    }

    pub(crate) fn pause(&self) {
        let ms = self.delay_ms.load(Relaxed);
        if ms > 0 {
            std::thread::sleep(Duration::from_millis(ms));
        }
    }

    pub(crate) fn refuses(&self) -> bool {
        self.refuse.load(Relaxed)
    }

    pub(crate) fn loses_request(&self) -> bool {
        hit(self.lost_requests.load(Relaxed))
    }

    pub(crate) fn loses_reply(&self) -> bool {
        hit(self.lost_replies.load(Relaxed))
    }
}

const ALWAYS: u32 = u32::MAX;

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range"
)]
fn threshold(share: f64) -> u32 {
    (share.clamp(0.0, 1.0) * f64::from(ALWAYS)) as u32
}

fn hit(threshold: u32) -> bool {
    threshold == ALWAYS || (threshold > 0 && rand::random::<u32>() < threshold)
}
