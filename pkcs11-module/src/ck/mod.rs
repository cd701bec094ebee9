//! Raw pointers of the C ABI become safe values here, once, on entry, and nowhere else.
//!
//! | file | turns |
//! |---|---|
//! | [`input`] | pointer and length into bytes that may be read |
//! | [`output`] | pointer and length pointer into the specification's output rule |
//! | [`template`] | CK_ATTRIBUTE arrays into templates, and answers back into them |
//! | [`params`] | CK_MECHANISM into a mechanism with typed parameters |
//! | `kdf` | the parameters of derivations |
//! | [`otp`] | the parameters of one-time passwords, and the structure that they come in |
//! | [`message`] | the parameters of one message, which are read and written |
//! | [`v3_2`] | what PKCS#11 3.2 adds to `pkcs11-sys` |
//!
//! Nothing here trusts a length further than it must: a count or size that no honest caller has is
//! refused before anything is read or allocated.

mod foreign;
pub mod input;
mod kdf;
pub mod message;
pub mod otp;
pub mod output;
pub mod params;
pub mod template;
pub mod v3_2;

use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr::NonNull;

use hsm_api::{Error, Result, Rv};
use pkcs11_sys::{CK_C_INITIALIZE_ARGS, CK_INTERFACE, CK_ULONG, CK_VERSION};

pub use input::In;
pub use output::{Out, Told};
pub use params::{Given, Spare};
pub use template::{Asked, read as read_template};

/// The longest string that C_Initialize's pReserved may hold.
const MAX_RESERVED: usize = 4096;

/// A null pointer where there must be none.
pub fn null(what: &'static str) -> Error {
    Error::new(Rv::ARGUMENTS_BAD, what)
}

/// A length as the ABI has it.
pub fn ulong(n: usize) -> CK_ULONG {
    CK_ULONG::try_from(n).unwrap_or(CK_ULONG::MAX)
}

/// Room for one value, where the caller said.
pub struct Place<'a, T>(NonNull<T>, PhantomData<&'a mut T>);

impl<T> Place<'_, T> {
    /// # Safety
    /// `at` is null or may be written as one `T` until the call returns.
    pub unsafe fn new(at: *mut T) -> Result<Self> {
        NonNull::new(at)
            .map(|at| Place(at, PhantomData))
            .ok_or_else(|| null("a result pointer is null"))
    }

    /// Puts the value there.
    pub fn set(self, value: T) {
        // SAFETY: `new`'s contract: writable as one T; alignment is not asked for.
        unsafe { self.0.as_ptr().write_unaligned(value) }
    }
}

/// An array that the caller sized, and the place for the count of what was put there
/// (C_FindObjects).
pub struct Batch<'a, T> {
    at: *mut T,
    max: usize,
    count: Place<'a, CK_ULONG>,
}

impl<T: Copy> Batch<'_, T> {
    /// # Safety
    /// `at` is null or may be written as `max` elements, `count` is null or may be written, until
    /// the call returns.
    pub unsafe fn new(at: *mut T, max: CK_ULONG, count: *mut CK_ULONG) -> Result<Self> {
        // SAFETY: this function's contract.
        let count = unsafe { Place::new(count) }?;
        if at.is_null() && max != 0 {
            return Err(null("the array for the results is null"));
        }
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        Ok(Batch { at, max, count })
    }

    /// How many elements the caller has room for.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Puts at most [`Batch::max`] elements there.
    pub fn set(self, items: &[T]) {
        let items = &items[..items.len().min(self.max)];
        for (i, item) in items.iter().enumerate() {
            // SAFETY: i < max, and `new`'s contract makes that many elements writable.
            unsafe { self.at.add(i).write_unaligned(*item) }
        }
        self.count.set(ulong(items.len()));
    }
}

/// What C_Initialize was given, checked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct InitArgs {
    /// pReserved, as a string.
    pub reserved: Option<String>,
}

impl InitArgs {
    /// # Safety
    /// `at` is null or leads to a CK_C_INITIALIZE_ARGS.
    pub unsafe fn read(at: *mut std::ffi::c_void) -> Result<InitArgs> {
        if at.is_null() {
            return Ok(InitArgs::default());
        }
        // SAFETY: this function's contract; alignment is not asked for.
        let args = unsafe { at.cast::<CK_C_INITIALIZE_ARGS>().read_unaligned() };
        let given = [
            args.CreateMutex.is_some(),
            args.DestroyMutex.is_some(),
            args.LockMutex.is_some(),
            args.UnlockMutex.is_some(),
        ];
        let any = given.contains(&true);
        if any && given.contains(&false) {
            return Err(null(
                "some of the four mutex functions are null and some are not",
            ));
        }
        if any && args.flags & pkcs11_sys::CKF_OS_LOCKING_OK == 0 {
            let why = "this module locks by the operating system only: set CKF_OS_LOCKING_OK";
            return Err(Error::new(Rv::CANT_LOCK, why));
        }
        if args.pReserved.is_null() {
            return Ok(InitArgs::default());
        }
        let bytes = foreign::string(args.pReserved.cast(), MAX_RESERVED);
        let text = bytes.and_then(|b| String::from_utf8(b).ok());
        let bad = || null("pReserved is no UTF-8 string of at most 4096 bytes");
        text.map(|t| InitArgs { reserved: Some(t) }).ok_or_else(bad)
    }
}

