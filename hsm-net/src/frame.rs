//! What travels. Both sides first say `PREAMBLE`; then come frames: a length (u32, little endian)
//! and so many bytes.
//!
//! | frame | holds |
//! |---|---|
//! | greeting | [`Greeting`] |
//! | welcome | `Result<Welcome, Error>` |
//! | request | id u64, session u64, deadline in ms u32, bytes of output wanted u32, `Request` |
//! | reply | id u64, bytes of output u32, output, `Result<Reply, Error>` |
//!
//! The output stands before the rest of a reply so that the HSM can write it where it is sent from.
//! What is in postcard is hsm-api's own types (docs/adr/0002-postcard-frames.md). Lengths are not
//! trusted: memory grows with what has arrived.

use std::io::{self, Read};

use hsm_api::{Error, Hello, Mechanism, Params, Reply, Request, SessionId};
use postcard::ser_flavors::{Flavor, Size};
use serde::{Deserialize, Serialize};

use crate::Purpose;

/// The version of this protocol; another one is refused.
pub const VERSION: u16 = 1;
const MAGIC: [u8; 4] = *b"KSTD";
/// Magic, version, two bytes of nothing.
pub const PREAMBLE_LEN: usize = 8;
/// Longest greeting or welcome.
pub const GREETING_LIMIT: usize = 4096;
/// Before a request's postcard bytes: id, session, deadline, output wanted.
pub const REQUEST_HEAD: usize = 24;
/// Before a reply's output: id, bytes of output.
pub const REPLY_HEAD: usize = 12;
/// The length itself.
pub const LEN: usize = 4;
/// Memory taken at once for bytes that are announced but have not arrived.
const STEP: usize = 64 << 10;

/// The first frame: who comes, and to do what.
#[derive(Debug, Serialize, Deserialize)]
pub struct Greeting {
    pub purpose: Purpose,
    pub hello: Hello,
}

/// The answer to a greeting that is taken.
#[derive(Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// Which link this connection joined. Another number than last time says that login, session
    /// objects and streams are gone.
    pub link: u64,
    /// Longest frame that the node takes.
    pub limit: u32,
}

/// What stands before a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead {
    pub id: u64,
    pub session: SessionId,
    pub deadline_ms: u32,
    pub out: u32,
}

/// Why a connection cannot go on.
#[derive(Debug)]
pub enum Broken {
    /// The peer closed between two frames.
    Closed,
    /// The transport failed, or closed within a frame.
    Io(io::Error),
    /// What arrived is no frame of this protocol.
    Garbled(&'static str),
    /// The peer speaks another version.
    Version(u16),
    /// The length exceeds the limit.
    Oversized(usize),
}

impl From<io::Error> for Broken {
    fn from(e: io::Error) -> Self {
        Broken::Io(e)
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Broken::Closed => write!(f, "closed by the peer"),
            Broken::Io(e) => write!(f, "{e}"),
            Broken::Garbled(what) => write!(f, "garbled frame: {what}"),
            Broken::Version(v) => {
                write!(
                    f,
                    "the peer speaks protocol version {v}, this side {VERSION}"
                )
            }
            Broken::Oversized(len) => write!(f, "oversized frame: {len} bytes"),
        }
    }
}

pub fn preamble() -> [u8; PREAMBLE_LEN] {
    let mut bytes = [0; PREAMBLE_LEN];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
    bytes
}

pub fn read_preamble(from: &mut impl Read) -> Result<(), Broken> {
    let mut bytes = [0; PREAMBLE_LEN];
    from.read_exact(&mut bytes)?;
    if bytes[..4] != MAGIC {
        return Err(Broken::Garbled("not this protocol"));
    }
    match u16::from_le_bytes([bytes[4], bytes[5]]) {
        VERSION => Ok(()),
        other => Err(Broken::Version(other)),
    }
}

/// Reads a frame's length. The end of the stream is `Closed` here and nowhere else.
pub fn read_len(from: &mut impl Read, limit: usize) -> Result<usize, Broken> {
    let mut bytes = [0; LEN];
    let mut have = 0;
    while have < LEN {
        match from.read(&mut bytes[have..]) {
            Ok(0) if have == 0 => return Err(Broken::Closed),
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(n) => have += n,
            // A peer that dies without TLS's closing alert, as every killed process does.
            Err(e) if have == 0 && e.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Broken::Closed);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    let len = usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX);
    if len > limit {
        return Err(Broken::Oversized(len));
    }
    Ok(len)
}

/// Reads `len` announced bytes into `to`, which takes memory only as they arrive.
pub fn read_body(from: &mut impl Read, len: usize, to: &mut Vec<u8>) -> Result<(), Broken> {
    to.clear();
    while to.len() < len {
        let have = to.len();
        to.resize(have + (len - have).min(STEP.max(have)), 0);
        from.read_exact(&mut to[have..])?;
    }
    Ok(())
}

/// A whole frame of one postcard value.
pub fn put<T: Serialize>(value: &T, to: &mut Vec<u8>) -> Result<(), Broken> {
    let start = to.len();
    to.extend([0; LEN]);
    append(value, to)?;
    seal(to, start);
    Ok(())
}

/// Decodes a whole frame's body.
pub fn take<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Broken> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(Broken::Garbled("bytes left over")),
        Err(_) => Err(Broken::Garbled("not decodable")),
    }
}

