//! Identifiers. Object and stream ids are chosen by the caller before it sends, so that a repeated
//! request names the same thing.

use serde::{Deserialize, Serialize};

/// An object, unique across a cluster for all time (random, 128 bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId(pub u128);

/// A session of one application with one token; scopes session objects and streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId(pub u64);

/// A multi-part operation, unique within its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamId(pub u64);
