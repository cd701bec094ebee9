//! Standard error of a host that is not ours to harm.

use std::io::Write;

/// Writes a line, where it can do no harm: into a pipe that nobody reads any more it would end a host that leaves SIGPIPE
/// as it is. With `waits` false it does not wait for a reader who is slow either.
pub fn write(line: &str, waits: bool) {
    if ready(waits) {
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

fn ready(waits: bool) -> bool {
    let mut stderr = libc::pollfd {
        fd: libc::STDERR_FILENO,
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one structure, which outlives the call; no time to wait.
    let told = unsafe { libc::poll(&raw mut stderr, 1, 0) };
    let broken = libc::POLLERR | libc::POLLHUP | libc::POLLNVAL;
    let (open, room) = (
        stderr.revents & broken == 0,
        stderr.revents & libc::POLLOUT != 0,
    );
    told >= 0 && open && (waits || room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_s_own_is_open() {
        assert!(ready(true));
        write("", false);
    }
}
