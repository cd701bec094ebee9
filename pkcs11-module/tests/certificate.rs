//! A certificate made by OpenSSL: `openssl x509 -req` of `/CN=leaf` by `/O=Keystead tests/CN=Authority`, with
//! the serial number 0x8a51 and P-256. What is cut out of it stands where `openssl asn1parse` says.

/// The whole.
pub const DER: &[u8] = &hex::<300>(concat!(
    "308201283081ce0203008a51300a06082a8648ce3d040302302d31173015060355040a0c0e4b65797374656164207465737473311230100603550403",
    "0c09417574686f726974793020170d3236313132353139313933305a180f32313236313130313139313933305a300f310d300b06035504030c046c65",
    "61663059301306072a8648ce3d020106082a8648ce3d03010703420004b0caca688d4e724965fae9f249edc685e65d0d2e419743b5f4be0f4a1ab79a",
    "c328aae36a77a7c279e51acba5b0b092c93f04e1b051154f9cfdbb3eb980de8050300a06082a8648ce3d0403020349003046022100fcfc2bf1735328",
    "47b70bf3b63992c46185989c1b020a4fe9fcc340ebe297cff0022100ac70b585915af58788b49dea68e38d3e3b8263fa393372bcc9e75e3b9bae88d6",
));
/// As an INTEGER.
pub const SERIAL: &[u8] = DER.split_at(7).1.split_at(5).0;
pub const ISSUER: &[u8] = DER.split_at(24).1.split_at(47).0;
pub const SUBJECT: &[u8] = DER.split_at(105).1.split_at(17).0;
/// SubjectPublicKeyInfo, as `openssl pkey -pubout` writes it too.
pub const PUBLIC_KEY_INFO: &[u8] = DER.split_at(122).1.split_at(91).0;
/// The first bytes of what `sha1sum` says.
pub const CHECK_VALUE: &[u8] = &[0x57, 0xcc, 0xd7];

const fn hex<const N: usize>(text: &str) -> [u8; N] {
    let (text, mut bytes, mut i) = (text.as_bytes(), [0; N], 0);
    while i < N {
        bytes[i] = digit(text[2 * i]) << 4 | digit(text[2 * i + 1]);
        i += 1;
    }
    bytes
}

const fn digit(c: u8) -> u8 {
    match c {
        b'0'..=b'9' => c - b'0',
        _ => c - b'a' + 10,
    }
}
