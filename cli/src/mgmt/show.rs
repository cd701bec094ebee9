//! What cloudhsm_mgmt_util prints, in its own shapes, so that scripts that read it go on to work.

use std::fmt::Write as _;

use hsm_api::reply::{AttrReply, KeyInfo, NodeInfo};
use hsm_api::{AttrType, Role, UserInfo, Value};

use crate::hsms::Server;

/// Shown before a command that changes users.
pub const CAUTION: &str = "\
*************************CAUTION********************************
This is a CRITICAL operation, should be done on all nodes in the
cluster. AWS does NOT synchronize these changes automatically with the
nodes on which this operation is not executed or failed, please
ensure this operation is executed on all nodes in the cluster.
****************************************************************

";

/// The commands.
pub const HELP: &str = "\
loginHSM <CO|CU|PRECO> <user> <password | -hpswd>    log in to every HSM
logoutHSM                                            log out
createUser <CO|CU> <user> <password | -hpswd>        CO: create a user on every HSM
changePswd <type> <user> <password | -hpswd>         CO: anyone's; others: their own. PRECO admin: activates
deleteUser <type> <user>                             CO: delete a user
listUsers                                            users of every HSM
getHSMInfo                                           each HSM's hardware and state
info server <n>                                      one HSM's connection and login
findAllKeys <user id> <0|1> [file]                   handles of a user's keys, with hashes for 1
getKeyInfo <handle>                                  owner and sharing of a key
shareKey <handle> <user id> <1|0>                    CU: share a key, or stop to
getAttribute <handle> <attribute | 512> [file]       a key's attribute; 512: all of them
listAttributes                                       the attributes' numbers
server <n> / exit                                    enter, leave one HSM
quit                                                 leave
";

/// How a command is used, for a line that fits none.
pub fn usage(command: &str) -> String {
    let mut lines = HELP
        .lines()
        .filter(|line| line.split([' ', '/']).next() == Some(command))
        .peekable();
    match lines.peek() {
        Some(_) => format!("usage: {}", lines.collect::<Vec<_>>().join("\n       ")),
        None => format!("unknown command {command}; help shows the commands (case matters)"),
    }
}

fn role(role: Role, first_officer: bool) -> &'static str {
    match role {
        Role::PreCo => "PRECO",
        Role::Co if first_officer => "PCO",
        Role::Co => "CO",
        Role::Cu => "CU",
        Role::Au => "AU",
    }
}

/// listUsers of one server.
pub fn users(n: usize, host: &str, users: &[UserInfo]) -> String {
    let mut text = format!(
        "Users on server {n}({host}):\nNumber of users found:{}\n\n",
        users.len()
    );
    let _ = writeln!(
        text,
        "    {:<13}{:<15}{:<32}{:<18}{:<19}{:<10}",
        "User Id", "User Type", "User Name", "MofnPubKey", "LoginFailureCnt", "2FA"
    );
    for user in users {
        let kind = role(user.role, user.id == 1);
        let yes = |b| if b { "YES" } else { "NO" };
        let _ = writeln!(
            text,
            "    {:<13}{:<15}{:<32}{:<18}{:<19}{:<10}",
            user.id,
            kind,
            user.name,
            yes(user.quorum_key),
            user.failures,
            yes(user.second_factor)
        );
    }
    text
}

/// getHSMInfo of one server.
pub fn hsm_info(n: usize, info: &NodeInfo) -> String {
    format!(
        "*** Server {n} HSM Info ***\n\n\tLabel                :cavium\n\tModel                :{}\n\n\
         \tSerial Number        :{}\n\tHSM Id               :{}\n\tInitialized          :{}\n\
         \tActivated            :{}\n\tFIPS state           :{}\n\tObjects              :{}\n\n",
        "Keystead simulated HSM",
        info.serial,
        info.hsm_id,
        info.installed,
        info.activated,
        if info.fips {
            "2 [FIPS mode with single factor authentication]"
        } else {
            "0 [non-FIPS mode]"
        },
        info.objects
    )
}

/// `info server <n>`.
pub fn server_info(n: usize, server: &Server, info: &NodeInfo) -> String {
    let login = match &server.login {
        Some((kind, name)) => format!("Logged in as '{name}({})'", role(*kind, false)),
        None => "Not logged in".into(),
    };
    format!(
        "{:<6}{:<20}{:<20}{:<8}{:<14}{:<20}LoginState\n{:<6}{:<20}{:<20}{:<8}{:<14}{:<20}{login}\n",
        "Id",
        "Name",
        "Hostname",
        "Port",
        "State",
        "Partition",
        n,
        server.host,
        server.host,
        server.port,
        "Connected",
        info.hsm_id
    )
}

/// findAllKeys of one server; `(o)` marks a key of the user's own, `(s)` one shared with them.
pub fn keys(n: usize, host: &str, user: u32, keys: &[KeyInfo], hashes: bool) -> String {
    let list: Vec<String> = keys
        .iter()
        .map(|key| {
            format!(
                "{}({})",
                key.handle,
                if key.owner == user { 'o' } else { 's' }
            )
        })
        .collect();
    let mut text = format!(
        "Keys on server {n}({host}):\nNumber of keys found {}\nnumber of keys matched from start index 0::{}\n{}\n",
        keys.len(),
        keys.len(),
        list.join(",")
    );
    if hashes {
        for key in keys {
            let _ = writeln!(text, "Key Hash: {} {}", key.handle, hex(&key.hash));
        }
    }
    let _ = writeln!(text, "findAllKeys success on server {n}({host})");
    text
}

