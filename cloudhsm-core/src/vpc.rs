//! The simulated VPC of one account and region: three private subnets, security groups, network
//! interfaces. A subnet is a range of loopback addresses that are really bound, so "no free address"
//! and "subnet deleted" are what they are at AWS. A pure value: [`crate::state`] persists it.
//!
//! Where an address other than 127.0.0.1 cannot be bound (macOS), an interface keeps its address for
//! show and is reached at 127.0.0.1 on ports of its own ([`Eni::reach`]).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use rand::{RngExt, rng};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ids;

/// The ports of an HSM on the customer's side.
pub const PORTS: [u16; 3] = [2223, 2224, 2225];

/// Addresses that a /24 subnet has for interfaces: AWS keeps the first four and the last.
pub const USABLE: u32 = 251;

/// One VPC.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Vpc {
    /// `vpc-...`
    pub id: String,
    /// By subnet id.
    pub subnets: BTreeMap<String, Subnet>,
    /// By group id.
    pub groups: BTreeMap<String, SecurityGroup>,
    /// By interface id.
    pub enis: BTreeMap<String, Eni>,
}

/// A private subnet in one zone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Subnet {
    pub id: String,
    pub zone: String,
    /// The first three octets of 127.x.y.0/24.
    pub net: [u8; 3],
    /// How many interfaces it takes; lowered by a fault.
    pub capacity: u32,
}

/// A security group with its rules.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct SecurityGroup {
    pub id: String,
    pub name: String,
    pub description: String,
    pub ingress: Vec<Rule>,
    pub egress: Vec<Rule>,
}

/// Allows TCP between `from` and `to` with the members of one group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Rule {
    pub from: u16,
    pub to: u16,
    pub group: String,
}

/// A network interface: one address in one subnet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Eni {
    pub id: String,
    pub subnet: String,
    pub group: String,
    pub ip: Ipv4Addr,
    pub description: String,
    /// Where its ports 2223 to 2225 are really bound.
    pub reach: [SocketAddr; 3],
}

/// Why there is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAddress {
    /// The subnet does not exist, or no more.
    NoSubnet(String),
    /// Every address of the subnet is taken.
    Full(String),
    /// The address asked for is taken, or outside of the subnet.
    Unusable(Ipv4Addr),
}

impl std::fmt::Display for NoAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoAddress::NoSubnet(id) => write!(f, "The subnet {id} does not exist."),
            NoAddress::Full(id) => write!(f, "The subnet {id} has no free IP address."),
            NoAddress::Unusable(ip) => {
                write!(f, "The IP address {ip} is in use or outside of the subnet.")
            }
        }
    }
}

impl Vpc {
    /// A VPC with a private subnet in each of the region's zones a, b and c. Their ranges are random,
    /// so that several data directories serve on one machine at the same time.
    pub fn new(region: &str) -> Vpc {
        let mut subnets = BTreeMap::new();
        let (x, y): (u8, u8) = (rng().random_range(16..=250), rng().random_range(0..=250));
        for (zone, y) in ['a', 'b', 'c'].into_iter().zip(y..) {
            let id = ids::hex17("subnet");
            let subnet = Subnet {
                id: id.clone(),
                zone: format!("{region}{zone}"),
                net: [127, x, y],
                capacity: USABLE,
            };
            subnets.insert(id, subnet);
        }
        Vpc {
            id: ids::hex17("vpc"),
            subnets,
            groups: BTreeMap::new(),
            enis: BTreeMap::new(),
        }
    }

    /// Subnets in the order of their zones.
    pub fn in_order(&self) -> Vec<&Subnet> {
        let mut all: Vec<&Subnet> = self.subnets.values().collect();
        all.sort_by(|a, b| a.zone.cmp(&b.zone));
        all
    }

    /// The group that CreateCluster makes: TCP 2223 to 2225 among its members, both ways.
    pub fn make_group(&mut self, name: String, description: String) -> String {
        let id = ids::hex17("sg");
        let rule = Rule {
            from: PORTS[0],
            to: PORTS[2],
            group: id.clone(),
        };
        let group = SecurityGroup {
            id: id.clone(),
            name,
            description,
            ingress: vec![rule.clone()],
            egress: vec![rule],
        };
        self.groups.insert(id.clone(), group);
        id
    }

