//! `keystead vpc`: what the simulated VPC holds, with the member names that EC2's own lists have.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::running::Running;
use crate::table::{self, Output};

/// The simulated VPC
#[derive(Args)]
pub struct Vpc {
    #[command(subcommand)]
    list: List,
    /// How to print
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    output: Output,
    /// The region [default: $AWS_REGION, $AWS_DEFAULT_REGION, else us-east-1]
    #[arg(long, default_value_t = crate::aws::region(), hide_default_value = true, global = true)]
    region: String,
}

#[derive(Subcommand)]
enum List {
    /// A private subnet in each of three zones
    Subnets,
    /// Security groups with their rules
    SecurityGroups,
    /// Network interfaces: of HSMs, and of KMS in a connected key store's cluster
    Enis,
}

/// Prints the list.
pub fn run(args: &Vpc, running: &Running) -> Result<(), String> {
    let (verb, columns): (_, &[&str]) = match args.list {
        List::Subnets => (
            "vpc/subnets",
            &[
                "SubnetId",
                "AvailabilityZone",
                "CidrBlock",
                "AvailableIpAddressCount",
                "State",
            ],
        ),
        List::SecurityGroups => ("vpc/security-groups", &["GroupId", "GroupName", "VpcId"]),
        List::Enis => (
            "vpc/enis",
            &[
                "NetworkInterfaceId",
                "SubnetId",
                "PrivateIpAddress",
                "Description",
            ],
        ),
    };
    let list = running
        .aws()
        .simulation(verb, &json!({ "Region": args.region }))
        .map_err(|refusal| refusal.to_string())?;
    table::print(&list, columns, args.output);
    Ok(())
}
