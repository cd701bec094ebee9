//! `keystead token import`: everything that a file holds, or nothing of it.

use std::path::PathBuf;

use clap::Args;
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::Session;
use hsm_crypto::PublicKey;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::carry;
use super::describe;
use super::object::{self, Id, derived_id};
use super::reach::{Module, Which, said};
use super::read::{self, Item, Raw, What};
use super::secret::{PASSPHRASE, Secret};
use super::template::{self, Secrecy, Template};
use super::{Answer, Failure, Place, Result, failed, usage};

/// The options.
#[derive(Args)]
pub struct Import {
    #[command(flatten)]
    which: Which,
    /// The objects' label [default: the name in a PKCS#12 file, else the file's]
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// The objects' id, in hexadecimal [default: the SHA-1 of the public key]
    #[arg(long, value_name = "HEX", value_parser = object::id)]
    id: Option<Id>,
    /// The file is the bare value of a secret key
    #[arg(long, value_enum, value_name = "KIND")]
    raw: Option<Raw>,
    /// Passphrase of an encrypted PKCS#8 or PKCS#12 file
    #[arg(
        long,
        value_name = "TEXT",
        env = "KEYSTEAD_PASSPHRASE",
        hide_env_values = true
    )]
    passphrase: Option<Secret>,
    /// Keys may leave the token wrapped
    #[arg(long)]
    extractable: bool,
    /// Keys are not hidden from their user; with --extractable they can be exported
    #[arg(long)]
    not_sensitive: bool,
    /// Leave objects alone that the token has already
    #[arg(long)]
    if_not_exists: bool,
    /// The file
    file: PathBuf,
}

/// An object about to be made.
struct New {
    template: Template,
    label: String,
    id: Vec<u8>,
    /// An authority's certificate beside the key: other keys may have brought it.
    shared: bool,
}

pub(super) fn run(place: &Place, args: &Import) -> Result<Answer> {
    let bytes = std::fs::read(&args.file).map(Zeroizing::new);
    let bytes =
        bytes.map_err(|error| Failure::Usage(format!("{}: {error}", args.file.display())))?;
    let mut ask = || PASSPHRASE.given_or_asked(args.passphrase.as_ref());
    let items = read::file(&bytes, args.raw, &mut ask).map_err(|failure| about(args, failure))?;
    let new = plan(args, &items).map_err(|failure| about(args, failure))?;
    let module = Module::load(place)?;
    let (_, session) = module.user_of(&args.which)?;
    let mut wanted = Vec::new();
    for new in new {
        match there(&session, &new)? {
            false => wanted.push(new),
            true if args.if_not_exists || new.shared => {}
            true => {
                return failed(format!(
                    "the token has such an object already: {}; choose another --label or --id, or say --if-not-exists",
                    phrase(&new)
                ));
            }
        }
    }
    let made = make(&session, &wanted)?;
    let made = made
        .iter()
        .map(|handle| Ok(object::Object::read(&session, *handle)?.json()))
        .collect::<Result<Vec<Value>>>()?;
    let text = match wanted.is_empty() {
        true => "everything is there already".to_owned(),
        false => format!(
            "imported {}",
            wanted.iter().map(phrase).collect::<Vec<_>>().join(", ")
        ),
    };
    Ok(Answer::new(text, json!({ "imported": made })))
}

fn about(args: &Import, failure: Failure) -> Failure {
    let file = args.file.display();
    match failure {
        Failure::Usage(why) => Failure::Usage(format!("{file}: {why}")),
        Failure::Failed(why) => Failure::Failed(format!("{file}: {why}")),
    }
}

fn phrase(new: &New) -> String {
    let (class, kind, ..) = carry::identity(&new.template.0);
    describe::name(class, kind, &new.label, &new.id)
}

fn there(session: &Session, new: &New) -> Result<bool> {
    let same = |a: &&Attribute| {
        matches!(
            a,
            Attribute::Class(_) | Attribute::Label(_) | Attribute::Id(_)
        )
    };
    let template: Vec<Attribute> = new.template.0.iter().filter(same).cloned().collect();
    Ok(!session.find_objects(&template).map_err(said)?.is_empty())
}

/// All or nothing: what was made before a refusal goes away again.
fn make(session: &Session, wanted: &[New]) -> Result<Vec<ObjectHandle>> {
    let mut made = Vec::new();
    for new in wanted {
        match object::create(session, &new.template.0) {
            Ok(handle) => made.push(handle),
            Err(Failure::Failed(why) | Failure::Usage(why)) => {
                let left = made
                    .iter()
                    .filter(|handle| session.destroy_object(**handle).is_err())
                    .count();
                let rest = if left == 0 {
                    String::new()
                } else {
                    format!("; {left} objects made before it are left")
                };
                return failed(format!(
                    "the token does not take the {}: {why}{rest}",
                    phrase(new)
                ));
            }
        }
    }
    Ok(made)
}

