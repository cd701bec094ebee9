//! Keys. Who owns and shares them is asked of each HSM; what makes or changes them goes through the cluster, which
//! brings it to the HSMs.

use std::collections::BTreeMap;

use hsm_api::reply::AttrReply;
use hsm_api::{
    Attr, MechId, Mechanism, ObjectId, Params, Reply, Request, Template, UserInfo, Value,
};
use hsm_sim::attr;
use serde_json::{Value as Json, json};

use super::attributes;
use super::grammar::{Both, Filter, Key, Named, Pair, Role, Secret, Share, Symmetric};
use super::session::{Answer, Session, coverage, object, said};
use crate::hsms::{SESSION, unexpected};

const NOT_SHARED: &str = "session keys are not shared";

/// A key and which HSMs have it.
struct Found {
    id: ObjectId,
    owner: String,
    shared: Vec<String>,
    /// Numbers of servers; none for a key of this session.
    on: Vec<usize>,
    attributes: Vec<Attr>,
}

impl Found {
    fn reference(&self) -> u64 {
        hsm_sim::key_handle(self.id)
    }
}

/// One condition of a filter.
enum Test {
    Reference(u64),
    Is(Attr),
}

impl Test {
    fn parse(text: &str) -> Result<Test, String> {
        if let Some(number) = text.strip_prefix("key-reference=") {
            let digits = number.strip_prefix("0x").unwrap_or(number);
            return u64::from_str_radix(digits, 16)
                .map(Test::Reference)
                .map_err(|_| {
                    format!("{number}: a key reference is hexadecimal, as key list shows it")
                });
        }
        let pair = text
            .strip_prefix("attr.")
            .and_then(|pair| pair.split_once('='));
        let (name, value) = pair
            .ok_or_else(|| format!("{text}: a filter is key-reference=0x... or attr.NAME=VALUE"))?;
        attributes::parse(name, value).map(Test::Is)
    }

    fn fits(&self, key: &Found) -> bool {
        match self {
            Test::Reference(reference) => key.reference() == *reference,
            Test::Is(attr) => key.attributes.contains(attr),
        }
    }
}

impl Session {
    /// `key ...`.
    pub fn key(&mut self, command: Key) -> Answer {
        match command {
            Key::List {
                filter,
                max_items,
                starting_token,
                verbose,
            } => self.list(&filter, max_items, starting_token.as_deref(), verbose),
            Key::GenerateSymmetric {
                kind: Symmetric::Aes(key),
            } => self.generate(0x1080, 0x1F, &key),
            Key::GenerateSymmetric {
                kind: Symmetric::GenericSecret(key),
            } => self.generate(0x350, 0x10, &key),
            Key::GenerateAsymmetricPair { kind } => self.generate_pair(&kind),
            Key::Delete { filter } => self.delete(&filter),
            Key::SetAttribute {
                filter,
                name,
                value,
            } => self.set_attribute(&filter, &name, &value),
            Key::Share(share) => self.share(&share, true),
            Key::Unshare(share) => self.share(&share, false),
        }
    }

    /// The keys that the user may see, by reference.
    fn keys(&self) -> Result<Vec<Found>, String> {
        let login = self.logged_in()?;
        let mut all: BTreeMap<ObjectId, Found> = BTreeMap::new();
        for (n, server) in self.fleet.servers.iter().enumerate() {
            let users = server.users().map_err(said)?;
            let name = |id: u32| {
                let user = users.iter().find(|user| user.id == id);
                user.map_or_else(String::new, |user| user.name.clone())
            };
            let seen = users.iter().filter(|user| {
                user.role == hsm_api::Role::Cu
                    && (login.role == Role::Admin || user.name.eq_ignore_ascii_case(&login.name))
            });
            for user in seen {
                for key in server.keys(user.id).map_err(said)? {
                    let found = all.entry(key.id).or_insert_with(|| Found {
                        id: key.id,
                        owner: name(key.owner),
                        shared: key.shared.iter().map(|id| name(*id)).collect(),
                        on: Vec::new(),
                        attributes: Vec::new(),
                    });
                    if !found.on.contains(&n) {
                        found.on.push(n);
                    }
                    if found.attributes.is_empty() {
                        match server.attributes(key.id, attributes::all()) {
                            Ok(values) => found.attributes = there(values),
                            // Somebody destroyed it since it was listed.
                            Err(refused) if is_gone(&refused) => {
                                all.remove(&key.id);
                            }
                            Err(refused) => return Err(said(refused)),
                        }
                    }
                }
            }
        }
        for key in self.session_keys(&login.name)? {
            all.insert(key.id, key);
        }
        let mut all: Vec<Found> = all.into_values().collect();
        all.sort_by_key(Found::reference);
        Ok(all)
    }

