//! `keystead node`: one HSM as a process of its own. `up` starts it, tells it of faults and peers through its standard
//! input, and it ends when that ends, so that no HSM outlives its service.

use std::fs;
use std::io::{self, BufRead, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use cloudhsm_core::node::{Conditions, NodeCommand, NodeSpec, PeerSpec, Ready};
use hsm_net::{
    Anchors, Credentials, Faults, Identity, Limits, Node, NodeConfig, Peers, Purpose, ServiceTrust, Sync as CatchUp,
    SyncConfig,
};
use hsm_sim::node::{NodeEngine, NodeSettings};

/// How long requests may take to end when the node is told to.
const GRACE: Duration = Duration::from_secs(5);
/// How often a node asks its peers for what it lacks.
const CATCH_UP: Duration = Duration::from_millis(500);

/// One HSM
#[derive(Args)]
pub struct NodeArgs {
    /// What it is: the file that `up` wrote
    #[arg(long, value_name = "FILE")]
    spec: PathBuf,
}
