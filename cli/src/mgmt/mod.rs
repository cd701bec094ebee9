//! `keystead mgmt`: cloudhsm_mgmt_util's commands on the HSMs of a running `keystead up`.

pub mod commands;
pub mod shell;
pub mod show;
mod wiped;

use std::io::IsTerminal;

use clap::Args;

use crate::hsms;
use crate::running::Running;
use commands::Session;
use shell::{Input, Script, Stdin};

/// The shell's arguments.
#[derive(Args)]
pub struct Mgmt {
    /// Run these commands (separated by `;` or line ends) instead of reading standard input
    #[arg(short = 'c', long = "command", value_name = "CMD")]
    command: Option<zeroize::Zeroizing<String>>,
    /// The cluster, where there is more than one
    #[arg(long, value_name = "CLUSTER")]
    cluster_id: Option<String>,
    /// The region [default: $AWS_REGION, $AWS_DEFAULT_REGION, else us-east-1]
    #[arg(long, default_value_t = crate::aws::region(), hide_default_value = true)]
    region: String,
    /// Answer every question with y
    #[arg(long)]
    yes: bool,
}

/// Connects to every HSM of the cluster and runs the commands; true if all succeeded.
pub fn run(args: &Mgmt, running: &Running) -> Result<bool, String> {
    let servers = hsms::connect(running, &args.region, args.cluster_id.as_deref())?.servers;
    if args.command.is_none() && std::io::stdin().is_terminal() {
        println!(
            "Connecting to the server(s), it may take time\ndepending on the server(s) load, please wait...\n"
        );
    }
    for (n, server) in servers.iter().enumerate() {
        println!(
            "Connected to server {n}: hostname '{}', port {}.",
            server.host, server.port
        );
    }
    let mut input: Box<dyn Input> = match &args.command {
        Some(text) => Box::new(Script::new(text, args.yes)),
        None => Box::new(Stdin::new(args.yes).map_err(unreadable)?),
    };
    shell::run(&mut Session::new(servers), input.as_mut()).map_err(unreadable)
}

/// What a user hears who cannot give commands.
pub fn unreadable(error: std::io::Error) -> String {
    format!("reading commands: {error}")
}