    /// Whether the group lets its members talk to each other on all HSM ports, both ways.
    pub fn group_is_valid(&self, id: &str) -> bool {
        let covers = |rules: &[Rule]| {
            rules
                .iter()
                .any(|r| r.group == id && r.from <= PORTS[0] && r.to >= PORTS[2])
        };
        self.groups
            .get(id)
            .is_some_and(|g| covers(&g.ingress) && covers(&g.egress))
    }

    /// Interfaces of a subnet.
    pub fn used(&self, subnet: &str) -> u32 {
        let used = self.enis.values().filter(|e| e.subnet == subnet).count();
        u32::try_from(used).unwrap_or(u32::MAX)
    }

    /// Addresses that a subnet still has.
    pub fn free(&self, subnet: &str) -> u32 {
        let capacity = self.subnets.get(subnet).map_or(0, |s| s.capacity);
        capacity.saturating_sub(self.used(subnet))
    }

    /// Makes an interface, at `wanted` if given.
    ///
    /// # Errors
    /// [`NoAddress`] says which of the reasons it is.
    pub fn attach(
        &mut self,
        subnet: &str,
        group: &str,
        description: String,
        wanted: Option<Ipv4Addr>,
        listens: bool,
    ) -> Result<Eni, NoAddress> {
        let place = self
            .subnets
            .get(subnet)
            .ok_or_else(|| NoAddress::NoSubnet(subnet.to_owned()))?;
        if self.free(subnet) == 0 {
            return Err(NoAddress::Full(subnet.to_owned()));
        }
        let [a, b, c] = place.net;
        let taken = |ip: Ipv4Addr| self.enis.values().any(|e| e.ip == ip);
        let (ip, reach) = match wanted {
            Some(ip) => {
                let o = ip.octets();
                let inside = [o[0], o[1], o[2]] == place.net && (4..=254).contains(&o[3]);
                let reach = (inside && !taken(ip)).then(|| reach(ip, listens)).flatten();
                (ip, reach.ok_or(NoAddress::Unusable(ip))?)
            }
            // An address that another process has is passed over, as one that another host has is.
            None => (4..=254)
                .map(|last| Ipv4Addr::new(a, b, c, last))
                .filter(|ip| !taken(*ip))
                .find_map(|ip| Some((ip, reach(ip, listens)?)))
                .ok_or_else(|| NoAddress::Full(subnet.to_owned()))?,
        };
        let eni = Eni {
            id: ids::hex17("eni"),
            subnet: subnet.to_owned(),
            group: group.to_owned(),
            ip,
            description,
            reach,
        };
        self.enis.insert(eni.id.clone(), eni.clone());
        Ok(eni)
    }

    /// `keystead vpc subnets`: EC2's member names.
    pub fn subnets_json(&self) -> Value {
        let row = |s: &&Subnet| {
            let [a, b, c] = s.net;
            json!({"SubnetId": s.id, "VpcId": self.id, "AvailabilityZone": s.zone, "State": "available",
                   "CidrBlock": format!("{a}.{b}.{c}.0/24"), "AvailableIpAddressCount": self.free(&s.id),
                   "MapPublicIpOnLaunch": false})
        };
        self.in_order().iter().map(row).collect()
    }

    /// `keystead vpc security-groups`.
    pub fn groups_json(&self) -> Value {
        let rules = |rules: &[Rule]| -> Value {
            let row = |r: &Rule| {
                json!({"IpProtocol": "tcp", "FromPort": r.from, "ToPort": r.to,
                       "UserIdGroupPairs": [{"GroupId": r.group}]})
            };
            rules.iter().map(row).collect()
        };
        let row = |g: &SecurityGroup| {
            json!({"GroupId": g.id, "GroupName": g.name, "Description": g.description, "VpcId": self.id,
                   "IpPermissions": rules(&g.ingress), "IpPermissionsEgress": rules(&g.egress)})
        };
        self.groups.values().map(row).collect()
    }

    /// `keystead vpc enis`.
    pub fn enis_json(&self) -> Value {
        let row = |e: &Eni| {
            let zone = self.subnets.get(&e.subnet).map(|s| s.zone.as_str());
            json!({"NetworkInterfaceId": e.id, "SubnetId": e.subnet, "VpcId": self.id, "AvailabilityZone": zone,
                   "PrivateIpAddress": e.ip.to_string(), "Description": e.description, "Status": "in-use",
                   "Groups": [{"GroupId": e.group}]})
        };
        self.enis.values().map(row).collect()
    }
}

