//! The list of functions. `[m]` before a body says that it needs the module; without it the function
//! works before C_Initialize too. The order is the specification's.

use hsm_api::{Error, Op, Rv};
use pkcs11_sys::*;

use super::{INTERFACES, PKCS_11, VERSIONS, bare, gate, with};
use crate::call::{self, cipher, general, key, message, object, random, session, sign, slot};
use crate::ck::message::{Given as Param, associated};
use crate::ck::output::Whole;
use crate::ck::v3_2::FunctionList32;
use crate::ck::{Asked, Batch, Given, In, InitArgs, Out, Place, Wanted, read_template};
use crate::config;

/// Input and output of one call, which may lie over each other.
///
/// # Safety
/// As for [`In::new`] and [`Out::over`].
unsafe fn both<'a>(
    data: *const u8,
    len: CK_ULONG,
    out: *mut u8,
    out_len: *mut CK_ULONG,
) -> hsm_api::Result<(In<'a>, Out<'a>)> {
    // SAFETY: this function's contract.
    unsafe {
        let mut data = In::new(data, len)?;
        let out = Out::over(out, out_len, &mut data)?;
        Ok((data, out))
    }
}

macro_rules! export {
    (
        2.40 { $( fn $old:ident ( $($oa:ident : $ot:ty),* ) [$($om:ident)?] { $($ob:tt)* } )* }
        3.0 { $( fn $new:ident ( $($na:ident : $nt:ty),* ) [$($nm:ident)?] { $($nb:tt)* } )* }
        3.2 { $( fn $last:ident ( $($la:ident : $lt:ty),* ) [$($lm:ident)?] { $($lb:tt)* } )* }
    ) => {
        $( export!(@symbol $old ( $($oa : $ot),* ) [$($om)?] { $($ob)* }); )*
        $( export!(@symbol $new ( $($na : $nt),* ) [$($nm)?] { $($nb)* }); )*
        $( export!(@symbol $last ( $($la : $lt),* ) [$($lm)?] { $($lb)* }); )*

        /// The function list of PKCS#11 2.40.
        pub static LIST_2_40: CK_FUNCTION_LIST = CK_FUNCTION_LIST {
            version: CK_VERSION { major: 2, minor: 40 },
            $( $old: Some($old), )*
        };
        /// The function list of PKCS#11 3.0.
        pub static LIST_3_0: CK_FUNCTION_LIST_3_0 = CK_FUNCTION_LIST_3_0 {
            version: CK_VERSION { major: 3, minor: 0 },
            $( $old: Some($old), )*
            $( $new: Some($new), )*
        };
        /// The function list of PKCS#11 3.2.
        pub static LIST_3_2: FunctionList32 = FunctionList32 {
            v3_0: CK_FUNCTION_LIST_3_0 {
                version: CK_VERSION { major: 3, minor: 2 },
                $( $old: Some($old), )*
                $( $new: Some($new), )*
            },
            $( $last, )*
        };
    };
    (@symbol $name:ident ( $($a:ident : $t:ty),* ) [$($m:ident)?] { $($b:tt)* }) => {
        #[allow(missing_docs)]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($a: $t),*) -> CK_RV {
            export!(@run $name [$($m)?] { $($b)* })
        }
    };
    // SAFETY (both): the caller keeps to the specification, by which every pointer is null or leads
    // to as many elements as its length says, until the call returns. `ck` asks for no more.
    (@run $name:ident [] { $($b:tt)* }) => {
        bare(stringify!($name), || {
            // SAFETY: see above.
            #[allow(unused_unsafe)]
            unsafe { $($b)* }
        })
    };
    (@run $name:ident [$m:ident] { $($b:tt)* }) => {
        with(stringify!($name), |$m| {
            // SAFETY: see above.
            #[allow(unused_unsafe)]
            unsafe { $($b)* }
        })
    };
}

