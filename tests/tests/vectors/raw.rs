//! The module by its C functions: a copy of the library, one token, one session of its user, and each function as a
//! method that takes slices and gives back bytes or the CK_RV. The only unsafe code of the vectors.
//!
//! `cryptoki` is not used here: it has no 3.2, and one layer that says everything is simpler than two libraries that
//! each want to initialise the module.
#![allow(unsafe_code, non_snake_case)]

use super::mech::{Mech, Template};
use libloading::Library;
use pkcs11_sys::*;
use std::ffi::CString;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::ptr::null_mut;
use std::sync::LazyLock;
use tests::story::CU_PIN;
use tests::tools;

/// What a function answers when it does not answer CKR_OK.
pub type Answer<T> = Result<T, CK_RV>;

const SO_PIN: &[u8] = b"12345678";
const USER_PIN: &[u8] = b"1234";
/// Longer than any signature: SLH-DSA's reach 49,856 bytes.
const SIGNATURE: usize = 50_000;

/// Session, mechanism, key, template, its count, ciphertext, its length (or a pointer to it), the new key.
type Kem<Len> = unsafe extern "C" fn(
    CK_SESSION_HANDLE,
    CK_MECHANISM_PTR,
    CK_OBJECT_HANDLE,
    CK_ATTRIBUTE_PTR,
    CK_ULONG,
    CK_BYTE_PTR,
    Len,
    CK_OBJECT_HANDLE_PTR,
) -> CK_RV;

/// CK_FUNCTION_LIST_3_2 as far as it is used here; `pkcs11-sys` ends with 3.1.
#[repr(C)]
struct List {
    v3_0: CK_FUNCTION_LIST_3_0,
    C_EncapsulateKey: Kem<CK_ULONG_PTR>,
    C_DecapsulateKey: Kem<CK_ULONG>,
    C_VerifySignatureInit: unsafe extern "C" fn(
        CK_SESSION_HANDLE,
        CK_MECHANISM_PTR,
        CK_OBJECT_HANDLE,
        CK_BYTE_PTR,
        CK_ULONG,
    ) -> CK_RV,
    C_VerifySignature: unsafe extern "C" fn(CK_SESSION_HANDLE, CK_BYTE_PTR, CK_ULONG) -> CK_RV,
    C_VerifySignatureUpdate:
        unsafe extern "C" fn(CK_SESSION_HANDLE, CK_BYTE_PTR, CK_ULONG) -> CK_RV,
    C_VerifySignatureFinal: unsafe extern "C" fn(CK_SESSION_HANDLE) -> CK_RV,
}

/// Calls a function of the list, with the session first.
macro_rules! p11 {
    ($token:expr, $name:ident $(, $arg:expr)*) => {
        // SAFETY: the specification's signature; every pointer is null or comes from a value or a slice that outlives
        // the call, and every length is that of what its pointer leads to.
        answer(unsafe { ($token.list.v3_0.$name.unwrap())($($arg),*) })
    };
}
/// The same for the functions that 3.2 adds.
macro_rules! p11_3_2 {
    ($token:expr, $name:ident $(, $arg:expr)*) => {
        // SAFETY: as for `p11`.
        answer(unsafe { ($token.list.$name)($token.h $(, $arg)*) })
    };
}

fn answer(rv: CK_RV) -> Answer<()> {
    match rv {
        CKR_OK => Ok(()),
        rv => Err(rv),
    }
}

/// A slice as C takes what it will not write to.
fn input(bytes: &[u8]) -> (CK_BYTE_PTR, CK_ULONG) {
    (bytes.as_ptr().cast_mut(), bytes.len() as CK_ULONG)
}

/// Room for an output, filled by `call`, cut to the length that it wrote.
fn output(
    room: usize,
    call: impl FnOnce(CK_BYTE_PTR, CK_ULONG_PTR) -> Answer<()>,
) -> Answer<Vec<u8>> {
    let mut out = vec![0; room];
    let mut len = room as CK_ULONG;
    call(out.as_mut_ptr(), &mut len)?;
    out.truncate(usize::try_from(len).expect("a length"));
    Ok(out)
}

/// Uneven thirds, so that no border of blocks is met by luck.
fn parts(data: &[u8]) -> [&[u8]; 3] {
    let (a, rest) = data.split_at(data.len() / 3);
    let (b, c) = rest.split_at(rest.len() / 2);
    [a, b, c]
}