    fn session_keys(&self, owner: &str) -> Result<Vec<Found>, String> {
        let Some(link) = self.open_link() else {
            return Ok(Vec::new());
        };
        let template = vec![yes(attr::TOKEN, false)];
        let found = link.call(SESSION, &Request::Find { template }, &mut []);
        let Reply::Objects(ids) = found.map_err(said)? else {
            return Err(said(unexpected()));
        };
        let mut keys = Vec::new();
        for id in ids {
            let types = attributes::all();
            let values = link.call(SESSION, &Request::Attributes { id, types }, &mut []);
            let Reply::Attributes(values) = values.map_err(said)? else {
                return Err(said(unexpected()));
            };
            keys.push(Found {
                id,
                owner: owner.to_owned(),
                shared: Vec::new(),
                on: Vec::new(),
                attributes: there(values),
            });
        }
        Ok(keys)
    }

    fn matching(&self, filter: &Filter) -> Result<Vec<Found>, String> {
        let tests = filter.filter.iter().map(|text| Test::parse(text));
        let tests = tests.collect::<Result<Vec<_>, _>>()?;
        let mut keys = self.keys()?;
        keys.retain(|key| tests.iter().all(|test| test.fits(key)));
        Ok(keys)
    }

    /// The one key that is meant.
    fn one(&self, filter: &Filter) -> Result<Found, String> {
        if filter.filter.is_empty() {
            return Err("say which key: --filter key-reference=0x... or attr.NAME=VALUE".into());
        }
        let mut keys = self.matching(filter)?;
        match keys.len() {
            1 => Ok(keys.remove(0)),
            0 => Err("no key matches the filter".into()),
            several => Err(format!(
                "{several} keys match the filter: it must fit one only"
            )),
        }
    }

    fn list(&self, filter: &Filter, most: usize, from: Option<&str>, verbose: bool) -> Answer {
        let from: usize = match from {
            None => 0,
            Some(token) => token
                .parse()
                .map_err(|_| format!("{token} is no next-token of key list"))?,
        };
        let keys = self.matching(filter)?;
        let page = keys.iter().skip(from).take(most);
        let shown: Vec<Json> = page.map(|key| self.shown(key, verbose)).collect();
        let next = from + shown.len();
        let mut answer = vec![
            ("total_key_count", json!(keys.len())),
            ("returned_key_count", json!(shown.len())),
            ("matched_keys", Json::Array(shown)),
        ];
        if next < keys.len() {
            answer.push(("next-token", json!(next.to_string())));
        }
        Ok(object(answer))
    }

    fn shown(&self, key: &Found, verbose: bool) -> Json {
        let of = self.fleet.servers.len();
        let coverage = if key.on.is_empty() {
            // A session key is on one HSM, and meant to be.
            "full"
        } else {
            coverage(key.on.len(), of)
        };
        let with = |name: &String| json!({ "username": name, "key-coverage": coverage });
        let all = key.attributes.iter().filter_map(attributes::shown);
        let all = object(all.filter(|(name, _)| verbose || *name == "label"));
        let mut members = vec![
            ("key-reference", json!(format!("{:#018x}", key.reference()))),
            ("attributes", all),
        ];
        if verbose {
            let info = json!({
                "key-owners": [with(&key.owner)],
                "shared-users": key.shared.iter().map(with).collect::<Vec<_>>(),
                "key-quorum-values": { "manage-key-quorum-value": 0, "use-key-quorum-value": 0 },
                "cluster-coverage": coverage,
            });
            members.push(("key-info", info));
        }
        object(members)
    }

