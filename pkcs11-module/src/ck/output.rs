//! The specification's rule for variable-length output ("Conventions for functions returning output
//! in a variable-length buffer"), in one place: the wanted length is always written; then a null
//! buffer is a query, a short one is CKR_BUFFER_TOO_SMALL, and another takes the bytes.

use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;

use hsm_api::{Error, Result, Rv};
use pkcs11_sys::CK_ULONG;

use super::{In, null, ulong};

/// What became of an output that did not fail.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The caller asked for the length only: its operation stays as it was.
    Length,
    /// The caller has so many bytes.
    Bytes(usize),
}

/// A caller's buffer of `T` (bytes, slot ids, mechanism numbers) with its length pointer.
pub struct Out<'a, T = u8> {
    at: Option<NonNull<T>>,
    room: usize,
    len: NonNull<CK_ULONG>,
    life: PhantomData<&'a mut [T]>,
}

impl<'a, T: Copy> Out<'a, T> {
    /// # Safety
    /// `len` is null or may be read and written; `at` is null or may be written for `*len`
    /// elements; both until the call returns, and no `In` lies over the buffer (else use
    /// [`Out::over`]).
    pub unsafe fn new(at: *mut T, len: *mut CK_ULONG) -> Result<Self> {
        let len = NonNull::new(len).ok_or_else(|| null("the output's length pointer is null"))?;
        // SAFETY: not null, and readable by this function's contract.
        let room = unsafe { len.as_ptr().read_unaligned() };
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        Ok(Out {
            at: NonNull::new(at),
            room,
            len,
            life: PhantomData,
        })
    }

    /// Whether the caller asks for the length only.
    pub fn asks_length(&self) -> bool {
        self.at.is_none()
    }

    /// How many elements the caller has room for.
    pub fn room(&self) -> usize {
        if self.at.is_some() { self.room } else { 0 }
    }

    /// Writes the wanted length; `Ok(true)` if that many elements may follow.
    fn want(&mut self, wanted: usize) -> Result<bool> {
        self.set_len(wanted);
        if self.at.is_none() {
            return Ok(false);
        }
        if self.room < wanted {
            return Err(Error::new(
                Rv::BUFFER_TOO_SMALL,
                format!("room for {}, {wanted} needed", self.room),
            ));
        }
        Ok(true)
    }

    fn set_len(&mut self, len: usize) {
        // SAFETY: `new`'s contract: writable; alignment is not asked for.
        unsafe { self.len.as_ptr().write_unaligned(ulong(len)) }
    }

    /// Gives an answer that is ready.
    pub fn answer(&mut self, items: &[T]) -> Result<Told> {
        if !self.want(items.len())? {
            return Ok(Told::Length);
        }
        if let Some(at) = self.at {
            for (i, item) in items.iter().enumerate() {
                // SAFETY: `want` found room for all of `items`; alignment is not asked for.
                unsafe { at.as_ptr().add(i).write_unaligned(*item) }
            }
        }
        Ok(Told::Bytes(items.len()))
    }
}

impl<'a> Out<'a> {
    /// As [`Out::new`], where `input` may lie in the same memory: then it is copied first.
    ///
    /// # Safety
    /// As for [`Out::new`], but that `input` may lie over the buffer.
    pub unsafe fn over(at: *mut u8, len: *mut CK_ULONG, input: &mut In<'_>) -> Result<Self> {
        // SAFETY: this function's contract; the copy below parts the buffer from its input.
        let out = unsafe { Out::new(at, len) }?;
        if let Some(range) = out.range() {
            input.part_from(&range);
        }
        // The length is written while the input is lent.
        let at = out.len.as_ptr() as usize;
        input.part_from(&(at..at.saturating_add(size_of::<CK_ULONG>())));
        Ok(out)
    }

    /// Where the buffer is.
    fn range(&self) -> Option<Range<usize>> {
        let start = self.at?.as_ptr() as usize;
        Some(start..start.saturating_add(self.room))
    }

    /// Lets `work` write at most `bound` bytes straight into the caller's buffer; it says how many.
    pub fn fill(
        &mut self,
        bound: usize,
        work: impl FnOnce(&mut [u8]) -> Result<usize>,
    ) -> Result<Told> {
        if !self.want(bound)? {
            return Ok(Told::Length);
        }
        let written = work(self.slice(bound))?;
        debug_assert!(written <= bound, "wrote more than was promised");
        self.set_len(written);
        Ok(Told::Bytes(written))
    }

    /// The first `n` bytes of the buffer, as far as it reaches.
    fn slice(&mut self, n: usize) -> &mut [u8] {
        match self.at {
            // SAFETY: `new`'s contract: `room` bytes are writable and nothing else refers to them.
            Some(at) => unsafe { std::slice::from_raw_parts_mut(at.as_ptr(), n.min(self.room)) },
            None => &mut [],
        }
    }

    /// What was written, for the second half of a dual function.
    pub fn written(&mut self, n: usize) -> &[u8] {
        self.slice(n)
    }
}

/// A buffer that is to be filled whole (C_GenerateRandom).
pub struct Whole<'a>(&'a mut [u8]);