/// Whether the vectors run on a cluster.
fn on_cluster() -> bool {
    match std::env::var("KEYSTEAD_TEST_ON").as_deref() {
        Ok("cluster") => true,
        Ok(other) => panic!("KEYSTEAD_TEST_ON is {other:?}, and only \"cluster\" is known"),
        Err(_) => false,
    }
}

/// The configuration for a cluster of two, made once by the first who asks. Its process ends when the pipe to it does, with
/// this one.
fn cluster() -> String {
    static MADE: LazyLock<(Child, String)> = LazyLock::new(|| {
        let mut child = Command::new(tools::beside("cluster"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start a cluster");
        let mut path = String::new();
        let said = child.stdout.take().expect("a pipe");
        BufReader::new(said).read_line(&mut path).expect("read");
        let text = std::fs::read_to_string(path.trim()).expect("the cluster's configuration");
        (child, text)
    });
    MADE.1.clone()
}

/// An initialised token whose user is logged in.
pub struct Token {
    list: &'static List,
    h: CK_SESSION_HANDLE,
    slot: CK_SLOT_ID,
    _library: Library,
    _dir: tempfile::TempDir,
}

/// A session object, destroyed with the value.
pub struct Key<'a> {
    token: &'a Token,
    h: CK_OBJECT_HANDLE,
}

impl Token {
    /// Of a copy of the library in a directory of its own: the dynamic linker takes another file for another library,
    /// so that no two tests share its state. Embedded, or with `KEYSTEAD_TEST_ON=cluster` on the cluster of all tests.
    pub fn new() -> Token {
        if on_cluster() {
            let mut token = Token::bare(&cluster());
            token.log_in(CU_PIN.as_bytes()).expect("a crypto user");
            return token;
        }
        // HSMs of a cluster that are not in FIPS mode have what this adds.
        let mut token = Token::bare("legacy = true\n[[token]]\ndirectory = \"tokens\"\n");
        token.start().expect("a token and its user");
        token
    }

    /// The module with a configuration file, initialised; there is no token yet, and no session.
    pub fn bare(text: &str) -> Token {
        let dir = tempfile::tempdir().expect("make a directory");
        let file = dir.path().join("module.so");
        std::fs::copy(tools::module(), &file).expect("copy the module");
        let config = dir.path().join("pkcs11.toml");
        std::fs::write(&config, text).expect("write the configuration");
        let reserved = CString::new(format!("config={}", config.display())).expect("no NUL");
        // SAFETY: the library under test, whose initialisers do nothing.
        let library = unsafe { Library::new(&file) }.expect("load the module");
        type Get = unsafe extern "C" fn(
            *mut CK_UTF8CHAR,
            *mut CK_VERSION,
            *mut *mut CK_INTERFACE,
            CK_FLAGS,
        ) -> CK_RV;
        let mut interface = null_mut();
        let mut version = CK_VERSION { major: 3, minor: 2 };
        // SAFETY: the specification's signature; the list of version 3.2 is a static of the library, which stays
        // mapped as long as this value, and no longer is the list used.
        let list = unsafe {
            let get = library.get::<Get>(b"C_GetInterface").expect("a symbol");
            assert_eq!(get(null_mut(), &mut version, &mut interface, 0), CKR_OK);
            &*(*interface).pFunctionList.cast::<List>()
        };
        let mut token = Token {
            list,
            h: 0,
            slot: 0,
            _library: library,
            _dir: dir,
        };
        token.initialize(&reserved).expect("a slot");
        token
    }

    fn initialize(&mut self, reserved: &CString) -> Answer<()> {
        let mut args = CK_C_INITIALIZE_ARGS {
            flags: CKF_OS_LOCKING_OK,
            pReserved: reserved.as_ptr().cast_mut().cast(),
            ..Default::default()
        };
        p11!(self, C_Initialize, (&raw mut args).cast())?;
        let (mut slot, mut count) = (0, 1);
        p11!(self, C_GetSlotList, CK_FALSE, &mut slot, &mut count)?;
        self.slot = slot;
        Ok(())
    }

    fn start(&mut self) -> Answer<()> {
        let slot = self.slot;
        let ((so, so_len), (pin, pin_len)) = (input(SO_PIN), input(USER_PIN));
        let mut label = [b' '; 32];
        p11!(self, C_InitToken, slot, so, so_len, label.as_mut_ptr())?;
        self.open()?;
        p11!(self, C_Login, self.h, CKU_SO, so, so_len)?;
        p11!(self, C_InitPIN, self.h, pin, pin_len)?;
        p11!(self, C_CloseSession, self.h)?;
        self.log_in(USER_PIN)
    }

    fn open(&mut self) -> Answer<()> {
        let flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
        let h = &mut self.h;
        p11!(self, C_OpenSession, self.slot, flags, null_mut(), None, h)
    }

    fn log_in(&mut self, pin: &[u8]) -> Answer<()> {
        self.open()?;
        let (pin, len) = input(pin);
        p11!(self, C_Login, self.h, CKU_USER, pin, len)
    }

    /// A new object, by the function that writes its handle.
    fn object(&self, make: impl FnOnce(CK_OBJECT_HANDLE_PTR) -> Answer<()>) -> Answer<Key<'_>> {
        let mut h = 0;
        make(&mut h)?;
        Ok(Key { token: self, h })
    }

    /// C_GetMechanismInfo; nothing for a mechanism that is not there.
    pub fn mechanism(&self, mech: CK_MECHANISM_TYPE) -> Option<CK_MECHANISM_INFO> {
        let mut info = CK_MECHANISM_INFO::default();
        match p11!(self, C_GetMechanismInfo, self.slot, mech, &mut info) {
            Ok(()) => Some(info),
            Err(CKR_MECHANISM_INVALID) => None,
            Err(rv) => panic!("C_GetMechanismInfo: {rv:#x}"),
        }
    }

    /// C_GetMechanismList.
    pub fn mechanisms(&self) -> Vec<CK_MECHANISM_TYPE> {
        let mut count = 0;
        p11!(self, C_GetMechanismList, self.slot, null_mut(), &mut count).expect("a count");
        let mut list = vec![0; usize::try_from(count).expect("a count")];
        let at = list.as_mut_ptr();
        p11!(self, C_GetMechanismList, self.slot, at, &mut count).expect("a list");
        list
    }

    /// C_CreateObject.
    pub fn create(&self, template: &Template) -> Answer<Key<'_>> {
        let (mut attrs, n) = template.raw();
        self.object(|h| p11!(self, C_CreateObject, self.h, attrs.as_mut_ptr(), n, h))
    }

    /// C_GenerateKey.
    pub fn generate(&self, mech: &Mech, template: &Template) -> Answer<Key<'_>> {
        let (mut attrs, n) = template.raw();
        mech.with(|m| {
            self.object(|h| p11!(self, C_GenerateKey, self.h, m, attrs.as_mut_ptr(), n, h))
        })
    }

    /// C_Digest.
    pub fn digest(&self, mech: CK_MECHANISM_TYPE, data: &[u8]) -> Answer<Vec<u8>> {
        Mech::new(mech).with(|m| p11!(self, C_DigestInit, self.h, m))?;
        let (at, n) = input(data);
        output(64, |out, len| p11!(self, C_Digest, self.h, at, n, out, len))
    }

    /// C_DigestUpdate and C_DigestFinal.
    pub fn digest_parts(&self, mech: CK_MECHANISM_TYPE, data: &[u8]) -> Answer<Vec<u8>> {
        Mech::new(mech).with(|m| p11!(self, C_DigestInit, self.h, m))?;
        for part in parts(data) {
            let (at, n) = input(part);
            p11!(self, C_DigestUpdate, self.h, at, n)?;
        }
        output(64, |out, len| p11!(self, C_DigestFinal, self.h, out, len))
    }
}