/// What objects the file becomes. The label and the id that the caller gave go to the key and what belongs to it; without a
/// key to the first thing. Certificates of authorities beside it keep names of their own.
fn plan(args: &Import, items: &[Item]) -> Result<Vec<New>> {
    let secrecy = Secrecy {
        sensitive: !args.not_sensitive,
        extractable: args.extractable,
    };
    let keys = items
        .iter()
        .filter(|item| !matches!(item.what, What::Certificate(_)))
        .count();
    if keys > 1 && (args.id.is_some() || args.label.is_some()) {
        return usage("the file holds several keys: leave out --label and --id, or split it");
    }
    let main = main_bits(items)?;
    let mut new = Vec::new();
    let mut first = true;
    for item in items {
        let bits = bits(&item.what)?;
        let chosen = match (&main, &bits) {
            (Some(main), Some(bits)) => main == bits,
            _ => first,
        };
        first = false;
        let label = match (&args.label, &item.name) {
            (Some(label), _) if chosen => label.clone(),
            (_, Some(name)) => name.clone(),
            _ => default_label(args, &item.what, chosen),
        };
        let id = match (&args.id, &bits) {
            (Some(id), _) if chosen => id.0.clone(),
            (_, Some(bits)) => derived_id(bits),
            // Not of the value: an id is seen by everybody.
            _ => derived_id(label.as_bytes()),
        };
        let templates = match &item.what {
            What::Private(key) => vec![
                template::private(key, &label, &id, secrecy)?,
                template::public(&template::half(key)?, &label, &id)?,
            ],
            What::Public(key) => vec![template::public(key, &label, &id)?],
            What::Secret(raw, key) => vec![template::secret(*raw, key, &label, &id, secrecy)],
            What::Certificate(der) => vec![template::certificate(der, &parsed(der)?, &label, &id)?],
        };
        new.extend(templates.into_iter().map(|template| New {
            template,
            label: label.clone(),
            id: id.clone(),
            shared: !chosen && matches!(item.what, What::Certificate(_)),
        }));
    }
    Ok(new)
}

/// The public bits of the file's key, else of its first certificate.
fn main_bits(items: &[Item]) -> Result<Option<Vec<u8>>> {
    let key = items
        .iter()
        .find(|item| !matches!(item.what, What::Certificate(_)));
    key.or(items.first())
        .map_or(Ok(None), |item| bits(&item.what))
}

fn bits(what: &What) -> Result<Option<Vec<u8>>> {
    let of = |key: &PublicKey| template::key_bits(key).map(Some);
    match what {
        What::Private(key) => of(&template::half(key)?),
        What::Public(key) => of(key),
        What::Secret(..) => Ok(None),
        What::Certificate(der) => Ok(Some(
            parsed(der)?.public_key().subject_public_key.data.to_vec(),
        )),
    }
}

fn parsed(der: &[u8]) -> Result<x509_parser::certificate::X509Certificate<'_>> {
    match x509_parser::parse_x509_certificate(der) {
        Ok((_, parsed)) => Ok(parsed),
        Err(error) => usage(format!("the certificate is malformed: {error}")),
    }
}

fn default_label(args: &Import, what: &What, chosen: bool) -> String {
    if let (What::Certificate(der), false) = (what, chosen)
        && let Ok(certificate) = parsed(der)
        && let Some(Ok(name)) = certificate
            .subject()
            .iter_common_name()
            .next()
            .map(|name| name.as_str().map(str::to_owned))
    {
        return name;
    }
    args.file
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_brings_its_public_half_under_one_id() {
        let key = hsm_crypto::EdKey::generate().unwrap();
        let items = [Item::from(What::Private(hsm_crypto::PrivateKey::Ed(key)))];
        let args = Import {
            which: Which {
                token: None,
                serial: None,
                pin: None,
            },
            label: None,
            id: None,
            raw: None,
            passphrase: None,
            extractable: false,
            not_sensitive: false,
            if_not_exists: false,
            file: "/x/name.pem".into(),
        };
        let new = plan(&args, &items).unwrap_or_default();
        assert_eq!(new.len(), 2);
        assert_eq!((new[0].label.as_str(), &new[0].id), ("name", &new[1].id));
        assert_eq!(new[0].id.len(), 20);
        assert!(new[0].template.0.contains(&Attribute::Extractable(false)));
    }
}