impl Whole<'_> {
    /// # Safety
    /// `at` is null or may be written for `len` bytes until the call returns.
    pub unsafe fn new(at: *mut u8, len: CK_ULONG) -> Result<Self> {
        if at.is_null() || len > 1 << 47 || (at as u64).checked_add(len).is_none() {
            return Err(null("the buffer is null, or longer than any memory"));
        }
        // SAFETY: not null, not longer than the address space, writable by this contract.
        let all = unsafe { std::slice::from_raw_parts_mut(at, len as usize) };
        Ok(Whole(all))
    }

    /// The buffer.
    pub fn bytes(&mut self) -> &mut [u8] {
        self.0
    }
}

#[cfg(test)]
impl<'a> Out<'a> {
    /// A buffer of a test's.
    pub fn lent(buf: Option<&'a mut [u8]>, len: &'a mut CK_ULONG) -> Self {
        *len = ulong(buf.as_ref().map_or(0, |b| b.len()));
        Out {
            room: *len as usize,
            at: buf.and_then(|b| NonNull::new(b.as_mut_ptr())),
            len: NonNull::from(len),
            life: PhantomData,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule() {
        let mut buf = [0u8; 8];
        let mut len: CK_ULONG = 0;
        // SAFETY: null, with a live length.
        let mut out = unsafe { Out::<u8>::new(std::ptr::null_mut(), &mut len) }.unwrap();
        assert_eq!(
            out.fill(5, |_| panic!("a query does no work")),
            Ok(Told::Length)
        );
        assert_eq!(len, 5);

        len = 4;
        // SAFETY: the buffer has 8 bytes, 4 are named.
        let mut out = unsafe { Out::new(buf.as_mut_ptr(), &mut len) }.unwrap();
        let short = out.fill(5, |_| panic!("no room, no work"));
        assert_eq!(short.unwrap_err().rv, Rv::BUFFER_TOO_SMALL);
        assert_eq!(
            (len, buf),
            (5, [0; 8]),
            "the length is told, the buffer left alone"
        );

        len = 8;
        // SAFETY: the buffer has 8 bytes.
        let mut out = unsafe { Out::new(buf.as_mut_ptr(), &mut len) }.unwrap();
        let told = out.fill(5, |b| {
            assert_eq!(b.len(), 5, "no more than the bound is lent");
            b[..3].copy_from_slice(b"abc");
            Ok(3)
        });
        assert_eq!((told, len), (Ok(Told::Bytes(3)), 3));
        assert_eq!(&buf[..4], b"abc\0");

        // SAFETY: refused before anything is read.
        let none = unsafe { Out::new(buf.as_mut_ptr(), std::ptr::null_mut()) };
        assert_eq!(none.err().map(|e| e.rv), Some(Rv::ARGUMENTS_BAD));
    }

    #[test]
    fn a_huge_room_lends_no_more_than_is_needed() {
        let mut buf = [0u8; 4];
        let mut len: CK_ULONG = CK_ULONG::MAX;
        // SAFETY: only the bound of 4 bytes is ever touched.
        let mut out = unsafe { Out::new(buf.as_mut_ptr(), &mut len) }.unwrap();
        assert_eq!(out.answer(b"wxyz"), Ok(Told::Bytes(4)));
        assert_eq!((&buf, len), (b"wxyz", 4));
    }

    #[test]
    fn overlap_is_copied_and_else_nothing_is() {
        let mut buf = *b"plaintext";
        let at = buf.as_mut_ptr();
        let mut len: CK_ULONG = 9;
        // SAFETY: both within `buf`, and `over` parts them.
        let mut input = unsafe { In::new(at, 9) }.unwrap();
        // SAFETY: as above.
        let mut out = unsafe { Out::over(at, &mut len, &mut input) }.unwrap();
        assert!(matches!(input, In::Own(_)));
        let told = out.fill(9, |b| {
            b.iter_mut()
                .zip(input.iter().rev())
                .for_each(|(to, from)| *to = *from);
            Ok(9)
        });
        assert_eq!((told, &buf), (Ok(Told::Bytes(9)), b"txetnialp"));

        let other = *b"elsewhere";
        // SAFETY: two arrays.
        let mut input = unsafe { In::new(other.as_ptr(), 9) }.unwrap();
        // SAFETY: as above.
        let _out = unsafe { Out::over(buf.as_mut_ptr(), &mut len, &mut input) }.unwrap();
        assert!(matches!(input, In::Lent(_)));

        // The length itself among the input's bytes.
        let mut mixed = [7 as CK_ULONG, 9];
        let at = mixed.as_mut_ptr();
        // SAFETY: both within `mixed`, and `over` parts them.
        let mut input = unsafe { In::new(at.cast(), 16) }.unwrap();
        // SAFETY: as above; `buf` has 9 bytes.
        let mut out = unsafe { Out::over(buf.as_mut_ptr(), at.add(1), &mut input) }.unwrap();
        assert_eq!(out.answer(b"ab"), Ok(Told::Bytes(2)));
        assert_eq!(input[8], 9, "the input is as it was");
    }
}