/// The four functions of encryption or of decryption, which have the same form.
macro_rules! cipher {
    ($whole:ident $in_parts:ident $init:ident $one:ident $update:ident $end:ident) => {
        #[doc = stringify!($one)]
        pub fn $whole(&self, mech: &Mech, data: &[u8]) -> Answer<Vec<u8>> {
            let t = self.token;
            mech.with(|m| p11!(t, $init, t.h, m, self.h))?;
            let (at, n) = input(data);
            output(data.len() + 1024, |out, len| {
                p11!(t, $one, t.h, at, n, out, len)
            })
        }

        #[doc = stringify!($update)]
        pub fn $in_parts(&self, mech: &Mech, data: &[u8]) -> Answer<Vec<u8>> {
            let t = self.token;
            mech.with(|m| p11!(t, $init, t.h, m, self.h))?;
            let mut whole = Vec::new();
            for part in parts(data) {
                let (at, n) = input(part);
                whole.extend(output(data.len() + 64, |out, len| {
                    p11!(t, $update, t.h, at, n, out, len)
                })?);
            }
            whole.extend(output(data.len() + 64, |out, len| {
                p11!(t, $end, t.h, out, len)
            })?);
            Ok(whole)
        }
    };
}

impl Key<'_> {
    cipher!(encrypt encrypt_parts C_EncryptInit C_Encrypt C_EncryptUpdate C_EncryptFinal);
    cipher!(decrypt decrypt_parts C_DecryptInit C_Decrypt C_DecryptUpdate C_DecryptFinal);

    /// C_Sign.
    pub fn sign(&self, mech: &Mech, data: &[u8]) -> Answer<Vec<u8>> {
        let t = self.token;
        mech.with(|m| p11!(t, C_SignInit, t.h, m, self.h))?;
        let (at, n) = input(data);
        output(SIGNATURE, |out, len| p11!(t, C_Sign, t.h, at, n, out, len))
    }

    /// C_SignUpdate and C_SignFinal.
    pub fn sign_parts(&self, mech: &Mech, data: &[u8]) -> Answer<Vec<u8>> {
        let t = self.token;
        mech.with(|m| p11!(t, C_SignInit, t.h, m, self.h))?;
        for part in parts(data) {
            let (at, n) = input(part);
            p11!(t, C_SignUpdate, t.h, at, n)?;
        }
        output(SIGNATURE, |out, len| p11!(t, C_SignFinal, t.h, out, len))
    }

    /// C_SignFinal after nothing else.
    pub fn sign_final(&self, mech: &Mech) -> Answer<Vec<u8>> {
        let t = self.token;
        mech.with(|m| p11!(t, C_SignInit, t.h, m, self.h))?;
        output(SIGNATURE, |out, len| p11!(t, C_SignFinal, t.h, out, len))
    }

    /// C_Sign, asked for the length first, then with room for less, then with as much.
    pub fn sign_asked(&self, mech: &Mech, data: &[u8]) -> Answer<Vec<u8>> {
        let t = self.token;
        mech.with(|m| p11!(t, C_SignInit, t.h, m, self.h))?;
        let ((at, n), mut room) = (input(data), 0);
        p11!(t, C_Sign, t.h, at, n, null_mut(), &mut room)?;
        let room = usize::try_from(room).expect("a length");
        let short = output(room - 1, |out, len| p11!(t, C_Sign, t.h, at, n, out, len));
        assert_eq!(short, Err(CKR_BUFFER_TOO_SMALL));
        output(room, |out, len| p11!(t, C_Sign, t.h, at, n, out, len))
    }

    /// C_Verify.
    pub fn verify(&self, mech: &Mech, data: &[u8], signature: &[u8]) -> Answer<()> {
        let t = self.token;
        mech.with(|m| p11!(t, C_VerifyInit, t.h, m, self.h))?;
        let ((at, n), (sig, sig_len)) = (input(data), input(signature));
        p11!(t, C_Verify, t.h, at, n, sig, sig_len)
    }

    /// C_VerifyUpdate and C_VerifyFinal.
    pub fn verify_parts(&self, mech: &Mech, data: &[u8], signature: &[u8]) -> Answer<()> {
        let t = self.token;
        mech.with(|m| p11!(t, C_VerifyInit, t.h, m, self.h))?;
        for part in parts(data) {
            let (at, n) = input(part);
            p11!(t, C_VerifyUpdate, t.h, at, n)?;
        }
        let (sig, sig_len) = input(signature);
        p11!(t, C_VerifyFinal, t.h, sig, sig_len)
    }

    /// C_VerifySignature of 3.2: the signature comes first.
    pub fn verify_signature(&self, mech: &Mech, data: &[u8], signature: &[u8]) -> Answer<()> {
        let t = self.token;
        let ((at, n), (sig, sig_len)) = (input(data), input(signature));
        mech.with(|m| p11_3_2!(t, C_VerifySignatureInit, m, self.h, sig, sig_len))?;
        p11_3_2!(t, C_VerifySignature, at, n)
    }

    /// C_VerifySignatureUpdate and C_VerifySignatureFinal.
    pub fn verify_signature_parts(&self, mech: &Mech, data: &[u8], sig: &[u8]) -> Answer<()> {
        let t = self.token;
        let (sig, sig_len) = input(sig);
        mech.with(|m| p11_3_2!(t, C_VerifySignatureInit, m, self.h, sig, sig_len))?;
        for part in parts(data) {
            let (at, n) = input(part);
            p11_3_2!(t, C_VerifySignatureUpdate, at, n)?;
        }
        p11_3_2!(t, C_VerifySignatureFinal)
    }

    /// C_DeriveKey.
    pub fn derive(&self, mech: &Mech, template: &Template) -> Answer<Key<'_>> {
        let t = self.token;
        let (mut attrs, n) = template.raw();
        let at = attrs.as_mut_ptr();
        mech.with(|m| t.object(|h| p11!(t, C_DeriveKey, t.h, m, self.h, at, n, h)))
    }

    /// C_WrapKey.
    pub fn wrap(&self, mech: &Mech, key: &Key<'_>) -> Answer<Vec<u8>> {
        let t = self.token;
        mech.with(|m| {
            output(8192, |out, len| {
                p11!(t, C_WrapKey, t.h, m, self.h, key.h, out, len)
            })
        })
    }

    /// C_UnwrapKey.
    pub fn unwrap(&self, mech: &Mech, wrapped: &[u8], template: &Template) -> Answer<Key<'_>> {
        let t = self.token;
        let ((mut attrs, n), (blob, len)) = (template.raw(), input(wrapped));
        let at = attrs.as_mut_ptr();
        mech.with(|m| t.object(|h| p11!(t, C_UnwrapKey, t.h, m, self.h, blob, len, at, n, h)))
    }

    /// C_EncapsulateKey: the ciphertext and the shared key.
    pub fn encapsulate(&self, mech: &Mech, template: &Template) -> Answer<(Vec<u8>, Key<'_>)> {
        let t = self.token;
        let ((mut attrs, n), mut key) = (template.raw(), 0);
        let at = attrs.as_mut_ptr();
        let ct = mech.with(|m| {
            output(8192, |out, len| {
                p11_3_2!(t, C_EncapsulateKey, m, self.h, at, n, out, len, &mut key)
            })
        })?;
        Ok((ct, Key { token: t, h: key }))
    }

    /// C_DecapsulateKey.
    pub fn decapsulate(&self, mech: &Mech, ct: &[u8], template: &Template) -> Answer<Key<'_>> {
        let t = self.token;
        let ((mut attrs, n), (ct, len)) = (template.raw(), input(ct));
        let at = attrs.as_mut_ptr();
        mech.with(|m| t.object(|h| p11_3_2!(t, C_DecapsulateKey, m, self.h, at, n, ct, len, h)))
    }

    /// C_GetAttributeValue of one attribute.
    pub fn get(&self, attribute: CK_ATTRIBUTE_TYPE) -> Answer<Vec<u8>> {
        let t = self.token;
        output(16384, |at, len| {
            // SAFETY: `output` gives a length that lives until this returns.
            let room = unsafe { *len };
            let mut asked = CK_ATTRIBUTE {
                type_: attribute,
                pValue: at.cast(),
                ulValueLen: room,
            };
            p11!(t, C_GetAttributeValue, t.h, self.h, &mut asked, 1)?;
            // SAFETY: as above.
            unsafe { *len = asked.ulValueLen };
            Ok(())
        })
    }

    /// CKA_VALUE.
    pub fn value(&self) -> Answer<Vec<u8>> {
        self.get(CKA_VALUE)
    }
}

impl Drop for Key<'_> {
    fn drop(&mut self) {
        let destroyed = p11!(self.token, C_DestroyObject, self.token.h, self.h);
        assert!(
            destroyed.is_ok() || std::thread::panicking(),
            "{destroyed:x?}"
        );
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let ended = p11!(self, C_Finalize, null_mut());
        assert!(ended.is_ok() || std::thread::panicking(), "{ended:x?}");
    }
}