/// Where an interface's ports can be bound now; an interface that only calls out needs none.
fn reach(ip: Ipv4Addr, listens: bool) -> Option<[SocketAddr; 3]> {
    let own = PORTS.map(|port| SocketAddr::new(IpAddr::V4(ip), port));
    if !listens {
        return Some(own);
    }
    match TcpListener::bind((ip, 0)) {
        Ok(_) => own
            .iter()
            .all(|a| TcpListener::bind(a).is_ok())
            .then_some(own),
        Err(_) => elsewhere(),
    }
}

/// Three free ports of 127.0.0.1, held together while they are chosen so that they differ.
fn elsewhere() -> Option<[SocketAddr; 3]> {
    let held: Vec<TcpListener> = (0..3)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok())
        .collect::<Option<_>>()?;
    let ports: Vec<SocketAddr> = held.iter().filter_map(|l| l.local_addr().ok()).collect();
    ports.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_run_out_and_come_back() {
        let mut vpc = Vpc::new("us-west-2");
        let subnet = vpc.in_order()[0].id.clone();
        assert_eq!(vpc.free(&subnet), USABLE);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..USABLE {
            let eni = vpc
                .attach(&subnet, "sg-1", String::new(), None, false)
                .expect("free");
            assert!(seen.insert(eni.ip), "{} was given twice", eni.ip);
        }
        let full = vpc.attach(&subnet, "sg-1", String::new(), None, false);
        assert_eq!(full.unwrap_err(), NoAddress::Full(subnet.clone()));
        let first = vpc.enis.keys().next().expect("one").clone();
        let ip = vpc.enis.remove(&first).expect("there").ip;
        let again = vpc
            .attach(&subnet, "sg-1", String::new(), None, false)
            .expect("freed");
        assert_eq!(again.ip, ip);
    }

    #[test]
    fn a_wanted_address_is_given_once_and_only_inside() {
        let mut vpc = Vpc::new("us-west-2");
        let subnet = vpc.in_order()[1].clone();
        let [a, b, c] = subnet.net;
        let ip = Ipv4Addr::new(a, b, c, 77);
        let mut ask = |ip| vpc.attach(&subnet.id, "sg-1", String::new(), Some(ip), true);
        assert_eq!(ask(ip).expect("free").ip, ip);
        assert_eq!(ask(ip).unwrap_err(), NoAddress::Unusable(ip));
        for bad in [
            Ipv4Addr::new(a, b, c, 3),
            Ipv4Addr::new(a, b, c, 255),
            Ipv4Addr::new(10, 0, 0, 9),
        ] {
            assert_eq!(ask(bad).unwrap_err(), NoAddress::Unusable(bad));
        }
    }

    #[test]
    fn an_address_that_another_process_holds_is_passed_over() {
        let mut vpc = Vpc::new("us-west-2");
        let subnet = vpc.in_order()[2].clone();
        let [a, b, c] = subnet.net;
        let other = TcpListener::bind((Ipv4Addr::new(a, b, c, 4), PORTS[1])).expect("loopback");
        let eni = vpc
            .attach(&subnet.id, "sg-1", String::new(), None, true)
            .expect("free");
        assert_eq!(eni.ip, Ipv4Addr::new(a, b, c, 5));
        drop(other);
    }

    #[test]
    fn ports_elsewhere_differ() {
        let [a, b, c] = elsewhere().expect("ports");
        assert!(a != b && b != c && a != c && a.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn a_group_without_a_rule_is_invalid() {
        let mut vpc = Vpc::new("us-west-2");
        let id = vpc.make_group("cloudhsm-cluster-x-sg".into(), String::new());
        assert!(vpc.group_is_valid(&id));
        vpc.groups.get_mut(&id).expect("made").egress.clear();
        assert!(!vpc.group_is_valid(&id));
        assert!(!vpc.group_is_valid("sg-none"));
        assert_eq!(vpc.groups_json()[0]["IpPermissions"][0]["FromPort"], 2223);
    }

    #[test]
    fn three_zones_in_order() {
        let vpc = Vpc::new("eu-central-1");
        let zones: Vec<String> = vpc.in_order().iter().map(|s| s.zone.clone()).collect();
        assert_eq!(zones, ["eu-central-1a", "eu-central-1b", "eu-central-1c"]);
        assert_eq!(vpc.subnets_json()[1]["AvailableIpAddressCount"], USABLE);
    }
}