    fn by_id(&self, id: ObjectId) -> Answer {
        let keys = self.keys()?;
        let key = keys.iter().find(|key| key.id == id);
        let key = key.ok_or("the key was made and is not listed: another user has deleted it?")?;
        Ok(self.shown(key, true))
    }

    fn ask_cluster(&mut self, request: &Request<'_>) -> Result<(), String> {
        let link = self.cluster()?;
        link.call(SESSION, request, &mut []).map(drop).map_err(said)
    }

    fn generate(&mut self, mech: u64, key_type: u64, key: &Secret) -> Answer {
        let id = ObjectId(rand::random());
        let mut template = defaults(&key.label, key.session);
        template.push(number(attr::KEY_TYPE, key_type));
        template.push(number(attr::VALUE_LEN, key.key_length_bytes));
        template.extend([yes(attr::EXTRACTABLE, true), yes(attr::VERIFY, true)]);
        attributes::override_with(&mut template, &key.attributes)?;
        self.may_share(key.session, &key.share_crypto_users)?;
        self.ask_cluster(&Request::GenerateKey {
            mech: plain(mech),
            id,
            template,
        })?;
        self.share_with(id, &key.share_crypto_users)?;
        Ok(json!({ "key": self.by_id(id)? }))
    }

    fn generate_pair(&mut self, pair: &Pair) -> Answer {
        let (mech, both, domain) = match pair {
            Pair::Rsa {
                both,
                modulus_size_bits,
                public_exponent,
            } => {
                let bytes = public_exponent.to_be_bytes();
                let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                let exponent = Attr {
                    ty: attr::PUBLIC_EXPONENT,
                    value: Value::Bytes(bytes[zeros..].to_vec()),
                };
                let bits = number(attr::MODULUS_BITS, *modulus_size_bits);
                (0x0, both, vec![bits, exponent])
            }
            Pair::Ec { both, curve } => (0x1040, both, vec![attributes::curve(*curve)]),
        };
        let (public, private) = (ObjectId(rand::random()), ObjectId(rand::random()));
        let (public_template, private_template) = halves(both, domain)?;
        self.may_share(both.session, &both.share_crypto_users)?;
        self.ask_cluster(&Request::GenerateKeyPair {
            mech: plain(mech),
            public,
            public_template,
            private,
            private_template,
        })?;
        self.share_with(private, &both.share_crypto_users)?;
        Ok(json!({ "public_key": self.by_id(public)?, "private_key": self.by_id(private)? }))
    }

    fn delete(&mut self, filter: &Filter) -> Answer {
        let id = self.one(filter)?.id;
        self.ask_cluster(&Request::Destroy { id })?;
        Ok(json!({ "message": "Key deleted successfully" }))
    }

    fn set_attribute(&mut self, filter: &Filter, name: &str, value: &str) -> Answer {
        let template = vec![attributes::parse(name, value)?];
        let id = self.one(filter)?.id;
        self.ask_cluster(&Request::SetAttributes { id, template })?;
        Ok(json!({ "message": "Attribute set successfully" }))
    }

    fn share(&mut self, share: &Share, on: bool) -> Answer {
        let Named { username, role } = &share.with;
        if *role != Role::CryptoUser {
            return Err("keys are shared with crypto users: --role crypto-user".into());
        }
        let key = self.one(&share.filter)?;
        self.share_one(&key, username, on)?;
        let done = if on { "shared" } else { "unshared" };
        Ok(json!({ "message": format!("Key {done} successfully") }))
    }

