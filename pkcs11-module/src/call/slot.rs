//! Slot and token management functions.

use std::time::SystemTime;

use hsm_api::reply::Offered;
use hsm_api::{Error, Hidden, MechId, Phase, Reply, Request, Result, Rv};
use hsm_sim::builtin::utc;
use hsm_sim::mech;
use pkcs11_sys as ck;

use super::general::{MANUFACTURER, library_version};
use crate::ck::message::encrypts_messages;
use crate::ck::{Out, Place, padded};
use crate::module::Module;
use crate::personality::Difference;
use crate::token::{Login, PinForm, unexpected};

/// C_GetSlotList. Asking for the length looks at the configuration again.
pub fn list(m: &Module, present_only: bool, mut out: Out<'_, ck::CK_SLOT_ID>) -> Result<()> {
    let slots = if out.asks_length() {
        m.refresh()
    } else {
        m.slots()
    };
    let ids: Vec<_> = slots
        .iter()
        .filter(|s| !present_only || m.has_token(s))
        .map(|s| s.id)
        .collect();
    out.answer(&ids).map(drop)
}

/// C_GetSlotInfo.
pub fn slot_info(m: &Module, id: u64, to: Place<'_, ck::CK_SLOT_INFO>) -> Result<()> {
    let slot = m.slot(id)?;
    let there = if m.has_token(&slot) {
        ck::CKF_TOKEN_PRESENT
    } else {
        0
    };
    to.set(ck::CK_SLOT_INFO {
        slotDescription: padded(&slot.spec.description),
        manufacturerID: padded(MANUFACTURER),
        flags: there,
        hardwareVersion: library_version(),
        firmwareVersion: library_version(),
    });
    Ok(())
}

/// C_GetTokenInfo.
pub fn token_info(m: &Module, id: u64, to: Place<'_, ck::CK_TOKEN_INFO>) -> Result<()> {
    let slot = m.slot(id)?;
    let token = slot.info()?;
    let (sessions, read_write) = slot.sessions();
    let dual = slot.allows(Difference::Dual).is_ok();
    let failures = |failed: u32, locked: bool, low, last, lock| {
        let left = token.max_failures.saturating_sub(failed);
        (if failed > 0 && !locked { low } else { 0 })
            | (if left == 1 && !locked { last } else { 0 })
            | (if locked { lock } else { 0 })
    };
    // The clock of an embedded token is this machine's; that of an HSM elsewhere we do not see.
    let clock = slot.spec.pins == PinForm::Plain;
    let flags = ck::CKF_RNG
        | (if clock { ck::CKF_CLOCK_ON_TOKEN } else { 0 })
        | ck::CKF_LOGIN_REQUIRED
        | (if dual {
            ck::CKF_DUAL_CRYPTO_OPERATIONS
        } else {
            0
        })
        | (if token.initialized {
            ck::CKF_TOKEN_INITIALIZED
        } else {
            0
        })
        | (if token.user_pin_set {
            ck::CKF_USER_PIN_INITIALIZED
        } else {
            0
        })
        | failures(
            token.user_failures,
            token.user_locked,
            ck::CKF_USER_PIN_COUNT_LOW,
            ck::CKF_USER_PIN_FINAL_TRY,
            ck::CKF_USER_PIN_LOCKED,
        )
        | failures(
            token.so_failures,
            token.so_locked,
            ck::CKF_SO_PIN_COUNT_LOW,
            ck::CKF_SO_PIN_FINAL_TRY,
            ck::CKF_SO_PIN_LOCKED,
        );
    to.set(ck::CK_TOKEN_INFO {
        label: padded(&token.label),
        manufacturerID: padded(MANUFACTURER),
        model: padded(&token.model),
        serialNumber: padded(&token.serial),
        flags,
        ulMaxSessionCount: ck::CK_EFFECTIVELY_INFINITE,
        ulSessionCount: sessions,
        ulMaxRwSessionCount: ck::CK_EFFECTIVELY_INFINITE,
        ulRwSessionCount: read_write,
        ulMaxPinLen: token.max_pin.into(),
        ulMinPinLen: token.min_pin.into(),
        ulTotalPublicMemory: ck::CK_UNAVAILABLE_INFORMATION,
        ulFreePublicMemory: ck::CK_UNAVAILABLE_INFORMATION,
        ulTotalPrivateMemory: ck::CK_UNAVAILABLE_INFORMATION,
        ulFreePrivateMemory: ck::CK_UNAVAILABLE_INFORMATION,
        hardwareVersion: library_version(),
        firmwareVersion: library_version(),
        utcTime: if clock {
            utc(SystemTime::now())
        } else {
            [b' '; 16]
        },
    });
    Ok(())
}

