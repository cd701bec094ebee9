//! The client's end: from a key and a message to the headers that prove it.

use super::Message;
use aws_json::SecretString;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use zeroize::Zeroizing;

pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
pub(super) const TERMINATOR: &str = "aws4_request";
pub(super) const STAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

/// An access key with its secret.
#[derive(Debug, Clone)]
pub struct Key {
    /// The part that travels.
    pub id: String,
    /// The part that does not.
    pub secret: SecretString,
    /// Travels with temporary keys.
    pub token: Option<SecretString>,
}

impl Key {
    /// A lasting key.
    pub fn new(id: &str, secret: &str) -> Self {
        Self {
            id: id.to_owned(),
            secret: SecretString::new(secret.to_owned()),
            token: None,
        }
    }
}

/// The headers to add to a message so that it counts as signed: `x-amz-date`, `authorization`
/// and, for temporary keys, `x-amz-security-token`. All headers of the message are signed; it
/// must have `host`.
pub fn sign(
    message: &Message<'_>,
    key: &Key,
    region: &str,
    service: &str,
    at: OffsetDateTime,
) -> Vec<(&'static str, String)> {
    let stamp = stamp(at);
    let mut added = vec![("x-amz-date", stamp.clone())];
    added.extend(
        key.token
            .iter()
            .map(|token| ("x-amz-security-token", token.to_string())),
    );

    let mut headers = message.headers.to_vec();
    headers.extend(added.iter().map(|(name, value)| (*name, value.as_str())));
    let mut names: Vec<_> = headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    names.sort_unstable();
    names.dedup();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();

    let scope = format!("{}/{region}/{service}/{TERMINATOR}", &stamp[..8]);
    let digest = Message {
        headers: &headers,
        ..*message
    }
    .digest(&names);
    let signature = hex::encode(signature(key, &stamp, &scope, &digest));
    let (id, names) = (&key.id, names.join(";"));
    let authorization = format!(
        "{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}"
    );
    added.push(("authorization", authorization));
    added
}

/// `20150830T123600Z`.
pub(super) fn stamp(at: OffsetDateTime) -> String {
    let utc = at.to_offset(time::UtcOffset::UTC);
    // Years beyond 9999 have no stamp; no clock that far off could sign anything anyway.
    utc.format(STAMP)
        .unwrap_or_else(|_| "00000000T000000Z".to_owned())
}

/// The signature over a canonical request's digest. `scope` is `date/region/service/aws4_request`.
pub(super) fn signature(key: &Key, stamp: &str, scope: &str, digest: &str) -> [u8; 32] {
    let mut chained = Zeroizing::new(format!("AWS4{}", &*key.secret).into_bytes());
    for part in scope.split('/') {
        chained = Zeroizing::new(hmac(&chained, part.as_bytes()).to_vec());
    }
    hmac(
        &chained,
        format!("{ALGORITHM}\n{stamp}\n{scope}\n{digest}").as_bytes(),
    )
}

fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    /// Cases of AWS's published signature test suite.
    #[test]
    fn published_signatures() {
        let key = Key::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let host = ("Host", "example.amazonaws.com");
        let form = ("Content-Type", "application/x-www-form-urlencoded");
        for (name, method, query, headers, body, signature) in [
            (
                "get-vanilla",
                "GET",
                "",
                vec![host],
                "",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "get-vanilla-query-order-key-case",
                "GET",
                "Param2=value2&Param1=value1",
                vec![host],
                "",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "post-vanilla",
                "POST",
                "",
                vec![host],
                "",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "post-x-www-form-urlencoded",
                "POST",
                "",
                vec![host, form],
                "Param1=value1",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
        ] {
            let message = Message {
                method,
                path: "/",
                query,
                headers: &headers,
                body: body.as_bytes(),
            };
            let at = datetime!(2015-08-30 12:36:00 UTC);
            let added = sign(&message, &key, "us-east-1", "service", at);
            assert_eq!(
                added[0],
                ("x-amz-date", "20150830T123600Z".to_owned()),
                "{name}"
            );
            let names = if headers.len() == 2 {
                "content-type;host"
            } else {
                "host"
            };
            let wanted = format!(
                "AWS4-HMAC-SHA256 \
                 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                 SignedHeaders={names};x-amz-date, Signature={signature}"
            );
            assert_eq!(added[1], ("authorization", wanted), "{name}");
        }
    }
}
