//! The harness of the black-box tests: it starts Keystead as a user would and talks to it through real clients.
//!
//! Nothing here links Keystead: the binary and the module are found as files, so what is tested is what is shipped.
//!
//! - [`tools`]: where the binary, the module and the foreign programs are; a missing one is a failure, never a skip
//! - [`run`]: one command with a time limit, and a failure message that shows all of it
//! - [`procs`]: processes found by what their command line mentions, and signals by pid
//! - [`daemon`]: a server under test: started, waited for, ended
//! - [`up`]: `keystead up` as a value: started, waited for, killed on drop
//! - [`aws`]: the AWS CLI, versions 1 and 2
//! - [`boto`]: boto3 as a long-lived child, for tests with more calls than a CLI start each is worth
//! - [`openssl`]: certificates and signature checks by the openssl command
//! - [`p11`]: pkcs11-tool and the probe on one module
//! - [`http`]: raw requests, for what no honest client sends
//! - [`story`]: the states that tests start from: an active cluster, a key store
//! - [`poll`]: waiting for a state, with what was seen last in the message
#![forbid(unsafe_code)]

pub mod aws;
pub mod boto;
pub mod daemon;
pub mod http;
pub mod openssl;
pub mod p11;
pub mod poll;
pub mod procs;
pub mod run;
pub mod story;
pub mod tools;
pub mod up;
