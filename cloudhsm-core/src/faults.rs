//! Faults that people rehearse. Each is done to the thing itself (a process, a port, a subnet), and
//! what follows from it follows by itself.

use aws_json::Result;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control::CloudHsm;
use crate::error::{INVALID_REQUEST, NOT_FOUND, Refused};
use crate::model::{HsmState, Realm};
use crate::node::Conditions;
use crate::state::Scope;
use crate::vpc::{PORTS, USABLE};

/// The members of all fault requests; each verb says which it needs.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Fault {
    hsm_id: Option<String>,
    subnet_id: Option<String>,
    port: Option<u16>,
    milliseconds: Option<u64>,
    request_percent: Option<u8>,
    reply_percent: Option<u8>,
    free: Option<u32>,
}

/// The verbs, as `keystead fault VERB` has them.
pub const VERBS: [&str; 12] = [
    "kill",
    "restart",
    "partition",
    "delay",
    "drop",
    "fill-disk",
    "close-port",
    "open-port",
    "heal",
    "delete-subnet",
    "exhaust-addresses",
    "free-addresses",
];

impl CloudHsm {
    pub(crate) fn fault(&self, scope: &Scope, verb: &str, fault: &Fault) -> Result<Value> {
        match verb {
            "kill" => {
                self.nodes.kill_and_hold(self.hsm(fault)?);
                self.store.ring();
                self.faults_of(fault)
            }
            "restart" => {
                self.nodes.release(self.hsm(fault)?);
                self.store.ring();
                self.faults_of(fault)
            }
            "partition" => self.condition(fault, |c| c.partitioned = true),
            "delay" => {
                let ms = fault.milliseconds.ok_or_else(|| wanted("Milliseconds"))?;
                self.condition(fault, |c| c.delay_ms = ms)
            }
            "drop" => {
                if fault.request_percent.is_none() && fault.reply_percent.is_none() {
                    return Err(wanted("RequestPercent or ReplyPercent"));
                }
                let of = |percent: Option<u8>| percent.unwrap_or(0).min(100);
                let (requests, replies) = (of(fault.request_percent), of(fault.reply_percent));
                self.condition(fault, |c| {
                    c.drop_requests = requests;
                    c.drop_replies = replies;
                })
            }
            "fill-disk" => self.condition(fault, |c| c.disk_full = true),
            "close-port" => {
                let port = port(fault)?;
                self.condition(fault, |c| {
                    if !c.closed_ports.contains(&port) {
                        c.closed_ports.push(port);
                    }
                })
            }
            "open-port" => {
                let port = port(fault)?;
                self.condition(fault, |c| c.closed_ports.retain(|p| *p != port))
            }
            "heal" => self.condition(fault, |c| *c = Conditions::default()),
            "delete-subnet" => self.subnet(scope, fault, |realm, id| {
                realm.vpc.subnets.remove(id);
            }),
            "exhaust-addresses" => {
                let free = fault.free.unwrap_or(0);
                self.subnet(scope, fault, |realm, id| {
                    let used = realm.vpc.used(id);
                    if let Some(subnet) = realm.vpc.subnets.get_mut(id) {
                        subnet.capacity = used.saturating_add(free).min(USABLE);
                    }
                })
            }
            "free-addresses" => self.subnet(scope, fault, |realm, id| {
                if let Some(subnet) = realm.vpc.subnets.get_mut(id) {
                    subnet.capacity = USABLE;
                }
            }),
            other => Err(NOT_FOUND.says(format!(
                "There is no fault {other}. There are: {}.",
                VERBS.join(", ")
            ))),
        }
    }

    fn condition(&self, fault: &Fault, change: impl FnOnce(&mut Conditions)) -> Result<Value> {
        self.nodes.set_conditions(self.hsm(fault)?, change);
        self.faults_of(fault)
    }

    /// The HSM that is meant, if there is one: any other name is refused before anything is done.
    fn hsm<'a>(&self, fault: &'a Fault) -> Result<&'a str> {
        let id = fault.hsm_id.as_deref().ok_or_else(|| wanted("HsmId"))?;
        let exists = self.store.read(|s| {
            s.realms()
                .any(|(_, realm)| realm.clusters.values().any(|c| c.hsm(id).is_some()))
        });
        match exists {
            true => Ok(id),
            false => Err(NOT_FOUND.says(format!("The HSM {id} does not exist."))),
        }
    }

    fn faults_of(&self, fault: &Fault) -> Result<Value> {
        let id = self.hsm(fault)?;
        Ok(
            json!({ "HsmId": id, "HeldDown": self.nodes.held_down(id), "Conditions": self.nodes.conditions(id) }),
        )
    }

    fn subnet(
        &self,
        scope: &Scope,
        fault: &Fault,
        change: impl FnOnce(&mut Realm, &str),
    ) -> Result<Value> {
        let id = fault
            .subnet_id
            .as_deref()
            .ok_or_else(|| wanted("SubnetId"))?;
        let free = self.store.change(|s| {
            let realm = s.realm_mut(scope);
            if !realm.vpc.subnets.contains_key(id) {
                return Err(Refused(
                    NOT_FOUND.says(format!("The subnet {id} does not exist.")),
                ));
            }
            change(realm, id);
            Ok(realm.vpc.free(id))
        })?;
        Ok(json!({ "SubnetId": id, "AvailableIpAddressCount": free }))
    }

    /// Every fault that holds now.
    pub(crate) fn faults(&self) -> Value {
        let hsms: Vec<(String, HsmState)> = self.store.read(|s| {
            let of = s.realms().flat_map(|(_, realm)| realm.clusters.values());
            of.flat_map(|c| c.hsms.iter().map(|h| (h.id.clone(), h.state)))
                .collect()
        });
        let row = |(id, state): (String, HsmState)| {
            json!({ "HsmId": id, "State": state.name(), "Pid": self.nodes.pid(&id),
                    "HeldDown": self.nodes.held_down(&id), "Conditions": self.nodes.conditions(&id) })
        };
        hsms.into_iter().map(row).collect()
    }
}

fn wanted(member: &str) -> aws_json::ServiceError {
    INVALID_REQUEST.says(format!("{member} must be given."))
}

fn port(fault: &Fault) -> Result<u16> {
    match fault.port {
        Some(port) if PORTS.contains(&port) => Ok(port),
        Some(port) => {
            Err(INVALID_REQUEST.says(format!("{port} is not one of 2223, 2224 and 2225.")))
        }
        None => Err(wanted("Port")),
    }
}
