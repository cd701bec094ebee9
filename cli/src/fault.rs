//! `keystead fault`: failures that people rehearse, each done to the thing itself.

use clap::{Args, Subcommand};
use hsm_api::{Hidden, Request, Role, SessionId};
use serde_json::{Value, json};

use crate::hsms::{self, Server};
use crate::running::Running;

/// Failures to rehearse
#[derive(Args)]
pub struct Fault {
    #[command(subcommand)]
    kind: Kind,
    /// The region [default: $AWS_REGION, $AWS_DEFAULT_REGION, else us-east-1]
    #[arg(long, default_value_t = crate::aws::region(), hide_default_value = true, global = true)]
    region: String,
}

#[derive(Subcommand)]
enum Kind {
    /// End an HSM's process with signal 9; it stays down
    Kill(Hsm),
    /// Let a killed HSM come back; it catches up from another
    Restart(Hsm),
    /// Cut an HSM off from clients and from the other HSMs
    Partition(Hsm),
    /// Let an HSM answer late
    Delay {
        #[command(flatten)]
        hsm: Hsm,
        /// How late
        #[arg(long, value_name = "MS")]
        milliseconds: u64,
    },
    /// Let an HSM lose connections
    Drop {
        #[command(flatten)]
        hsm: Hsm,
        /// So many of a hundred before the request is carried out
        #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
        requests: u8,
        /// So many of a hundred after it was, instead of the answer
        #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
        replies: u8,
    },
    /// Let every write to an HSM's store fail
    FillDisk(Hsm),
    /// Refuse connections to one of 2223, 2224, 2225
    ClosePort {
        #[command(flatten)]
        hsm: Hsm,
        /// Which
        #[arg(long)]
        port: u16,
    },
    /// The reverse of close-port
    OpenPort {
        #[command(flatten)]
        hsm: Hsm,
        /// Which
        #[arg(long)]
        port: u16,
    },
    /// End an HSM's partition, delay, losses, full disk and closed ports
    Heal(Hsm),
    /// Delete a subnet
    DeleteSubnet(Subnet),
    /// Use up a subnet's addresses
    ExhaustAddresses {
        #[command(flatten)]
        subnet: Subnet,
        /// So many stay free
        #[arg(long, default_value_t = 0)]
        free: u32,
    },
    /// The reverse of exhaust-addresses
    FreeAddresses(Subnet),
    /// Lock a user by wrong passwords, on one HSM or on all
    LockUser {
        /// The user; a crypto user
        #[arg(long, default_value = "kmsuser")]
        user: String,
        /// On this HSM only
        #[arg(long)]
        hsm_id: Option<String>,
        /// The cluster, where there is more than one
        #[arg(long, value_name = "CLUSTER")]
        cluster_id: Option<String>,
    },
    /// Delete a crypto user on one HSM, which leaves the HSMs different
    DeleteUser {
        /// The user
        #[arg(long, default_value = "kmsuser")]
        user: String,
        /// On this HSM
        #[arg(long)]
        hsm_id: String,
        /// The cluster, where there is more than one
        #[arg(long, value_name = "CLUSTER")]
        cluster_id: Option<String>,
        /// A crypto officer's name
        #[arg(long, default_value = "admin")]
        officer: String,
        /// The officer's password
        #[arg(long, env = "KEYSTEAD_OFFICER_PASSWORD", hide_env_values = true)]
        password: String,
    },
    /// Show what is in force
    List,
}

#[derive(Args)]
struct Hsm {
    /// The HSM
    #[arg(long, value_name = "HSM")]
    hsm_id: String,
}

#[derive(Args)]
struct Subnet {
    /// The subnet
    #[arg(long, value_name = "SUBNET")]
    subnet_id: String,
}

