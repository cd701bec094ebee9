//! MACs with AES: CMAC, and the plain CBC-MAC of old (PKCS#11 3.2, "AES CMAC", "AES-MAC", "General-length AES-MAC").

use hsm_api::MechId;
use hsm_crypto::{CbcMac, Cmac};

use super::{Check, Mech, OpenStream, Output, Shape, Stream, Transform};

const fn row(code: u64, name: &'static str, params: Shape, output: Output) -> Mech {
    Mech {
        id: MechId(code),
        name,
        params,
        output,
        ..Mech::AES
    }
}

/// The functions of a MAC of which one message is one computation.
macro_rules! functions {
    ($mac:ident) => {{
        let sign: Transform = |call, data, out| {
            let mut mac = $mac::new(call.key.secret()?.aes()?.clone());
            mac.update(data);
            Stream::finish(Box::new(mac), call, out)
        };
        let verify: Check = |call, data, signature| {
            let mut mac = $mac::new(call.key.secret()?.aes()?.clone());
            mac.update(data);
            Stream::verify(Box::new(mac), call, signature)
        };
        let open: OpenStream =
            |call, _op| Ok(Box::new($mac::new(call.key.secret()?.aes()?.clone())));
        (sign, verify, open)
    }};
}

const fn with(of: Mech, (sign, verify, open): (Transform, Check, OpenStream)) -> Mech {
    Mech {
        sign: Some(sign),
        verify: Some(verify),
        stream: Some(open),
        ..of
    }
}

static CMAC: Mech = with(
    row(0x108A, "CKM_AES_CMAC", Shape::Nothing, Output::Fixed(16)),
    functions!(Cmac),
);
static CMAC_GENERAL: Mech = with(
    row(
        0x108B,
        "CKM_AES_CMAC_GENERAL",
        Shape::MacLen,
        Output::MacLen,
    ),
    functions!(Cmac),
);

/// Half a block, as FIPS 113 has it of DES. Legacy: whoever may choose the lengths of messages forges a MAC.
static MAC: Mech = Mech {
    legacy: true,
    ..with(
        row(0x1083, "CKM_AES_MAC", Shape::Nothing, Output::Fixed(8)),
        functions!(CbcMac),
    )
};
static MAC_GENERAL: Mech = Mech {
    legacy: true,
    ..with(
        row(0x1084, "CKM_AES_MAC_GENERAL", Shape::MacLen, Output::MacLen),
        functions!(CbcMac),
    )
};

pub(super) static ALL: &[&Mech] = &[&CMAC, &CMAC_GENERAL, &MAC, &MAC_GENERAL];
