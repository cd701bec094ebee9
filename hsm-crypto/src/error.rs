//! What can go wrong. The caller knows which key and which parameter it was; we say only what kind of refusal.

use std::fmt;

/// Why an operation was refused. No variant carries data: nothing secret can leak through an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The input's length (data, IV, tag, signature, output buffer) does not suit the operation.
    BadLength,
    /// The key, curve or point is malformed or out of range.
    BadKey,
    /// A signature, MAC or tag does not match.
    Mismatch,
    /// The padding of a ciphertext is wrong.
    BadPadding,
    /// The number does not fit: a message above the modulus, a counter that would repeat.
    TooLarge,
    /// This build or this key cannot do that.
    Unsupported,
    /// The random source or the backend failed.
    Internal,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::BadLength => "the length of an input does not suit the operation",
            Error::BadKey => "the key is malformed or out of range",
            Error::Mismatch => "the signature or authentication tag does not match",
            Error::BadPadding => "the padding is wrong",
            Error::TooLarge => "a value is too large for the key or the counter",
            Error::Unsupported => "not supported for this key",
            Error::Internal => "the random source or the cryptographic library failed",
        })
    }
}

impl std::error::Error for Error {}

/// What every fallible operation here returns.
pub type Result<T> = std::result::Result<T, Error>;
