//! Everything that may be asked of an HSM.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{
    AttrType, Change, Hidden, KeyRef, Mechanism, ObjectId, Role, StreamId, Template, Uses,
};

/// What a key, or a digest, is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Op {
    Encrypt,
    Decrypt,
    Sign,
    SignRecover,
    Verify,
    VerifyRecover,
    Digest,
}

impl Op {
    /// The usage that the key must allow; none for a digest.
    pub const fn uses(self) -> Uses {
        match self {
            Op::Encrypt => Uses::ENCRYPT,
            Op::Decrypt => Uses::DECRYPT,
            Op::Sign => Uses::SIGN,
            Op::SignRecover => Uses::SIGN_RECOVER,
            Op::Verify => Uses::VERIFY,
            Op::VerifyRecover => Uses::VERIFY_RECOVER,
            Op::Digest => Uses(0),
        }
    }
}

/// A password change over several HSMs is done in two steps, so that a crash between two of them
/// always leaves one password that works on all: until `Commit`, an HSM takes the old and the new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Both steps at once: one HSM.
    Whole,
    /// Check the old password and take the new one too.
    Prepare,
    /// Forget the old one. A login with the new one does the same.
    Commit,
}

/// One whole operation, or one step of a stream. Ids of what is made are the caller's choice, so
/// that a repeat of the same request makes nothing twice.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Request<'a> {
    // -- the token and its users
    /// → `Token`
    TokenInfo,
    /// → `Mechanisms`
    Mechanisms,
    InitToken {
        #[serde(borrow)]
        so_pin: Hidden<'a>,
        label: &'a str,
    },
    InitPin {
        #[serde(borrow)]
        pin: Hidden<'a>,
    },
    SetPin {
        #[serde(borrow)]
        old: Hidden<'a>,
        new: Hidden<'a>,
        phase: Phase,
    },
    /// `name` is `None` for PKCS#11's own SO and user.
    Login {
        role: Role,
        name: Option<&'a str>,
        #[serde(borrow)]
        pin: Hidden<'a>,
    },
    /// CKU_CONTEXT_SPECIFIC: frees one use of an always-authenticate key in this session.
    LoginContext {
        #[serde(borrow)]
        pin: Hidden<'a>,
    },
    Logout,
    /// Forgets the session's objects and streams.
    CloseSession,

    // -- objects
    /// → `Made`
    Create {
        id: ObjectId,
        template: Template,
    },
    /// → `Made`
    Copy {
        from: ObjectId,
        id: ObjectId,
        template: Template,
    },
    /// → `Made` (the tombstone)
    Destroy {
        id: ObjectId,
    },
    /// → `Key`: a reference with its facts, for use in requests to the same link.
    Resolve {
        id: ObjectId,
    },
    /// → `Attributes`, one for each type, in order
    Attributes {
        id: ObjectId,
        types: Vec<AttrType>,
    },
    /// → `Made`. An empty template changes nothing but the version: a cluster's client makes the copy
    /// that it uses outrank one that a lost HSM may have made under the same id.
    SetAttributes {
        id: ObjectId,
        template: Template,
    },
    /// → `Objects`: ids of all that match and that this link may see
    Find {
        template: Template,
    },
    /// → `Size`
    ObjectSize {
        id: ObjectId,
    },

    // -- keys; → `Made`, and bytes in `out` for Wrap and Encapsulate
    GenerateKey {
        #[serde(borrow)]
        mech: Mechanism<'a>,
        id: ObjectId,
        template: Template,
    },
    GenerateKeyPair {
        #[serde(borrow)]
        mech: Mechanism<'a>,
        public: ObjectId,
        public_template: Template,
        private: ObjectId,
        private_template: Template,
    },
    /// `aad` is empty but for C_WrapKeyAuthenticated.
    Wrap {
        #[serde(borrow)]
        mech: Mechanism<'a>,
        with: KeyRef,
        key: ObjectId,
        aad: Hidden<'a>,
    },
    Unwrap {
        #[serde(borrow)]
        mech: Mechanism<'a>,
        with: KeyRef,
        wrapped: Hidden<'a>,
        aad: Hidden<'a>,
        id: ObjectId,
        template: Template,
    },
    Derive {
        #[serde(borrow)]
        mech: Mechanism<'a>,
        base: KeyRef,
        id: ObjectId,
        template: Template,
    },
    Encapsulate {
        #[serde(borrow)]
        mech: Mechanism<'a>,
        public: KeyRef,
        id: ObjectId,
        template: Template,
    },
    Decapsulate {
        #[serde(borrow)]
        mech: Mechanism<'a>,
        private: KeyRef,
        ciphertext: Hidden<'a>,
        id: ObjectId,
        template: Template,
    },

    // -- whole operations; → `Written`, or `Done` for Verify
    Crypt {
        op: Op,
        #[serde(borrow)]
        mech: Cow<'a, Mechanism<'a>>,
        /// `None` for a digest.
        key: Option<Cow<'a, KeyRef>>,
        data: Hidden<'a>,
        /// Verify only.
        signature: Hidden<'a>,
    },

    // -- streams
    Begin {
        stream: StreamId,
        op: Op,
        #[serde(borrow)]
        mech: Cow<'a, Mechanism<'a>>,
        key: Option<Cow<'a, KeyRef>>,
    },
    /// → `Written`
    Update {
        stream: StreamId,
        #[serde(borrow)]
        data: Hidden<'a>,
    },
    DigestKey {
        stream: StreamId,
        key: ObjectId,
    },
    /// → `Written`, or `Done` for Verify. The stream is gone afterwards, unless BUFFER_TOO_SMALL.
    Finish {
        stream: StreamId,
        #[serde(borrow)]
        signature: Hidden<'a>,
    },
    Abort {
        stream: StreamId,
    },
    /// → `Bytes`: the state of a digest
    SaveState {
        stream: StreamId,
    },
    RestoreState {
        stream: StreamId,
        #[serde(borrow)]
        state: Hidden<'a>,
    },

    // -- random numbers
    /// Fills `out`.
    Random,
    Seed {
        #[serde(borrow)]
        data: Hidden<'a>,
    },

    // -- user management in a cluster: each HSM by itself
    /// → `Users`
    Users,
    CreateUser {
        role: Role,
        name: &'a str,
        #[serde(borrow)]
        password: Hidden<'a>,
    },
    DeleteUser {
        role: Role,
        name: &'a str,
    },
    /// By a crypto officer for anyone, by others for themselves. PRECO's own change activates the HSM.
    ChangePassword {
        role: Role,
        name: &'a str,
        #[serde(borrow)]
        password: Hidden<'a>,
    },
    /// → `Node`
    NodeInfo,
    /// → `Keys`: what a user owns or shares, for a crypto officer's audit; never their values
    UserKeys {
        user: u32,
    },
    /// Shares a key with another crypto user, or stops to.
    Share {
        key: ObjectId,
        user: u32,
        share: bool,
    },

    // -- between HSMs (Peer::Node, and clones carried by a client)
    /// → `Digest`: id, version and origin of every object, tombstones included
    Digest,
    /// → `Changes`: the named objects, in their order. Where they are too large for one reply, the first
    /// ones; then ask again for those after the last that came
    Export {
        ids: Vec<ObjectId>,
    },
    /// Applies what is newer than one's own. → `Done`
    Apply {
        changes: Vec<Change>,
    },

    // -- the CloudHSM service (Peer::Service)
    /// → `Csr`, with the HSM's hardware certificates
    Csr,
    /// Installs the customer-signed cluster certificate and its trust anchor, PEM.
    Install {
        certificate: &'a str,
        anchor: &'a str,
    },
    /// → `Bytes`: users, keys, certificates and the masking key, sealed for the service's HSMs only
    Backup,
    /// Onto an HSM that holds nothing yet, or that is refreshed after an outage.
    Restore {
        #[serde(borrow)]
        backup: Hidden<'a>,
    },
}

/// What a client may do when it lost the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// Ask again, at any HSM.
    Anywhere,
    /// Ask again at any HSM: the caller-chosen id makes it the same act.
    SameId,
    /// Do not ask again.
    Never,
}

impl Request<'_> {
    /// The request's replay class.
    pub const fn replay(&self) -> Replay {
        use Request as R;
        match self {
            R::TokenInfo
            | R::Mechanisms
            | R::Resolve { .. }
            | R::Attributes { .. }
            | R::Find { .. }
            | R::ObjectSize { .. }
            | R::Wrap { .. }
            | R::Crypt { .. }
            | R::Random
            | R::Users
            | R::NodeInfo
            | R::UserKeys { .. }
            | R::Digest
            | R::Export { .. }
            | R::Csr
            | R::Logout
            | R::CloseSession
            | R::Apply { .. } => Replay::Anywhere,
            R::Create { .. }
            | R::Copy { .. }
            | R::Destroy { .. }
            | R::SetAttributes { .. }
            | R::GenerateKey { .. }
            | R::GenerateKeyPair { .. }
            | R::Unwrap { .. }
            | R::Derive { .. }
            | R::Decapsulate { .. } => Replay::SameId,
            _ => Replay::Never,
        }
    }
}
