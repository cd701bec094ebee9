//! `keystead token check`: the stores of our embedded tokens, looked at from outside, and every object of a token, looked at as
//! an application sees it. What an application does not see although it is stored is what a damaged record costs.

use std::io::IsTerminal;

use clap::Args;
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::Session;
use hsm_crypto::Ed448Key;
use hsm_sim::store::inspect::{Report, inspect};
use serde_json::{Value, json};

use super::export;
use super::object::{Object, attributes, objects};
use super::place::{directories, nothing};
use super::reach::{Found, Module, Which, said, words};
use super::secret::{PIN, present};
use super::{Answer, Failure, Place, Result, failed};

/// The options.
#[derive(Args)]
pub struct Check {
    #[command(flatten)]
    which: Which,
    /// The stores only, without opening a token
    #[arg(long)]
    stores_only: bool,
}

/// What is wrong, by where.
#[derive(Default)]
struct Findings {
    all: Vec<(String, String)>,
    looked_at: Vec<String>,
}

impl Findings {
    fn add(&mut self, place: &str, what: impl Into<String>) {
        self.all.push((place.to_owned(), what.into()));
    }
}

pub(super) fn run(place: &Place, args: &Check) -> Result<Answer> {
    let mut findings = Findings::default();
    let mut stores = Vec::new();
    if place.module.is_none() {
        for directory in directories(place)? {
            check_directory(&directory, &mut findings, &mut stores)?;
        }
    }
    // Nothing that was looked at is nothing that could be found sound.
    let none = findings.all.is_empty() && stores.iter().all(|store| store.label.is_none());
    if none && args.stores_only {
        let why = nothing(place)?;
        return failed(why.unwrap_or_else(|| "there is no store of an initialised token".into()));
    }
    let mut seen = Value::Null;
    let named = args.which.token.is_some() || args.which.serial.is_some();
    let single = stores
        .iter()
        .filter(|report: &&Report| report.label.is_some())
        .count()
        == 1;
    // Who asked for no token, and cannot be asked for a PIN, wants to know of the stores at least.
    let pin = present(args.which.pin.as_ref()).is_some() || std::io::stdin().is_terminal();
    if !args.stores_only && (named || single && pin || none || place.module.is_some()) {
        let module = Module::load(place)?;
        let token = module.token(&args.which)?;
        let pin = PIN.given_or_asked(args.which.pin.as_ref())?;
        let session = module.user(&token, &pin)?;
        seen = check_token(&session, &token, &stores, &mut findings)?;
    } else if !args.stores_only && !stores.is_empty() {
        let missing = match single {
            true => "give --pin or set KEYSTEAD_PIN",
            false => "name a token with --token",
        };
        eprintln!("keystead: looked at the stores only; {missing} to have its objects checked");
    }
    let well = findings.all.is_empty();
    let list = |(at, what): &(String, String)| json!({ "where": at, "what": what });
    let json = json!({
        "sound": well,
        "checked": findings.looked_at,
        "objects": seen,
        "findings": findings.all.iter().map(list).collect::<Vec<_>>(),
    });
    let mut text = findings.looked_at.join("\n");
    for (at, what) in &findings.all {
        text += &format!("\n{at}: {what}");
    }
    text += if well { "\nsound" } else { "\nnot sound" };
    Ok(Answer { json, text, well })
}

fn check_directory(
    directory: &std::path::Path,
    findings: &mut Findings,
    stores: &mut Vec<Report>,
) -> Result<()> {
    let tokens = hsm_sim::tokens(directory).map_err(|error| Failure::Failed(error.to_string()))?;
    for token in &tokens {
        let at = token.path.display().to_string();
        // A directory made for a first token by a process that went no further is as good as none.
        if matches!(token.path.join("token.db").try_exists(), Ok(false)) {
            findings.looked_at.push(format!("{at}: empty"));
            continue;
        }
        match inspect(&token.path) {
            Ok(report) => {
                findings.looked_at.push(format!(
                    "{at}: {}, {} objects ({} of them private), {} destroyed",
                    report.label.as_deref().unwrap_or("uninitialised"),
                    report.public + report.private,
                    report.private,
                    report.tombstones
                ));
                for fault in &report.faults {
                    findings.add(&at, fault.as_str());
                }
                for file in &report.leftovers {
                    findings.add(
                        &at,
                        format!("{} belongs to no store: it may be deleted", file.display()),
                    );
                }
                stores.push(report);
            }
            Err(error) => findings.add(&at, error.to_string()),
        }
    }
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".deleted") {
            findings.add(
                &directory.display().to_string(),
                format!("{name} is left of a token that was being deleted: it may be removed"),
            );
        }
    }
    Ok(())
}