/// getKeyInfo of one server.
pub fn key_info(n: usize, host: &str, key: &KeyInfo) -> String {
    let shared: Vec<String> = key.shared.iter().map(u32::to_string).collect();
    format!(
        "Key Info on server {n}({host}):\n\n\tHandle {}\n\tOwned by user id {}\n\talso, shared to following {} user(s):\n\t\t{}\n",
        key.handle,
        key.owner,
        shared.len(),
        shared.join(", ")
    )
}

/// One of the tool's attributes: its number, its name and the PKCS#11 attribute behind it.
pub struct Row {
    /// The tool's number.
    pub number: u64,
    /// The tool's name.
    pub name: &'static str,
    /// PKCS#11's attribute.
    pub ty: AttrType,
}

macro_rules! rows { ($($number:literal $name:literal $cka:literal),* $(,)?) => {
    const ROWS: &[Row] = &[$(Row { number: $number, name: $name, ty: AttrType($cka) }),*];
} }

rows! {
    0 "OBJ_ATTR_CLASS" 0x0, 1 "OBJ_ATTR_TOKEN" 0x1, 2 "OBJ_ATTR_PRIVATE" 0x2, 3 "OBJ_ATTR_LABEL" 0x3,
    134 "OBJ_ATTR_TRUSTED" 0x86, 256 "OBJ_ATTR_KEY_TYPE" 0x100, 258 "OBJ_ATTR_ID" 0x102,
    259 "OBJ_ATTR_SENSITIVE" 0x103, 260 "OBJ_ATTR_ENCRYPT" 0x104, 261 "OBJ_ATTR_DECRYPT" 0x105,
    262 "OBJ_ATTR_WRAP" 0x106, 263 "OBJ_ATTR_UNWRAP" 0x107, 264 "OBJ_ATTR_SIGN" 0x108,
    266 "OBJ_ATTR_VERIFY" 0x10A, 268 "OBJ_ATTR_DERIVE" 0x10C, 288 "OBJ_ATTR_MODULUS" 0x120,
    289 "OBJ_ATTR_MODULUS_BITS" 0x121, 290 "OBJ_ATTR_PUBLIC_EXPONENT" 0x122,
    353 "OBJ_ATTR_VALUE_LEN" 0x161, 354 "OBJ_ATTR_EXTRACTABLE" 0x162, 355 "OBJ_ATTR_LOCAL" 0x163,
    356 "OBJ_ATTR_NEVER_EXTRACTABLE" 0x164, 357 "OBJ_ATTR_ALWAYS_SENSITIVE" 0x165,
    370 "OBJ_ATTR_DESTROYABLE" 0x172, 371 "OBJ_ATTR_KCV" 0x90, 528 "OBJ_ATTR_WRAP_WITH_TRUSTED" 0x210,
}

/// The number that stands for all attributes.
const ALL: u64 = 512;

/// listAttributes.
pub fn attributes() -> String {
    let mut text =
        String::from("Following are the possible attribute values for getAttribute:\n\n");
    for row in ROWS {
        let _ = writeln!(text, "  {:<28} = {}", row.name, row.number);
    }
    let _ = writeln!(text, "  {:<28} = {ALL}", "OBJ_ATTR_ALL");
    text
}

/// The attribute of a number, or all for 512.
pub fn attributes_numbered(number: &str) -> Option<Vec<&'static Row>> {
    let number: u64 = number.parse().ok()?;
    let rows: Vec<_> = ROWS
        .iter()
        .filter(|row| number == ALL || row.number == number)
        .collect();
    (!rows.is_empty()).then_some(rows)
}

/// getAttribute of one server. Of all attributes, those that the key has not are left out.
pub fn attribute_values(n: usize, host: &str, rows: &[&Row], values: &[AttrReply]) -> String {
    let mut text = format!("Attribute Value on server {n}({host}):\n");
    for (row, value) in rows.iter().zip(values) {
        match value {
            AttrReply::Is(attr) => {
                let _ = writeln!(text, "{}\n{}\n", row.name, shown(&attr.value));
            }
            AttrReply::Withheld(_, why) if rows.len() == 1 => {
                let _ = writeln!(text, "{}\n({})\n", row.name, why.name());
            }
            AttrReply::Withheld(..) => {}
        }
    }
    text
}

fn shown(value: &Value) -> String {
    match value {
        Value::Bool(b) => format!("0x{:08x}", u32::from(*b)),
        Value::Ulong(n) => format!("0x{n:08x}"),
        Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.is_empty() && !text.chars().any(char::is_control) => text.into(),
            _ => hex(bytes),
        },
        Value::Template(_) | Value::Mechs(_) => "(template)".into(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_of_the_wrong_shape_is_answered_with_its_usage() {
        assert!(usage("createUser").starts_with("usage: createUser <CO|CU>"));
        assert!(usage("createuser").starts_with("unknown command createuser"));
    }

    #[test]
    fn every_number_names_one_attribute_and_512_all() {
        assert_eq!(
            attributes_numbered("3").map(|rows| rows[0].name),
            Some("OBJ_ATTR_LABEL")
        );
        assert_eq!(
            attributes_numbered("512").map(|rows| rows.len()),
            Some(ROWS.len())
        );
        assert!(attributes_numbered("9999").is_none() && attributes_numbered("x").is_none());
    }
}
