//! Lines of standard input in memory that is wiped. std's own reader keeps what went through it, passwords too, until the
//! process ends.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

use zeroize::Zeroizing;

/// How much is read at a time, and how long a line may be before anything must be copied.
const AT_ONCE: usize = 4096;

/// What has been read of `R` and not been taken yet, and the rest of `R`.
pub struct Lines<R> {
    from: R,
    ahead: Zeroizing<Vec<u8>>,
}

impl Lines<File> {
    /// Those of standard input, past std's reader: nothing else of this process may read it.
    ///
    /// # Errors
    /// If the file descriptor cannot be copied.
    pub fn stdin() -> io::Result<Self> {
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Lines::new(File::from(input)))
    }
}

impl<R: Read> Lines<R> {
    fn new(from: R) -> Self {
        Lines {
            from,
            ahead: Zeroizing::new(Vec::with_capacity(AT_ONCE)),
        }
    }

    /// The next line without its end, or `None` at the end; the last one needs no end.
    ///
    /// # Errors
    /// What reading says, and `InvalidData` if the line is not UTF-8.
    pub fn next(&mut self) -> io::Result<Option<Zeroizing<String>>> {
        let mut seen = 0;
        loop {
            if let Some(end) = self.ahead[seen..].iter().position(|&b| b == b'\n') {
                return self.take(seen + end, 1).map(Some);
            }
            seen = self.ahead.len();
            if self.read()? == 0 {
                return match seen {
                    0 => Ok(None),
                    _ => self.take(seen, 0).map(Some),
                };
            }
        }
    }

    /// Reads on, behind what is there; how many bytes came.
    fn read(&mut self) -> io::Result<usize> {
        let have = self.ahead.len();
        if self.ahead.capacity() < have + AT_ONCE {
            // Not by growing in place, which would leave what is there behind.
            let mut roomier = Zeroizing::new(Vec::with_capacity(2 * (have + AT_ONCE)));
            roomier.extend_from_slice(&self.ahead);
            self.ahead = roomier;
        }
        self.ahead.resize(have + AT_ONCE, 0);
        let outcome = loop {
            match self.from.read(&mut self.ahead[have..]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome,
            }
        };
        self.ahead
            .truncate(have + outcome.as_ref().copied().unwrap_or(0));
        outcome
    }

    /// Takes a line of `len` bytes and its `end`.
    fn take(&mut self, len: usize, end: usize) -> io::Result<Zeroizing<String>> {
        let line = std::str::from_utf8(&self.ahead[..len])
            .map(|text| Zeroizing::new(text.trim_end_matches('\r').to_owned()))
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a line is not UTF-8"));
        self.ahead.drain(..len + end);
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives as many bytes at a time as it is told.
    struct Slow(&'static [u8], usize);

    impl Read for Slow {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let len = self.1.min(self.0.len()).min(to.len());
            to[..len].copy_from_slice(&self.0[..len]);
            self.0 = &self.0[len..];
            Ok(len)
        }
    }

    #[test]
    fn lines_come_one_by_one_however_they_arrive() {
        for at_once in [1, 3, 100] {
            let mut lines = Lines::new(Slow(b"first\r\n\nthird\nlast", at_once));
            for want in ["first", "", "third", "last"] {
                assert_eq!(*lines.next().unwrap().unwrap(), want);
            }
            assert!(lines.next().unwrap().is_none());
        }
    }

    #[test]
    fn a_long_line_is_whole() {
        let long: &'static [u8] = vec![b'x'; 3 * AT_ONCE + 1].leak();
        let mut lines = Lines::new(Slow(long, 1000));
        assert_eq!(lines.next().unwrap().unwrap().len(), long.len());
    }

    #[test]
    fn what_is_no_text_is_an_error_and_costs_its_line_only() {
        let mut lines = Lines::new(Slow(b"\xff\nnext\n", 100));
        let error = lines.next().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(*lines.next().unwrap().unwrap(), "next");
    }
}