    /// Whether a new key can be shared with these, before there is one.
    fn may_share(&self, session: bool, users: &[String]) -> Result<(), String> {
        if session && !users.is_empty() {
            return Err(NOT_SHARED.into());
        }
        for server in &self.fleet.servers {
            let there = server.users().map_err(said)?;
            users
                .iter()
                .try_for_each(|user| number_of(&there, user).map(drop))?;
        }
        Ok(())
    }

    fn share_with(&self, id: ObjectId, users: &[String]) -> Result<(), String> {
        if users.is_empty() {
            return Ok(());
        }
        let keys = self.keys()?;
        let key = keys.iter().find(|key| key.id == id);
        let key = key.ok_or("the new key is not listed")?;
        users
            .iter()
            .try_for_each(|user| self.share_one(key, user, true))
    }

    /// On each HSM that has the key. Users have numbers of their own on each.
    fn share_one(&self, key: &Found, with: &str, on: bool) -> Result<(), String> {
        if key.on.is_empty() {
            return Err(NOT_SHARED.into());
        }
        for n in &key.on {
            let server = &self.fleet.servers[*n];
            let users = server.users().map_err(said)?;
            let user = number_of(&users, with)?;
            let (key, share) = (key.id, on);
            let asked = server.ask(&Request::Share { key, user, share });
            asked.map_err(said)?;
        }
        Ok(())
    }
}

/// A crypto user's number on one HSM.
fn number_of(users: &[UserInfo], name: &str) -> Result<u32, String> {
    let named =
        |user: &&UserInfo| user.role == hsm_api::Role::Cu && user.name.eq_ignore_ascii_case(name);
    let user = users.iter().find(named);
    user.map(|user| user.id)
        .ok_or_else(|| format!("there is no crypto user {name}"))
}

fn is_gone(refused: &hsm_api::Error) -> bool {
    refused.rv == hsm_api::Rv::OBJECT_HANDLE_INVALID
}

/// Attributes that the key has and shows.
fn there(values: Vec<AttrReply>) -> Vec<Attr> {
    let is = |value| match value {
        AttrReply::Is(attr) => Some(attr),
        AttrReply::Withheld(..) => None,
    };
    values.into_iter().filter_map(is).collect()
}

fn plain(id: u64) -> Mechanism<'static> {
    Mechanism {
        id: MechId(id),
        params: Params::None,
    }
}

fn yes(ty: hsm_api::AttrType, is: bool) -> Attr {
    let value = Value::Bool(is);
    Attr { ty, value }
}

fn number(ty: hsm_api::AttrType, is: u64) -> Attr {
    let value = Value::Ulong(is);
    Attr { ty, value }
}

/// What the tool asks for where nobody says otherwise: a key signs, and does nothing else.
fn defaults(label: &str, session: bool) -> Template {
    let label = Attr {
        ty: attr::LABEL,
        value: Value::Bytes(label.as_bytes().to_vec()),
    };
    let mut template = vec![label, yes(attr::TOKEN, !session), yes(attr::SIGN, true)];
    let not = [
        attr::ENCRYPT,
        attr::DECRYPT,
        attr::WRAP,
        attr::UNWRAP,
        attr::DERIVE,
    ];
    template.extend(not.map(|ty| yes(ty, false)));
    template
}

/// The two templates of a pair: each half has the uses of its side.
fn halves(both: &Both, domain: Template) -> Result<(Template, Template), String> {
    let mut public = defaults(&both.public_label, both.session);
    public.retain(|a| ![attr::SIGN, attr::DECRYPT, attr::UNWRAP].contains(&a.ty));
    public.push(yes(attr::VERIFY, true));
    public.extend(domain);
    attributes::override_with(&mut public, &both.public_attributes)?;
    let mut private = defaults(&both.private_label, both.session);
    private.retain(|a| ![attr::ENCRYPT, attr::WRAP].contains(&a.ty));
    private.push(yes(attr::EXTRACTABLE, true));
    attributes::override_with(&mut private, &both.private_attributes)?;
    Ok((public, private))
}