fn check_token(
    session: &Session,
    token: &Found,
    stores: &[Report],
    findings: &mut Findings,
) -> Result<Value> {
    let at = format!("token {}", token.info.label());
    let all = objects(session, &[Attribute::Token(true)])?;
    if let Some(store) = stores
        .iter()
        .find(|store| store.serial.as_deref() == Some(token.info.serial_number()))
    {
        let stored = store.public + store.private;
        let seen = all.len() as u64;
        if seen < stored {
            findings.add(
                &at,
                format!("{} of {stored} stored objects do not open: their records are damaged, or were sealed under another token's key", stored - seen),
            );
        }
    }
    for object in &all {
        if let Err(Failure::Failed(why) | Failure::Usage(why)) = check_object(session, object, &all)
        {
            findings.add(&at, format!("{}: {why}", object.name()));
        }
    }
    findings
        .looked_at
        .push(format!("{at}: {} objects opened", all.len()));
    Ok(all.iter().map(Object::json).collect())
}

fn check_object(session: &Session, object: &Object, all: &[Object]) -> Result<()> {
    let wrong = |why: &str| Err(Failure::Failed(why.to_owned()));
    for template in searches(session, object)? {
        let found = session.find_objects(&template).map_err(said)?;
        if !found.contains(&object.handle) {
            return wrong(
                "a search by its own label, id or unique id does not find it: the index disagrees with the object",
            );
        }
    }
    match object.class {
        Some(ObjectClass::CERTIFICATE) => {
            let value = attributes(session, object.handle, &[AttributeType::Value])?;
            match &value[..] {
                [Attribute::Value(der)] if x509_parser::parse_x509_certificate(der).is_ok() => {
                    Ok(())
                }
                // A certificate elsewhere (CKA_URL) has no value.
                [Attribute::Value(der)] if der.is_empty() => Ok(()),
                _ => wrong("its value is no certificate"),
            }
        }
        Some(ObjectClass::PUBLIC_KEY) => match export::public(session, object)? {
            // A kind that no file here can hold is no damage.
            Ok(_) | Err(hsm_crypto::Error::Unsupported) => Ok(()),
            Err(error) => Err(export::broken(object, error)),
        },
        Some(ObjectClass::PRIVATE_KEY) => {
            let is_other_half = |other: &&Object| {
                other.class == Some(ObjectClass::PUBLIC_KEY)
                    && other.id == object.id
                    && other.kind == object.kind
            };
            let asks_each_time =
                attributes(session, object.handle, &[AttributeType::AlwaysAuthenticate])?
                    .contains(&Attribute::AlwaysAuthenticate(true));
            match all.iter().find(is_other_half) {
                Some(public) if !object.id.is_empty() && !asks_each_time => {
                    pair(session, object, public)
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn searches(session: &Session, object: &Object) -> Result<Vec<Vec<Attribute>>> {
    let own = [
        AttributeType::Class,
        AttributeType::Label,
        AttributeType::Id,
        AttributeType::UniqueId,
    ];
    let own = attributes(session, object.handle, &own)?;
    Ok(own.into_iter().map(|attribute| vec![attribute]).collect())
}

/// What the private half signs, the public half must verify.
fn pair(session: &Session, private: &Object, public: &Object) -> Result<()> {
    let signs = private.flag(AttributeType::Sign) == Some(true)
        && public.flag(AttributeType::Verify) == Some(true);
    let mechanism = match private.key_type() {
        Some(KeyType::RSA) => Mechanism::Sha256RsaPkcs,
        Some(KeyType::EC) => Mechanism::Ecdsa,
        Some(KeyType::EC_EDWARDS) => {
            let ed448 = |a: &Attribute| matches!(a, Attribute::EcParams(params) if Ed448Key::is_params(params));
            Mechanism::Eddsa(EddsaParams::new(match private.shown.iter().any(ed448) {
                true => EddsaSignatureScheme::Ed448(&[]),
                false => EddsaSignatureScheme::Ed25519,
            }))
        }
        _ => return Ok(()),
    };
    if !signs {
        return Ok(());
    }
    let digest = [0x5A; 32];
    let signature = match session.sign(&mechanism, private.handle, &digest) {
        Ok(signature) => signature,
        // What the key is not allowed to do says nothing about whether it is sound.
        Err(cryptoki::error::Error::Pkcs11(code, _)) if not_allowed(code) => return Ok(()),
        Err(error) => {
            return Err(Failure::Failed(format!(
                "it does not sign: {}",
                words(&error)
            )));
        }
    };
    match session.verify(&mechanism, public.handle, &digest, &signature) {
        Ok(()) => Ok(()),
        Err(error) => Err(Failure::Failed(format!(
            "the public key with the same id does not verify what it signs ({}): they are no pair",
            words(&error)
        ))),
    }
}

fn not_allowed(code: cryptoki::error::RvError) -> bool {
    use cryptoki::error::RvError as Rv;
    matches!(
        code,
        Rv::KeyFunctionNotPermitted
            | Rv::MechanismInvalid
            | Rv::MechanismParamInvalid
            | Rv::KeySizeRange
    )
}