/// C_GetMechanismList.
pub fn mechanisms(m: &Module, id: u64, mut out: Out<'_, ck::CK_MECHANISM_TYPE>) -> Result<()> {
    let all: Vec<_> = offered(m, id)?.iter().map(|offered| offered.mech).collect();
    out.answer(&all).map(drop)
}

fn offered(m: &Module, id: u64) -> Result<Vec<Offered>> {
    let slot = m.slot(id)?;
    match slot.ask(&Request::Mechanisms)? {
        Reply::Mechanisms(all) => Ok(all
            .into_iter()
            .filter(|offered| slot.spec.lists(MechId(offered.mech)))
            .collect()),
        other => Err(unexpected(&other)),
    }
}

/// C_GetMechanismInfo, from the mechanism's row and from what the HSM lets it do.
pub fn mechanism_info(
    m: &Module,
    id: u64,
    mech: u64,
    to: Place<'_, ck::CK_MECHANISM_INFO>,
) -> Result<()> {
    let offered = offered(m, id)?.into_iter().find(|o| o.mech == mech);
    let here = offered.ok_or(Rv::MECHANISM_INVALID)?.flags;
    let row = mech::find(MechId(mech)).ok_or(Rv::MECHANISM_INVALID)?;
    let (least, most) = row.key_sizes();
    to.set(ck::CK_MECHANISM_INFO {
        ulMinKeySize: least,
        ulMaxKeySize: most,
        flags: m
            .slot(id)?
            .spec
            .personality
            .functions(row.id, here | message_flags(row, here)),
    });
    Ok(())
}

/// The CKF_MESSAGE_ flags: they follow from the others, for a message is an operation as any other.
fn message_flags(row: &mech::Mech, here: u64) -> u64 {
    // No message is signed by a one-time password.
    if row.output == mech::Output::Otp {
        return 0;
    }
    let flag = |set: bool, flag: u64| if set { flag } else { 0 };
    let kinds = flag(
        encrypts_messages(row),
        ck::CKF_MESSAGE_ENCRYPT | ck::CKF_MESSAGE_DECRYPT,
    ) | flag(here & ck::CKF_SIGN != 0, ck::CKF_MESSAGE_SIGN)
        | flag(here & ck::CKF_VERIFY != 0, ck::CKF_MESSAGE_VERIFY);
    kinds | flag(kinds != 0 && row.stream.is_some(), ck::CKF_MULTI_MESSAGE)
}

/// C_InitToken. The label is 32 bytes, padded with blanks.
pub fn init_token(m: &Module, id: u64, so_pin: &[u8], label: &[u8]) -> Result<()> {
    let slot = m.slot(id)?;
    let label = std::str::from_utf8(label)
        .map_err(|_| Error::new(Rv::ARGUMENTS_BAD, "the label is not UTF-8"))?;
    slot.initialize(so_pin, label.trim_end_matches([' ', '\0']))
}

/// C_InitPIN.
pub fn init_pin(m: &Module, h: u64, pin: &[u8]) -> Result<()> {
    let session = m.session(h)?;
    let _state = session.enter()?;
    session.slot.allows(Difference::InitPin)?;
    if session.slot.login_state() != Some(Login::So) {
        let why = "only the security officer sets the user's first PIN";
        return Err(Error::new(Rv::USER_NOT_LOGGED_IN, why));
    }
    let pin = Hidden(pin);
    session.done(&Request::InitPin { pin })
}

/// C_SetPIN.
pub fn set_pin(m: &Module, h: u64, old: &[u8], new: &[u8]) -> Result<()> {
    let session = m.session(h)?;
    let _state = session.enter()?;
    session.slot.allows(Difference::SetPin)?;
    session.may_change(true)?;
    session.done(&Request::SetPin {
        old: Hidden(session.slot.own_pin(old)),
        new: Hidden(session.slot.own_pin(new)),
        phase: Phase::Whole,
    })
}