/// The bytes of a C string that is not longer than [`MAX_RESERVED`].
///
/// # Safety
/// `at` leads to a string that ends with a zero byte.
unsafe fn bounded_string(at: *const u8) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for i in 0..MAX_RESERVED {
        // SAFETY: no zero byte came before `i`, so the string reaches at least to here.
        match unsafe { at.add(i).read() } {
            0 => return Some(bytes),
            byte => bytes.push(byte),
        }
    }
    None
}

/// Which interface C_GetInterface is asked for.
pub struct Wanted {
    /// `None`: any name.
    pub name: Option<Vec<u8>>,
    /// `None`: any version.
    pub version: Option<(u8, u8)>,
}

impl Wanted {
    /// # Safety
    /// `name` is null or a C string, `version` is null or leads to a CK_VERSION.
    pub unsafe fn read(name: *const u8, version: *const CK_VERSION) -> Result<Wanted> {
        let name = if name.is_null() {
            None
        } else {
            // SAFETY: this function's contract.
            let bytes = unsafe { bounded_string(name) };
            Some(bytes.ok_or_else(|| null("the interface name has no end"))?)
        };
        let version = NonNull::new(version.cast_mut()).map(|v| {
            // SAFETY: this function's contract; two bytes need no alignment.
            let v = unsafe { v.as_ptr().read_unaligned() };
            (v.major, v.minor)
        });
        Ok(Wanted { name, version })
    }

    /// Whether an interface of this name and version will do.
    pub fn takes(&self, name: &CStr, version: (u8, u8)) -> bool {
        self.name.as_deref().is_none_or(|n| n == name.to_bytes())
            && self.version.is_none_or(|v| v == version)
    }
}

/// One interface of the list, which may be shared between threads: nobody writes to it.
#[repr(transparent)]
pub struct Interface(pub CK_INTERFACE);

// SAFETY: the pointers inside lead to constants that live as long as the library.
unsafe impl Sync for Interface {}

/// Text in a fixed field, padded with blanks and cut between characters.
pub fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut end = text.len().min(N);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut field = [b' '; N];
    field[..end].copy_from_slice(&text.as_bytes()[..end]);
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_cuts_between_characters() {
        assert_eq!(&padded::<4>("ab"), b"ab  ");
        assert_eq!(&padded::<3>("aäö"), "aä".as_bytes());
        assert_eq!(&padded::<2>("aä"), b"a ");
    }

    #[test]
    fn init_args() {
        unsafe extern "C" fn lock(_: *mut std::ffi::c_void) -> CK_ULONG {
            0
        }
        let mut args = CK_C_INITIALIZE_ARGS::default();
        // SAFETY: one live structure in every call below.
        let read = |args: &mut CK_C_INITIALIZE_ARGS| unsafe {
            InitArgs::read((args as *mut CK_C_INITIALIZE_ARGS).cast())
        };
        assert_eq!(read(&mut args).unwrap(), InitArgs::default());
        args.LockMutex = Some(lock);
        assert_eq!(read(&mut args).unwrap_err().rv, Rv::ARGUMENTS_BAD);
        args.UnlockMutex = Some(lock);
        args.DestroyMutex = Some(lock);
        unsafe extern "C" fn create(_: *mut *mut std::ffi::c_void) -> CK_ULONG {
            0
        }
        args.CreateMutex = Some(create);
        assert_eq!(read(&mut args).unwrap_err().rv, Rv::CANT_LOCK);
        args.flags = pkcs11_sys::CKF_OS_LOCKING_OK;
        let text = c"config=/x";
        args.pReserved = text.as_ptr().cast_mut().cast();
        assert_eq!(
            read(&mut args).unwrap().reserved.as_deref(),
            Some("config=/x")
        );
        let long = vec![b'a'; 2 * MAX_RESERVED];
        args.pReserved = long.as_ptr().cast_mut().cast();
        assert_eq!(read(&mut args).unwrap_err().rv, Rv::ARGUMENTS_BAD);
        args.pReserved = std::ptr::without_provenance_mut(0xDEAD_BEEF);
        assert_eq!(read(&mut args).unwrap_err().rv, Rv::ARGUMENTS_BAD);
    }
}
