//! One operation is one type: its members are the input, and `impl Operation` says what it does.
//!
//! The table that [`operations!`](crate::operations) makes is the only list of a service's
//! operations; dispatch, the "not implemented" answers and the metrics read it.

use crate::caller::Caller;
use crate::error::{Exception, Result, SERIALIZATION};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

/// An operation of the service `S`. The implementing type is named as AWS names the operation.
///
/// By the time `run` is called, the constraints of the service's model hold and members that were
/// `null` are absent.
pub trait Operation<S: ?Sized>: DeserializeOwned {
    /// What goes back as JSON. `()` gives an empty body, `NoMembers` gives `{}`.
    type Output: Serialize;

    /// Does it.
    ///
    /// # Errors
    /// What the service refuses, as an exception of its list.
    fn run(self, service: &S, caller: &Caller) -> Result<Self::Output>;
}

/// Decode, run, encode: a whole operation behind one type.
type Call<S> = fn(&S, Value, &Caller) -> Result<Zeroizing<Vec<u8>>>;

/// One row of a service's table.
pub struct Row<S: ?Sized> {
    /// The operation's name.
    pub name: &'static str,
    pub(crate) call: Call<S>,
}

impl<S: ?Sized> Row<S> {
    /// The row of one operation; `operations!` calls this.
    pub const fn of<O: Operation<S>>(name: &'static str) -> Self {
        Self {
            name,
            call: call::<S, O>,
        }
    }
}

/// Decode, run, encode.
fn call<S: ?Sized, O: Operation<S>>(
    service: &S,
    input: Value,
    caller: &Caller,
) -> Result<Zeroizing<Vec<u8>>> {
    // The decoder's text may quote a value: it is good for neither the caller nor the log.
    let undecodable = |_| SERIALIZATION.says("A member's type or value cannot be decoded.");
    let operation: O = serde_json::from_value(input).map_err(undecodable)?;
    encode(&operation.run(service, caller)?)
}

fn encode<T: Serialize>(output: &T) -> Result<Zeroizing<Vec<u8>>> {
    // The capacity spares most answers a reallocation, which would leave a copy unwiped.
    let mut body = Zeroizing::new(Vec::with_capacity(16 * 1024));
    serde_json::to_writer(&mut *body, output).map_err(|e| {
        let internal = Exception::new("InternalFailure", 500);
        internal
            .says("The answer could not be encoded.")
            .caused_by(e)
    })?;
    if *body == b"null" {
        body.clear();
    }
    Ok(body)
}

/// Makes a service's one table: `operations! { pub static OPERATIONS: Kms = Encrypt, Decrypt }`.
#[macro_export]
macro_rules! operations {
    ($(#[$meta:meta])* $vis:vis static $table:ident: $service:ty = $($operation:ident),+ $(,)?) => {
        $(#[$meta])*
        $vis static $table: &[$crate::Row<$service>] =
            &[$($crate::Row::of::<$operation>(stringify!($operation))),+];
    };
}