/// Brings the failure about.
pub fn run(args: &Fault, running: &Running) -> Result<(), String> {
    let (verb, mut body) = match &args.kind {
        Kind::Kill(hsm) => ("kill", hsm.body()),
        Kind::Restart(hsm) => ("restart", hsm.body()),
        Kind::Partition(hsm) => ("partition", hsm.body()),
        Kind::Delay { hsm, milliseconds } => (
            "delay",
            with(hsm.body(), "Milliseconds", json!(milliseconds)),
        ),
        Kind::Drop {
            hsm,
            requests,
            replies,
        } => (
            "drop",
            with(
                with(hsm.body(), "RequestPercent", json!(requests)),
                "ReplyPercent",
                json!(replies),
            ),
        ),
        Kind::FillDisk(hsm) => ("fill-disk", hsm.body()),
        Kind::ClosePort { hsm, port } => ("close-port", with(hsm.body(), "Port", json!(port))),
        Kind::OpenPort { hsm, port } => ("open-port", with(hsm.body(), "Port", json!(port))),
        Kind::Heal(hsm) => ("heal", hsm.body()),
        Kind::DeleteSubnet(subnet) => ("delete-subnet", subnet.body()),
        Kind::ExhaustAddresses { subnet, free } => (
            "exhaust-addresses",
            with(subnet.body(), "Free", json!(free)),
        ),
        Kind::FreeAddresses(subnet) => ("free-addresses", subnet.body()),
        Kind::List => ("list", json!({})),
        Kind::LockUser {
            user,
            hsm_id,
            cluster_id,
        } => {
            let fleet = hsms::connect(running, &args.region, cluster_id.as_deref())?;
            return lock_user(&fleet.servers, user, hsm_id.as_deref());
        }
        Kind::DeleteUser {
            user,
            hsm_id,
            cluster_id,
            officer,
            password,
        } => {
            let fleet = hsms::connect(running, &args.region, cluster_id.as_deref())?;
            return delete_user(&fleet.servers, user, hsm_id, officer, password);
        }
    };
    body = with(body, "Region", json!(args.region));
    let now = running
        .aws()
        .simulation(&format!("fault/{verb}"), &body)
        .map_err(|refusal| refusal.to_string())?;
    println!("{now:#}");
    Ok(())
}

impl Hsm {
    fn body(&self) -> Value {
        json!({ "HsmId": self.hsm_id })
    }
}

impl Subnet {
    fn body(&self) -> Value {
        json!({ "SubnetId": self.subnet_id })
    }
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

/// The one management session of this command on each HSM.
const SESSION: SessionId = SessionId(1);

/// Enough wrong passwords for any limit that an HSM of ours has.
const ATTEMPTS: usize = 25;

fn lock_user(servers: &[Server], user: &str, hsm_id: Option<&str>) -> Result<(), String> {
    let meant: Vec<_> = servers
        .iter()
        .filter(|s| hsm_id.is_none_or(|id| id == s.hsm_id))
        .collect();
    if let (Some(id), true) = (hsm_id, meant.is_empty()) {
        return Err(format!("{id} is no ACTIVE HSM of the cluster"));
    }
    for server in meant {
        let wrong = Request::Login {
            role: Role::Cu,
            name: Some(user),
            pin: Hidden(b"not-the-password"),
        };
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            match server.link.call(SESSION, &wrong, &mut []) {
                Err(error) if error.rv == hsm_api::Rv::PIN_LOCKED => {
                    last.clear();
                    break;
                }
                Err(error) => last = error.to_string(),
                Ok(_) => {
                    return Err(format!(
                        "{user} logs in with any password at {}",
                        server.host
                    ));
                }
            }
        }
        match last.as_str() {
            "" => println!("{user} is locked on {} ({})", server.hsm_id, server.host),
            why => {
                return Err(format!(
                    "{user} could not be locked on {}: {why}",
                    server.hsm_id
                ));
            }
        }
    }
    Ok(())
}

fn delete_user(
    servers: &[Server],
    user: &str,
    hsm_id: &str,
    officer: &str,
    password: &str,
) -> Result<(), String> {
    let server = servers.iter().find(|server| server.hsm_id == hsm_id);
    let server = server.ok_or_else(|| format!("{hsm_id} is no ACTIVE HSM of the cluster"))?;
    let login = Request::Login {
        role: Role::Co,
        name: Some(officer),
        pin: Hidden(password.as_bytes()),
    };
    let delete = Request::DeleteUser {
        role: Role::Cu,
        name: user,
    };
    for request in [login, delete] {
        server
            .link
            .call(SESSION, &request, &mut [])
            .map_err(|error| error.to_string())?;
    }
    println!("{user} is deleted on {hsm_id} ({})", server.host);
    Ok(())
}
