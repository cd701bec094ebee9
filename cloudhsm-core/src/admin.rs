//! What AWS has no call for: the VPC, faults, where the HSMs are. `POST /_keystead/VERB` with a JSON
//! object; `keystead vpc`, `fault`, `mgmt` and the console use it. Members are named as AWS names
//! them, `Account` and `Region` among them where another than the default is meant.
//!
//! | verb | members | answer |
//! |---|---|---|
//! | `vpc/subnets`, `vpc/security-groups`, `vpc/enis` | | an array with EC2's member names |
//! | `vpc/revoke`, `vpc/authorize` | GroupId, Direction (`ingress`, `egress`) | takes the group's own rule away, gives it back |
//! | `nodes` | ClusterId, optional where there is one cluster | ClusterId, TrustAnchor, Hsms with their addresses |
//! | `hardware-roots` | | AwsRoot, ManufacturerRoot: PEM |
//! | `fault/list` | | an array |
//! | `fault/VERB` | HsmId or SubnetId, and see [`crate::faults`] | the HSM's faults, or the subnet |
//! | `reset` | | forgets everything |

use aws_json::error::SERIALIZATION;
use aws_json::{Response, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::control::CloudHsm;
use crate::error::{INTERNAL, INVALID_REQUEST, NOT_FOUND, Refused};
use crate::facts::exists;
use crate::faults::Fault;
use crate::model::{HsmState, Realm};
use crate::state::Scope;
use crate::vpc::{PORTS, Rule, Vpc};

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Common {
    account: Option<String>,
    region: Option<String>,
    cluster_id: Option<String>,
    group_id: Option<String>,
    direction: Option<String>,
}

/// Answers a request to `/_keystead/...`; the path may come with that prefix or without.
pub fn handle(service: &CloudHsm, path: &str, body: &[u8]) -> Response {
    let verb = path.trim_start_matches('/');
    let verb = verb.strip_prefix("_keystead/").unwrap_or(verb);
    match answer(service, verb, body) {
        Ok(value) => Response {
            status: 200,
            body: Zeroizing::new(value.to_string().into_bytes()),
            error: None,
        },
        Err(error) => Response::refusal(error, "Message"),
    }
}

/// A body that [`handle`] would take.
///
/// # Errors
/// It is no JSON object of the members that there are.
pub fn readable(body: &[u8]) -> Result<()> {
    read::<Common>(body).map(drop)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .map_err(|e| SERIALIZATION.says(format!("The request cannot be read: {e}")))
}

fn answer(service: &CloudHsm, verb: &str, body: &[u8]) -> Result<Value> {
    let common: Common = read(body)?;
    let default = &service.config.scope;
    let scope = Scope {
        account: common
            .account
            .clone()
            .unwrap_or_else(|| default.account.clone()),
        region: common
            .region
            .clone()
            .unwrap_or_else(|| default.region.clone()),
    };
    match verb {
        "vpc/subnets" => vpc(service, &scope, Vpc::subnets_json),
        "vpc/security-groups" => vpc(service, &scope, Vpc::groups_json),
        "vpc/enis" => vpc(service, &scope, Vpc::enis_json),
        "vpc/revoke" => rule(service, &scope, &common, |rules, id| {
            rules.retain(|r| r.group != id)
        }),
        "vpc/authorize" => rule(service, &scope, &common, |rules, id| {
            let rule = Rule {
                from: PORTS[0],
                to: PORTS[2],
                group: id.to_owned(),
            };
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }),
        "nodes" => nodes(service, &scope, common.cluster_id.as_deref()),
        "hardware-roots" => {
            let [aws, maker] = service.ca.hardware_roots().map_err(Refused::from)?;
            Ok(json!({ "AwsRoot": aws, "ManufacturerRoot": maker }))
        }
        "fault/list" => Ok(service.faults()),
        "reset" => {
            let failed = |e| {
                INTERNAL
                    .says("The data directory could not be emptied.")
                    .caused_by(e)
            };
            service.reset().map(|()| json!({})).map_err(failed)
        }
        other => match other.strip_prefix("fault/") {
            Some(verb) => {
                let fault: Fault = read(body)?;
                service.fault(&scope, verb, &fault)
            }
            None => Err(NOT_FOUND.says(format!("There is no /_keystead/{other}."))),
        },
    }
}

/// The VPC comes to be at the first look, and the next look must see the same.
fn vpc(service: &CloudHsm, scope: &Scope, list: fn(&Vpc) -> Value) -> Result<Value> {
    if let Some(shown) = service.store.read(|s| s.realm(scope).map(|r| list(&r.vpc))) {
        return Ok(shown);
    }
    let made = service
        .store
        .change(|s| Ok::<_, Refused>(list(&s.realm_mut(scope).vpc)));
    made.map_err(Into::into)
}

fn rule(
    service: &CloudHsm,
    scope: &Scope,
    common: &Common,
    change: impl FnOnce(&mut Vec<Rule>, &str),
) -> Result<Value> {
    let id = common.group_id.clone().unwrap_or_default();
    let shown = service.store.change(|s| {
        let realm: &mut Realm = s.realm_mut(scope);
        let Some(group) = realm.vpc.groups.get_mut(&id) else {
            return Err(Refused(
                NOT_FOUND.says(format!("The security group {id} does not exist.")),
            ));
        };
        match common.direction.as_deref() {
            Some("ingress") => change(&mut group.ingress, &id),
            Some("egress") => change(&mut group.egress, &id),
            _ => {
                return Err(Refused(
                    INVALID_REQUEST.says("Direction must be ingress or egress."),
                ));
            }
        }
        Ok(realm.vpc.groups_json())
    })?;
    Ok(shown)
}

fn nodes(service: &CloudHsm, scope: &Scope, wanted: Option<&str>) -> Result<Value> {
    service.store.read(|s| {
        let all = s.realm(scope).into_iter().flat_map(|r| r.clusters.values().filter(|c| exists(c)));
        let mut named = all.filter(|c| wanted.is_none_or(|id| id == c.id));
        let (cluster, other) = (named.next(), named.next());
        let cluster = match (cluster, other) {
            (Some(cluster), None) => cluster,
            (Some(_), Some(_)) => {
                return Err(INVALID_REQUEST.says("There is more than one cluster: ClusterId must be given."));
            }
            (None, _) => {
                let of = format!("account {} in region {}", scope.account, scope.region);
                let why = wanted.map_or_else(
                    || format!("There is no cluster of {of}: make one first (aws cloudhsmv2 create-cluster), or set AWS_REGION as for the others."),
                    |id| format!("The cluster {id} does not exist for {of}; aws cloudhsmv2 describe-clusters lists those that do."),
                );
                return Err(NOT_FOUND.says(why));
            }
        };
        let place = crate::state::Place { scope: scope.clone(), cluster: cluster.id.clone() };
        let live = cluster.hsms.iter().filter(|h| matches!(h.state, HsmState::Active | HsmState::Degraded));
        let hsms: Vec<Value> = live
            .filter_map(|h| {
                let [client, _, management] = crate::control::reach(s, &place, h)?;
                let ip = s.realm(scope)?.vpc.enis.get(&h.eni)?.ip;
                Some(json!({ "HsmId": h.id, "State": h.state.name(), "AvailabilityZone": h.zone,
                             "EniIp": ip.to_string(), "ClientAddress": client.to_string(),
                             "ManagementAddress": management.to_string(), "Pid": service.nodes.pid(&h.id) }))
            })
            .collect();
        Ok(json!({ "ClusterId": cluster.id, "State": cluster.state.name(),
                   "TrustAnchor": cluster.anchor, "Hsms": hsms }))
    })
}