/// A whole frame of a request. One beyond `limit` is refused by its size alone: no caller's length, however it lies, makes
/// this copy what could never be sent.
pub fn put_request(
    head: RequestHead,
    request: &Request<'_>,
    limit: usize,
    to: &mut Vec<u8>,
) -> Result<(), Broken> {
    to.clear();
    let len = REQUEST_HEAD + encoded_len(request)?;
    if len > limit {
        return Err(Broken::Oversized(len));
    }
    to.reserve(LEN + len);
    to.extend([0; LEN]);
    to.extend(head.id.to_le_bytes());
    to.extend(head.session.0.to_le_bytes());
    to.extend(head.deadline_ms.to_le_bytes());
    to.extend(head.out.to_le_bytes());
    postcard::serialize_with_flavor(request, Append(to)).map_err(not_encodable)?;
    seal(to, 0);
    Ok(())
}

pub fn take_request(body: &[u8]) -> Result<(RequestHead, Request<'_>), Broken> {
    let (head, rest) = body
        .split_first_chunk::<REQUEST_HEAD>()
        .ok_or(Broken::Garbled("shorter than its head"))?;
    let head = RequestHead {
        id: u64_at(head, 0),
        session: SessionId(u64_at(head, 8)),
        deadline_ms: u32_at(head, 16),
        out: u32_at(head, 20),
    };
    Ok((head, take(rest)?))
}

/// Room for a reply's head and `out` bytes of output, which the HSM fills at [`output`].
pub fn begin_reply(out: usize, to: &mut Vec<u8>) {
    if out > STEP {
        // Fresh zero pages cost nothing until they are written: a caller who asks for much and
        // uses little must not make the node touch much.
        *to = vec![0; LEN + REPLY_HEAD + out];
    } else {
        to.resize(LEN + REPLY_HEAD + out, 0);
    }
}

/// Where the output of a reply begun belongs.
pub fn output(reply: &mut [u8]) -> &mut [u8] {
    &mut reply[LEN + REPLY_HEAD..]
}

/// Completes a reply of which `written` bytes of output are valid.
pub fn end_reply(
    id: u64,
    written: usize,
    result: &Result<Reply, Error>,
    to: &mut Vec<u8>,
) -> Result<(), Broken> {
    to.truncate(LEN + REPLY_HEAD + written);
    to[LEN..LEN + 8].copy_from_slice(&id.to_le_bytes());
    let written = u32::try_from(written).map_err(|_| Broken::Oversized(written))?;
    to[LEN + 8..LEN + REPLY_HEAD].copy_from_slice(&written.to_le_bytes());
    append(result, to)?;
    seal(to, 0);
    Ok(())
}

/// A reply's id, its output, and the rest.
pub type Answered<'a> = (u64, &'a [u8], Result<Reply, Error>);

/// Decodes a reply frame's body.
pub fn take_reply(body: &[u8]) -> Result<Answered<'_>, Broken> {
    let (head, rest) = body
        .split_first_chunk::<REPLY_HEAD>()
        .ok_or(Broken::Garbled("shorter than its head"))?;
    let written = usize::try_from(u32_at(head, 8)).unwrap_or(usize::MAX);
    let (output, result) = rest
        .split_at_checked(written)
        .ok_or(Broken::Garbled("shorter than its output"))?;
    Ok((u64_at(head, 0), output, take(result)?))
}

/// How many bytes of output a successful reply says it has.
pub fn written(result: &Result<Reply, Error>) -> usize {
    match result {
        Ok(Reply::Written(n) | Reply::Made { written: n, .. }) => *n,
        _ => 0,
    }
}

fn append<T: Serialize>(value: &T, to: &mut Vec<u8>) -> Result<(), Broken> {
    // At once: a vector that grows leaves what it held behind, and that may be a PIN or a key.
    to.reserve(encoded_len(value)?);
    postcard::serialize_with_flavor(value, Append(to)).map_err(not_encodable)
}

fn encoded_len<T: Serialize>(value: &T) -> Result<usize, Broken> {
    postcard::serialize_with_flavor(value, Size::default()).map_err(not_encodable)
}

fn not_encodable(_: postcard::Error) -> Broken {
    Broken::Garbled("not encodable")
}

/// Whether a request's frame holds a PIN or a key in the clear, and is wiped as soon as it is used.
pub fn holds_secret(request: &Request<'_>) -> bool {
    use Request as R;
    matches!(
        request,
        R::InitToken { .. }
            | R::InitPin { .. }
            | R::SetPin { .. }
            | R::Login { .. }
            | R::LoginContext { .. }
            | R::CreateUser { .. }
            | R::ChangePassword { .. }
            | R::Create { .. }
            | R::GenerateKey {
                mech: Mechanism {
                    params: Params::Pbkdf2 { .. },
                    ..
                },
                ..
            }
    )
}

/// Fills in the length. A frame beyond 4 GiB gets a length that every limit refuses.
fn seal(frame: &mut [u8], start: usize) {
    let len = u32::try_from(frame.len() - start - LEN).unwrap_or(u32::MAX);
    frame[start..start + LEN].copy_from_slice(&len.to_le_bytes());
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

/// postcard's own sink for a `Vec` takes it over; this one borrows, so that a buffer is used again.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();
    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }
    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