export! {
2.40 {
    fn C_Initialize(args: CK_VOID_PTR) [] {
        let args = InitArgs::read(args)?;
        gate::enter(|| config::start(args.reserved.as_deref()))
    }
    fn C_Finalize(reserved: CK_VOID_PTR) [_m] {
        if !reserved.is_null() {
            return Err(Error::new(Rv::ARGUMENTS_BAD, "pReserved must be null"));
        }
        gate::leave()?.shut();
        Ok(())
    }
    fn C_GetInfo(info: CK_INFO_PTR) [_m] { general::info(Place::new(info)?) }
    fn C_GetFunctionList(list: CK_FUNCTION_LIST_PTR_PTR) [] {
        Place::new(list)?.set((&raw const LIST_2_40).cast_mut());
        Ok(())
    }
    fn C_GetSlotList(present: CK_BBOOL, list: CK_SLOT_ID_PTR, count: CK_ULONG_PTR) [m] {
        slot::list(m, present != CK_FALSE, Out::new(list, count)?)
    }
    fn C_GetSlotInfo(id: CK_SLOT_ID, info: CK_SLOT_INFO_PTR) [m] {
        slot::slot_info(m, id, Place::new(info)?)
    }
    fn C_GetTokenInfo(id: CK_SLOT_ID, info: CK_TOKEN_INFO_PTR) [m] {
        slot::token_info(m, id, Place::new(info)?)
    }
    fn C_GetMechanismList(id: CK_SLOT_ID, list: CK_MECHANISM_TYPE_PTR, count: CK_ULONG_PTR) [m] {
        slot::mechanisms(m, id, Out::new(list, count)?)
    }
    fn C_GetMechanismInfo(id: CK_SLOT_ID, mech: CK_MECHANISM_TYPE, info: CK_MECHANISM_INFO_PTR) [m] {
        slot::mechanism_info(m, id, mech, Place::new(info)?)
    }
    fn C_InitToken(id: CK_SLOT_ID, pin: CK_UTF8CHAR_PTR, len: CK_ULONG, label: CK_UTF8CHAR_PTR) [m] {
        slot::init_token(m, id, &In::pin(pin, len)?, &In::fixed(label, 32)?)
    }
    fn C_InitPIN(h: CK_SESSION_HANDLE, pin: CK_UTF8CHAR_PTR, len: CK_ULONG) [m] {
        slot::init_pin(m, h, &In::pin(pin, len)?)
    }
    fn C_SetPIN(
        h: CK_SESSION_HANDLE, old: CK_UTF8CHAR_PTR, old_len: CK_ULONG,
        new: CK_UTF8CHAR_PTR, new_len: CK_ULONG
    ) [m] {
        slot::set_pin(m, h, &In::pin(old, old_len)?, &In::pin(new, new_len)?)
    }
    fn C_OpenSession(
        id: CK_SLOT_ID, flags: CK_FLAGS, _application: CK_VOID_PTR, _notify: CK_NOTIFY,
        session: CK_SESSION_HANDLE_PTR
    ) [m] {
        session::open(m, id, flags, Place::new(session)?)
    }
    fn C_CloseSession(h: CK_SESSION_HANDLE) [m] { session::close(m, h) }
    fn C_CloseAllSessions(id: CK_SLOT_ID) [m] { session::close_all(m, id) }
    fn C_GetSessionInfo(h: CK_SESSION_HANDLE, info: CK_SESSION_INFO_PTR) [m] {
        session::info(m, h, Place::new(info)?)
    }
    fn C_GetOperationState(h: CK_SESSION_HANDLE, state: CK_BYTE_PTR, len: CK_ULONG_PTR) [m] {
        session::save(m, h, Out::new(state, len)?)
    }
    fn C_SetOperationState(
        h: CK_SESSION_HANDLE, state: CK_BYTE_PTR, len: CK_ULONG,
        encryption: CK_OBJECT_HANDLE, authentication: CK_OBJECT_HANDLE
    ) [m] {
        session::restore(m, h, &In::new(state, len)?, [encryption, authentication])
    }
    fn C_Login(h: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: CK_UTF8CHAR_PTR, len: CK_ULONG) [m] {
        session::login(m, h, user, None, &In::pin(pin, len)?)
    }
    fn C_Logout(h: CK_SESSION_HANDLE) [m] { session::logout(m, h) }
    fn C_CreateObject(
        h: CK_SESSION_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG,
        object: CK_OBJECT_HANDLE_PTR
    ) [m] {
        object::create(m, h, read_template(template, count)?, Place::new(object)?)
    }
    fn C_CopyObject(
        h: CK_SESSION_HANDLE, from: CK_OBJECT_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG,
        object: CK_OBJECT_HANDLE_PTR
    ) [m] {
        object::copy(m, h, from, read_template(template, count)?, Place::new(object)?)
    }
    fn C_DestroyObject(h: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) [m] {
        object::destroy(m, h, object)
    }
    fn C_GetObjectSize(h: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, size: CK_ULONG_PTR) [m] {
        object::size(m, h, object, Place::new(size)?)
    }
    fn C_GetAttributeValue(
        h: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG
    ) [m] {
        object::attributes(m, h, object, Asked::new(template, count)?)
    }
    fn C_SetAttributeValue(
        h: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG
    ) [m] {
        object::set_attributes(m, h, object, read_template(template, count)?)
    }
    fn C_FindObjectsInit(h: CK_SESSION_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG) [m] {
        object::find_init(m, h, read_template(template, count)?)
    }
    fn C_FindObjects(
        h: CK_SESSION_HANDLE, objects: CK_OBJECT_HANDLE_PTR, max: CK_ULONG, count: CK_ULONG_PTR
    ) [m] {
        object::find(m, h, Batch::new(objects, max, count)?)
    }
    fn C_FindObjectsFinal(h: CK_SESSION_HANDLE) [m] { object::find_final(m, h) }

    fn C_EncryptInit(h: CK_SESSION_HANDLE, mech: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE) [m] {
        call::init(m, h, Op::Encrypt, Given::or_null(mech), Some(key))
    }
    fn C_Encrypt(
        h: CK_SESSION_HANDLE, data: CK_BYTE_PTR, len: CK_ULONG, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR
    ) [m] {
        let (data, out) = call::lent(m, h, Op::Encrypt, both(data, len, out, out_len))?;
        cipher::whole(m, h, Op::Encrypt, data, out)
    }
    fn C_EncryptUpdate(
        h: CK_SESSION_HANDLE, data: CK_BYTE_PTR, len: CK_ULONG, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR
    ) [m] {
        let (data, out) = call::lent(m, h, Op::Encrypt, both(data, len, out, out_len))?;
        cipher::update(m, h, Op::Encrypt, data, out)
    }
    fn C_EncryptFinal(h: CK_SESSION_HANDLE, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR) [m] {
        cipher::finish(m, h, Op::Encrypt, call::lent(m, h, Op::Encrypt, Out::new(out, out_len))?)
    }
    fn C_DecryptInit(h: CK_SESSION_HANDLE, mech: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE) [m] {
        call::init(m, h, Op::Decrypt, Given::or_null(mech), Some(key))
    }
    fn C_Decrypt(
        h: CK_SESSION_HANDLE, data: CK_BYTE_PTR, len: CK_ULONG, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR
    ) [m] {
        let (data, out) = call::lent(m, h, Op::Decrypt, both(data, len, out, out_len))?;
        cipher::whole(m, h, Op::Decrypt, data, out)
    }
    fn C_DecryptUpdate(
        h: CK_SESSION_HANDLE, data: CK_BYTE_PTR, len: CK_ULONG, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR
    ) [m] {
        let (data, out) = call::lent(m, h, Op::Decrypt, both(data, len, out, out_len))?;
        cipher::update(m, h, Op::Decrypt, data, out)
    }
    fn C_DecryptFinal(h: CK_SESSION_HANDLE, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR) [m] {
        cipher::finish(m, h, Op::Decrypt, call::lent(m, h, Op::Decrypt, Out::new(out, out_len))?)
    }
    fn C_DigestInit(h: CK_SESSION_HANDLE, mech: CK_MECHANISM_PTR) [m] {
        call::init(m, h, Op::Digest, Given::or_null(mech), None)
    }
    fn C_Digest(
        h: CK_SESSION_HANDLE, data: CK_BYTE_PTR, len: CK_ULONG, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR
    ) [m] {
        let (data, out) = call::lent(m, h, Op::Digest, both(data, len, out, out_len))?;
        cipher::whole(m, h, Op::Digest, data, out)
    }
    fn C_DigestUpdate(h: CK_SESSION_HANDLE, data: CK_BYTE_PTR, len: CK_ULONG) [m] {
        cipher::feed(m, h, Op::Digest, call::lent(m, h, Op::Digest, In::new(data, len))?)
    }
    fn C_DigestKey(h: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE) [m] { cipher::digest_key(m, h, key) }
    fn C_DigestFinal(h: CK_SESSION_HANDLE, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR) [m] {
        cipher::finish(m, h, Op::Digest, call::lent(m, h, Op::Digest, Out::new(out, out_len))?)
    }
    fn C_SignInit(h: CK_SESSION_HANDLE, mech: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE) [m] {
        call::init(m, h, Op::Sign, Given::or_null(mech), Some(key))
    }
    fn C_Sign(
        h: CK_SESSION_HANDLE, data: CK_BYTE_PTR, len: CK_ULONG, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR
    ) [m] {
        let (data, out) = call::lent(m, h, Op::Sign, both(data, len, out, out_len))?;
        cipher::whole(m, h, Op::Sign, data, out)
    }
    fn C_SignUpdate(h: CK_SESSION_HANDLE, data: CK_BYTE_PTR, len: CK_ULONG) [m] {
        cipher::feed(m, h, Op::Sign, call::lent(m, h, Op::Sign, In::new(data, len))?)
    }
    fn C_SignFinal(h: CK_SESSION_HANDLE, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR) [m] {
        cipher::finish(m, h, Op::Sign, call::lent(m, h, Op::Sign, Out::new(out, out_len))?)
    }
    fn C_SignRecoverInit(h: CK_SESSION_HANDLE, mech: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE) [m] {
        sign::recover_init(m, h, Op::SignRecover, Given::or_null(mech), key)
    }
    fn C_SignRecover(
        h: CK_SESSION_HANDLE, data: CK_BYTE_PTR, len: CK_ULONG, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR
    ) [m] {
        let (data, out) = call::lent(m, h, Op::SignRecover, both(data, len, out, out_len))?;
        sign::recover(m, h, Op::SignRecover, data, out)
    }
    fn C_VerifyInit(h: CK_SESSION_HANDLE, mech: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE) [m] {
        call::init(m, h, Op::Verify, Given::or_null(mech), Some(key))
    }
    fn C_Verify(
        h: CK_SESSION_HANDLE, data: CK_BYTE_PTR, len: CK_ULONG, sig: CK_BYTE_PTR, sig_len: CK_ULONG
    ) [m] {
        let lent = In::new(data, len).and_then(|data| Ok((data, In::new(sig, sig_len)?)));
        let (data, sig) = call::lent(m, h, Op::Verify, lent)?;
        sign::verify(m, h, data, sig)
    }
    fn C_VerifyUpdate(h: CK_SESSION_HANDLE, data: CK_BYTE_PTR, len: CK_ULONG) [m] {
        sign::verify_update(m, h, false, call::lent(m, h, Op::Verify, In::new(data, len))?)
    }
    fn C_VerifyFinal(h: CK_SESSION_HANDLE, sig: CK_BYTE_PTR, len: CK_ULONG) [m] {
        sign::verify_final(m, h, call::lent(m, h, Op::Verify, In::new(sig, len))?)
    }
    fn C_VerifyRecoverInit(h: CK_SESSION_HANDLE, mech: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE) [m] {
        sign::recover_init(m, h, Op::VerifyRecover, Given::or_null(mech), key)
    }
    fn C_VerifyRecover(
        h: CK_SESSION_HANDLE, sig: CK_BYTE_PTR, len: CK_ULONG, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR
    ) [m] {
        let (sig, out) = call::lent(m, h, Op::VerifyRecover, both(sig, len, out, out_len))?;
        sign::recover(m, h, Op::VerifyRecover, sig, out)
    }
    fn C_DigestEncryptUpdate(
        h: CK_SESSION_HANDLE, data: CK_BYTE_PTR, len: CK_ULONG, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR
    ) [m] {
        // Both operations end.
        let lent = call::lent(m, h, Op::Encrypt, both(data, len, out, out_len));
        let (data, out) = call::lent(m, h, Op::Digest, lent)?;
        cipher::encrypt_and(m, h, Op::Digest, data, out)
    }
    fn C_DecryptDigestUpdate(
        h: CK_SESSION_HANDLE, data: CK_BYTE_PTR, len: CK_ULONG, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR
    ) [m] {
        // Both operations end.
        let lent = call::lent(m, h, Op::Decrypt, both(data, len, out, out_len));
        let (data, out) = call::lent(m, h, Op::Digest, lent)?;
        cipher::decrypt_and(m, h, Op::Digest, data, out)
    }
    fn C_SignEncryptUpdate(
        h: CK_SESSION_HANDLE, data: CK_BYTE_PTR, len: CK_ULONG, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR
    ) [m] {
        // Both operations end.
        let lent = call::lent(m, h, Op::Encrypt, both(data, len, out, out_len));
        let (data, out) = call::lent(m, h, Op::Sign, lent)?;
        cipher::encrypt_and(m, h, Op::Sign, data, out)
    }
    fn C_DecryptVerifyUpdate(
        h: CK_SESSION_HANDLE, data: CK_BYTE_PTR, len: CK_ULONG, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR
    ) [m] {
        // Both operations end.
        let lent = call::lent(m, h, Op::Decrypt, both(data, len, out, out_len));
        let (data, out) = call::lent(m, h, Op::Verify, lent)?;
        cipher::decrypt_and(m, h, Op::Verify, data, out)
    }
    fn C_GenerateKey(
        h: CK_SESSION_HANDLE, mech: CK_MECHANISM_PTR, template: CK_ATTRIBUTE_PTR, count: CK_ULONG,
        key: CK_OBJECT_HANDLE_PTR
    ) [m] {
        key::generate(m, h, Given::new(mech)?, read_template(template, count)?, Place::new(key)?)
    }
    fn C_GenerateKeyPair(
        h: CK_SESSION_HANDLE, mech: CK_MECHANISM_PTR,
        public: CK_ATTRIBUTE_PTR, public_count: CK_ULONG,
        private: CK_ATTRIBUTE_PTR, private_count: CK_ULONG,
        public_key: CK_OBJECT_HANDLE_PTR, private_key: CK_OBJECT_HANDLE_PTR
    ) [m] {
        let public = read_template(public, public_count)?;
        let private = read_template(private, private_count)?;
        let places = (Place::new(public_key)?, Place::new(private_key)?);
        key::generate_pair(m, h, Given::new(mech)?, (public, private), places)
    }
    fn C_WrapKey(
        h: CK_SESSION_HANDLE, mech: CK_MECHANISM_PTR, with: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE,
        out: CK_BYTE_PTR, out_len: CK_ULONG_PTR
    ) [m] {
        key::wrap(m, h, Given::new(mech)?, with, key, Out::new(out, out_len)?)
    }
    fn C_UnwrapKey(
        h: CK_SESSION_HANDLE, mech: CK_MECHANISM_PTR, with: CK_OBJECT_HANDLE,
        wrapped: CK_BYTE_PTR, len: CK_ULONG, template: CK_ATTRIBUTE_PTR, count: CK_ULONG,
        key: CK_OBJECT_HANDLE_PTR
    ) [m] {
        let wrapped = In::new(wrapped, len)?;
        let template = read_template(template, count)?;
        key::unwrap(m, h, Given::new(mech)?, with, wrapped, template, Place::new(key)?)
    }
    fn C_DeriveKey(
        h: CK_SESSION_HANDLE, mech: CK_MECHANISM_PTR, base: CK_OBJECT_HANDLE,
        template: CK_ATTRIBUTE_PTR, count: CK_ULONG, key: CK_OBJECT_HANDLE_PTR
    ) [m] {
        let template = read_template(template, count)?;
        key::derive(m, h, Given::new(mech)?, base, template, Place::new(key)?)
    }
    fn C_SeedRandom(h: CK_SESSION_HANDLE, seed: CK_BYTE_PTR, len: CK_ULONG) [m] {
        random::seed(m, h, In::new(seed, len)?)
    }
    fn C_GenerateRandom(h: CK_SESSION_HANDLE, out: CK_BYTE_PTR, len: CK_ULONG) [m] {
        random::generate(m, h, Whole::new(out, len)?)
    }
    fn C_GetFunctionStatus(h: CK_SESSION_HANDLE) [m] { session::not_parallel(m, h) }
    fn C_CancelFunction(h: CK_SESSION_HANDLE) [m] { session::not_parallel(m, h) }
    fn C_WaitForSlotEvent(flags: CK_FLAGS, slot: CK_SLOT_ID_PTR, reserved: CK_VOID_PTR) [m] {
        let _slot = Place::new(slot)?;
        if !reserved.is_null() {
            return Err(Error::new(Rv::ARGUMENTS_BAD, "pReserved must be null"));
        }
        if flags & CKF_DONT_BLOCK == 0 {
            gate::aside(&mut || m.wait_for_stop());
        }
        general::no_event(m)
    }
}
3.0 {
    fn C_GetInterfaceList(list: CK_INTERFACE_PTR, count: CK_ULONG_PTR) [] {
        Out::new(list, count)?.answer(&INTERFACES.each_ref().map(|i| i.0)).map(drop)
    }
    fn C_GetInterface(
        name: CK_UTF8CHAR_PTR, version: CK_VERSION_PTR, interface: CK_INTERFACE_PTR_PTR, flags: CK_FLAGS
    ) [] {
        let wanted = Wanted::read(name, version)?;
        let to = Place::new(interface)?;
        let found = VERSIONS.iter().position(|v| flags == 0 && wanted.takes(PKCS_11, *v));
        let found = found.ok_or_else(|| Error::new(Rv::FUNCTION_FAILED, "no such interface"))?;
        to.set((&raw const INTERFACES[found].0).cast_mut());
        Ok(())
    }
    fn C_LoginUser(
        h: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: CK_UTF8CHAR_PTR, len: CK_ULONG,
        name: CK_UTF8CHAR_PTR, name_len: CK_ULONG
    ) [m] {
        let name = In::new(name, name_len)?;
        session::login(m, h, user, Some(&name), &In::pin(pin, len)?)
    }
    fn C_SessionCancel(h: CK_SESSION_HANDLE, flags: CK_FLAGS) [m] { session::cancel(m, h, flags) }
    fn C_MessageEncryptInit(h: CK_SESSION_HANDLE, mech: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE) [m] {
        message::init_cipher(m, h, Op::Encrypt, Given::or_null(mech), key)
    }
    fn C_EncryptMessage(
        h: CK_SESSION_HANDLE, param: CK_VOID_PTR, param_len: CK_ULONG, aad: CK_BYTE_PTR,
        aad_len: CK_ULONG, data: CK_BYTE_PTR, len: CK_ULONG, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR
    ) [m] {
        let param = (Param::new(param, param_len), associated(aad, aad_len)?);
        let mut data = In::new(data, len)?;
        let out = Out::over(out, out_len, &mut data)?;
        message::whole(m, h, Op::Encrypt, param, data, out)
    }
    fn C_EncryptMessageBegin(
        h: CK_SESSION_HANDLE, param: CK_VOID_PTR, param_len: CK_ULONG, aad: CK_BYTE_PTR,
        aad_len: CK_ULONG
    ) [m] {
        let aad = associated(aad, aad_len)?;
        message::begin(m, h, Op::Encrypt, Param::new(param, param_len), aad)
    }
    fn C_EncryptMessageNext(
        h: CK_SESSION_HANDLE, param: CK_VOID_PTR, param_len: CK_ULONG, data: CK_BYTE_PTR,
        len: CK_ULONG, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR, flags: CK_FLAGS
    ) [m] {
        let mut data = In::new(data, len)?;
        let out = Out::over(out, out_len, &mut data)?;
        let data = (data, flags & CKF_END_OF_MESSAGE != 0);
        message::next(m, h, Op::Encrypt, Param::new(param, param_len), data, out)
    }
    fn C_MessageEncryptFinal(h: CK_SESSION_HANDLE) [m] { message::end(m, h, Op::Encrypt) }
    fn C_MessageDecryptInit(h: CK_SESSION_HANDLE, mech: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE) [m] {
        message::init_cipher(m, h, Op::Decrypt, Given::or_null(mech), key)
    }
    fn C_DecryptMessage(
        h: CK_SESSION_HANDLE, param: CK_VOID_PTR, param_len: CK_ULONG, aad: CK_BYTE_PTR,
        aad_len: CK_ULONG, data: CK_BYTE_PTR, len: CK_ULONG, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR
    ) [m] {
        let param = (Param::new(param, param_len), associated(aad, aad_len)?);
        let mut data = In::new(data, len)?;
        let out = Out::over(out, out_len, &mut data)?;
        message::whole(m, h, Op::Decrypt, param, data, out)
    }
    fn C_DecryptMessageBegin(
        h: CK_SESSION_HANDLE, param: CK_VOID_PTR, param_len: CK_ULONG, aad: CK_BYTE_PTR,
        aad_len: CK_ULONG
    ) [m] {
        let aad = associated(aad, aad_len)?;
        message::begin(m, h, Op::Decrypt, Param::new(param, param_len), aad)
    }
    fn C_DecryptMessageNext(
        h: CK_SESSION_HANDLE, param: CK_VOID_PTR, param_len: CK_ULONG, data: CK_BYTE_PTR,
        len: CK_ULONG, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR, flags: CK_FLAGS
    ) [m] {
        let mut data = In::new(data, len)?;
        let out = Out::over(out, out_len, &mut data)?;
        let data = (data, flags & CKF_END_OF_MESSAGE != 0);
        message::next(m, h, Op::Decrypt, Param::new(param, param_len), data, out)
    }
    fn C_MessageDecryptFinal(h: CK_SESSION_HANDLE) [m] { message::end(m, h, Op::Decrypt) }
    fn C_MessageSignInit(h: CK_SESSION_HANDLE, mech: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE) [m] {
        message::init_sign(m, h, Op::Sign, Given::or_null(mech), key)
    }
    fn C_SignMessage(
        h: CK_SESSION_HANDLE, param: CK_VOID_PTR, param_len: CK_ULONG, data: CK_BYTE_PTR,
        len: CK_ULONG, sig: CK_BYTE_PTR, sig_len: CK_ULONG_PTR
    ) [m] {
        let mut data = In::new(data, len)?;
        let out = Out::over(sig, sig_len, &mut data)?;
        message::sign(m, h, Param::new(param, param_len), data, out)
    }
    fn C_SignMessageBegin(h: CK_SESSION_HANDLE, param: CK_VOID_PTR, param_len: CK_ULONG) [m] {
        message::begin_sign(m, h, Op::Sign, Param::new(param, param_len))
    }
    fn C_SignMessageNext(
        h: CK_SESSION_HANDLE, param: CK_VOID_PTR, param_len: CK_ULONG, data: CK_BYTE_PTR,
        len: CK_ULONG, sig: CK_BYTE_PTR, sig_len: CK_ULONG_PTR
    ) [m] {
        let mut data = In::new(data, len)?;
        let out = match sig_len.is_null() {
            true => None,
            false => Some(Out::over(sig, sig_len, &mut data)?),
        };
        message::sign_next(m, h, Param::new(param, param_len), data, out)
    }
    fn C_MessageSignFinal(h: CK_SESSION_HANDLE) [m] { message::end(m, h, Op::Sign) }
    fn C_MessageVerifyInit(h: CK_SESSION_HANDLE, mech: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE) [m] {
        message::init_sign(m, h, Op::Verify, Given::or_null(mech), key)
    }
    fn C_VerifyMessage(
        h: CK_SESSION_HANDLE, param: CK_VOID_PTR, param_len: CK_ULONG, data: CK_BYTE_PTR,
        len: CK_ULONG, sig: CK_BYTE_PTR, sig_len: CK_ULONG
    ) [m] {
        let (data, sig) = (In::new(data, len)?, In::new(sig, sig_len)?);
        message::verify(m, h, Param::new(param, param_len), data, sig)
    }
    fn C_VerifyMessageBegin(h: CK_SESSION_HANDLE, param: CK_VOID_PTR, param_len: CK_ULONG) [m] {
        message::begin_sign(m, h, Op::Verify, Param::new(param, param_len))
    }
    fn C_VerifyMessageNext(
        h: CK_SESSION_HANDLE, param: CK_VOID_PTR, param_len: CK_ULONG, data: CK_BYTE_PTR,
        len: CK_ULONG, sig: CK_BYTE_PTR, sig_len: CK_ULONG
    ) [m] {
        let last = !sig.is_null() || sig_len != 0;
        let (data, sig) = (In::new(data, len)?, In::new(sig, sig_len)?);
        message::verify_next(m, h, Param::new(param, param_len), data, last.then_some(sig))
    }
    fn C_MessageVerifyFinal(h: CK_SESSION_HANDLE) [m] { message::end(m, h, Op::Verify) }
}
3.2 {
    fn C_EncapsulateKey(
        h: CK_SESSION_HANDLE, mech: CK_MECHANISM_PTR, public: CK_OBJECT_HANDLE,
        template: CK_ATTRIBUTE_PTR, count: CK_ULONG, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR,
        key: CK_OBJECT_HANDLE_PTR
    ) [m] {
        let template = read_template(template, count)?;
        let key = if key.is_null() { None } else { Some(Place::new(key)?) };
        key::encapsulate(m, h, Given::new(mech)?, public, template, Out::new(out, out_len)?, key)
    }
    fn C_DecapsulateKey(
        h: CK_SESSION_HANDLE, mech: CK_MECHANISM_PTR, private: CK_OBJECT_HANDLE,
        template: CK_ATTRIBUTE_PTR, count: CK_ULONG, data: CK_BYTE_PTR, len: CK_ULONG,
        key: CK_OBJECT_HANDLE_PTR
    ) [m] {
        let (template, data) = (read_template(template, count)?, In::new(data, len)?);
        key::decapsulate(m, h, Given::new(mech)?, private, template, data, Place::new(key)?)
    }
    fn C_VerifySignatureInit(
        h: CK_SESSION_HANDLE, mech: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE,
        sig: CK_BYTE_PTR, sig_len: CK_ULONG
    ) [m] {
        sign::early_init(m, h, Given::or_null(mech), key, In::new(sig, sig_len)?)
    }
    fn C_VerifySignature(h: CK_SESSION_HANDLE, data: CK_BYTE_PTR, len: CK_ULONG) [m] {
        sign::early(m, h, In::new(data, len)?)
    }
    fn C_VerifySignatureUpdate(h: CK_SESSION_HANDLE, data: CK_BYTE_PTR, len: CK_ULONG) [m] {
        sign::verify_update(m, h, true, In::new(data, len)?)
    }
    fn C_VerifySignatureFinal(h: CK_SESSION_HANDLE) [m] { sign::early_final(m, h) }
    fn C_GetSessionValidationFlags(h: CK_SESSION_HANDLE, _kind: CK_ULONG, flags: *mut CK_FLAGS) [m] {
        session::validation_flags(m, h, Place::new(flags)?)
    }
    fn C_AsyncComplete(h: CK_SESSION_HANDLE, _name: CK_UTF8CHAR_PTR, _data: CK_VOID_PTR) [m] {
        session::no_async(m, h)
    }
    fn C_AsyncGetID(h: CK_SESSION_HANDLE, _name: CK_UTF8CHAR_PTR, _id: CK_ULONG_PTR) [m] {
        session::no_async(m, h)
    }
    fn C_AsyncJoin(
        h: CK_SESSION_HANDLE, _name: CK_UTF8CHAR_PTR, _id: CK_ULONG, _data: CK_BYTE_PTR, _len: CK_ULONG
    ) [m] {
        session::no_async(m, h)
    }
    fn C_WrapKeyAuthenticated(
        h: CK_SESSION_HANDLE, mech: CK_MECHANISM_PTR, with: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE,
        aad: CK_BYTE_PTR, aad_len: CK_ULONG, out: CK_BYTE_PTR, out_len: CK_ULONG_PTR
    ) [m] {
        let (aad, out) = (associated(aad, aad_len)?, Out::new(out, out_len)?);
        key::wrap_authenticated(m, h, Given::new(mech)?, (with, key), aad, out)
    }
    fn C_UnwrapKeyAuthenticated(
        h: CK_SESSION_HANDLE, mech: CK_MECHANISM_PTR, with: CK_OBJECT_HANDLE,
        wrapped: CK_BYTE_PTR, len: CK_ULONG, template: CK_ATTRIBUTE_PTR, count: CK_ULONG,
        aad: CK_BYTE_PTR, aad_len: CK_ULONG, key: CK_OBJECT_HANDLE_PTR
    ) [m] {
        let wrapped = (In::new(wrapped, len)?, associated(aad, aad_len)?);
        let template = read_template(template, count)?;
        key::unwrap_authenticated(m, h, Given::new(mech)?, with, wrapped, template, Place::new(key)?)
    }
}
}
