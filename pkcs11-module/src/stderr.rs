//! Standard error of a host that is not ours to harm.

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Writes a line, where it can do no harm: into a pipe that nobody reads any more it would end a host that leaves SIGPIPE
/// as it is. With `waits` false it does not wait for a reader who is slow either. Whether it was written.
pub fn write(line: &str, waits: bool) -> bool {
    let mut stderr = std::io::stderr();
    ready(stderr.as_fd(), waits) && stderr.write_all(line.as_bytes()).is_ok()
}

fn ready(to: BorrowedFd<'_>, waits: bool) -> bool {
    let mut asked = libc::pollfd {
        fd: to.as_raw_fd(),
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: one structure, which outlives the call; no time to wait.
    let told = unsafe { libc::poll(&raw mut asked, 1, 0) };
    let broken = libc::POLLERR | libc::POLLHUP | libc::POLLNVAL;
    let (open, room) = (
        asked.revents & broken == 0,
        asked.revents & libc::POLLOUT != 0,
    );
    told >= 0 && open && (waits || room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_written_while_somebody_reads() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        assert!(ready(writer.as_fd(), true) && ready(writer.as_fd(), false));
        // Full: who would have to wait does not.
        while ready(writer.as_fd(), false) {
            writer.write_all(&[0; 4096]).unwrap();
        }
        assert!(ready(writer.as_fd(), true));
        drop(reader);
        assert!(!ready(writer.as_fd(), true) && !ready(writer.as_fd(), false));
    }
}
