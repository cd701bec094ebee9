//! The server's end: reads the Authorization header and holds the signature against the secret.

use super::Message;
use super::sign::{ALGORITHM, Key, STAMP, TERMINATOR, signature, stamp};
use aws_json::{Exception, Result};
use subtle::ConstantTimeEq;
use time::{Duration, OffsetDateTime, PrimitiveDateTime};

const MISSING: Exception = Exception::new("MissingAuthenticationTokenException", 400);
const INCOMPLETE: Exception = Exception::new("IncompleteSignatureException", 400);
const INVALID: Exception = Exception::new("InvalidSignatureException", 400);
const UNRECOGNIZED: Exception = Exception::new("UnrecognizedClientException", 400);

/// How far the clocks may be apart.
const SKEW: Duration = Duration::minutes(5);

/// A parsed Authorization header. Nothing in it is proven before [`verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization<'a> {
    /// The access key id.
    pub access_key: &'a str,
    /// Of the scope.
    pub region: &'a str,
    date: &'a str,
    service: &'a str,
    terminator: &'a str,
    signed_headers: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Reads the header's value.
    ///
    /// # Errors
    /// `MissingAuthenticationTokenException` without one, `IncompleteSignatureException` for one
    /// that lacks parts, `InvalidSignatureException` for a scope that cannot be.
    pub fn parse(header: Option<&'a str>) -> Result<Self> {
        let missing = || MISSING.says("Missing Authentication Token");
        let header = header.ok_or_else(missing)?.trim();
        let (algorithm, parameters) = header.split_once(' ').unwrap_or((header, ""));
        if !algorithm.starts_with("AWS4-") {
            return Err(missing());
        }
        if algorithm != ALGORITHM {
            return Err(INCOMPLETE.says(format!("Unsupported AWS 'algorithm': '{algorithm}'.")));
        }
        let [mut credential, mut signed_headers, mut signature] = [None; 3];
        for part in parameters
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let (name, value) = part.split_once('=').ok_or_else(|| {
                INCOMPLETE.says(format!(
                    "'{part}' not a valid key=value pair (missing equal-sign) \
                     in Authorization header: '{header}'."
                ))
            })?;
            match name {
                "Credential" => credential = Some(value),
                "SignedHeaders" => signed_headers = Some(value),
                "Signature" => signature = Some(value),
                _ => (),
            }
        }
        let (Some(credential), Some(signed_headers), Some(signature)) =
            (credential, signed_headers, signature)
        else {
            let parts = [
                ("Credential", credential),
                ("Signature", signature),
                ("SignedHeaders", signed_headers),
            ];
            let lacks = parts.iter().filter(|(_, value)| value.is_none());
            let lacks =
                lacks.map(|(n, _)| format!("Authorization header requires '{n}' parameter."));
            return Err(INCOMPLETE.says(lacks.collect::<Vec<_>>().join(" ")));
        };
        let signed_headers = signed_headers.split(';').collect();
        let (access_key, date, region, service, terminator) = scope(credential)?;
        Ok(Self {
            access_key,
            region,
            date,
            service,
            terminator,
            signed_headers,
            signature,
        })
    }
}

fn scope(credential: &str) -> Result<(&str, &str, &str, &str, &str)> {
    // From the right, because a key id of somebody's own making may have slashes.
    let mut parts = credential.rsplitn(5, '/');
    let mut next = || parts.next().unwrap_or("");
    let (terminator, service, region, date, access_key) = (next(), next(), next(), next(), next());
    let plain = |c: char| c.is_ascii_graphic();
    if access_key.is_empty() || access_key.len() > 128 || !access_key.chars().all(plain) {
        return Err(INCOMPLETE.says(format!(
            "Credential must have exactly 5 slash-delimited elements, \
             e.g. keyid/date/region/service/term, got '{credential}'."
        )));
    }
    // The region becomes a part of ARNs, so it is looked at even where signatures are not.
    let ours = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if region.is_empty() || region.len() > 32 || !region.chars().all(ours) {
        return Err(INVALID.says("Credential should be scoped to a valid region."));
    }
    Ok((access_key, date, region, service, terminator))
}

/// Whether `message` was signed for `service`, within the last minutes, with the secret that
/// `key` holds. No key means that nobody knows the access key.
///
/// # Errors
/// The exception that the real service has for what is wrong.
pub fn verify(
    message: &Message<'_>,
    authorization: &Authorization<'_>,
    key: Option<&Key>,
    service: &str,
    now: OffsetDateTime,
) -> Result<()> {
    let sent = message
        .header("x-amz-date")
        .or(message.header("date"))
        .ok_or_else(|| {
            INCOMPLETE.says(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
        )
        })?;
    let unrecognized =
        || UNRECOGNIZED.says("The security token included in the request is invalid.");
    let key = key.ok_or_else(unrecognized)?;
    let wanted = key.token.as_deref().unwrap_or("");
    let given = message.header("x-amz-security-token").unwrap_or("");
    if !equal(wanted.as_bytes(), given.as_bytes()) {
        return Err(unrecognized());
    }
    in_scope(authorization, service, sent)?;
    in_time(sent, now)?;
    covers(message, authorization)?;

    let Authorization {
        date,
        region,
        signed_headers,
        ..
    } = authorization;
    let scope = format!("{date}/{region}/{service}/{TERMINATOR}");
    let ours = signature(key, sent, &scope, &message.digest(signed_headers));
    if equal(
        hex::encode(ours).as_bytes(),
        authorization.signature.as_bytes(),
    ) {
        return Ok(());
    }
    Err(INVALID.says(
        "The request signature we calculated does not match the signature you provided. \
         Check your AWS Secret Access Key and signing method. \
         Consult the service documentation for details.",
    ))
}

fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

fn in_scope(authorization: &Authorization<'_>, service: &str, sent: &str) -> Result<()> {
    let Authorization {
        date,
        service: given,
        terminator,
        ..
    } = authorization;
    if *given != service {
        let text = format!("Credential should be scoped to correct service: '{service}'.");
        return Err(INVALID.says(text));
    }
    if *terminator != TERMINATOR {
        return Err(INVALID.says(format!(
            "Credential should be scoped with a valid terminator: '{TERMINATOR}', \
             not '{terminator}'."
        )));
    }
    let day = sent.get(..8).unwrap_or(sent);
    if *date != day {
        return Err(INVALID.says(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date \
             from HTTP: '{date}' != '{day}', from '{sent}'."
        )));
    }
    Ok(())
}

fn in_time(sent: &str, now: OffsetDateTime) -> Result<()> {
    let at = PrimitiveDateTime::parse(sent, STAMP).map_err(|_| {
        INCOMPLETE.says(format!(
            "Date must be in ISO-8601 'basic format'. Got '{sent}'. \
             See http://en.wikipedia.org/wiki/ISO_8601"
        ))
    })?;
    let (at, earliest, latest) = (at.assume_utc(), now - SKEW, now + SKEW);
    let (clock, minutes) = (stamp(now), SKEW.whole_minutes());
    // Stamps have whole seconds; compared with a fraction, five minutes would be fewer.
    if at.unix_timestamp() < earliest.unix_timestamp() {
        let earliest = stamp(earliest);
        return Err(INVALID.says(format!(
            "Signature expired: {sent} is now earlier than {earliest} ({clock} - {minutes} min.)"
        )));
    }
    if at.unix_timestamp() > latest.unix_timestamp() {
        let latest = stamp(latest);
        return Err(INVALID.says(format!(
            "Signature not yet current: {sent} is still later than {latest} \
             ({clock} + {minutes} min.)"
        )));
    }
    Ok(())
}

/// What decides over the request must be among the signed headers.
fn covers(message: &Message<'_>, authorization: &Authorization<'_>) -> Result<()> {
    for name in ["host", "x-amz-date", "x-amz-target", "x-amz-security-token"] {
        let signed = authorization.signed_headers.contains(&name);
        if !signed && message.header(name).is_some() {
            return Err(INVALID.says(format!(
                "'{name}' must be a 'SignedHeader' in the AWS Authorization."
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::sign;
    use super::*;
    use aws_json::SecretString;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2015-08-30 12:36:00.5 UTC);
    const HEADERS: &[(&str, &str)] = &[
        ("Host", "127.0.0.1:4566"),
        ("X-Amz-Target", "TrentService.ListKeys"),
    ];

    fn key() -> Key {
        Key::new("AKIDEXAMPLE", "secret")
    }

    /// Signs, lets `tamper` at the headers, and verifies as KMS.
    fn trial(
        signer: &Key,
        service: &str,
        at: OffsetDateTime,
        body: &[u8],
        tamper: impl Fn(&mut Vec<(String, String)>),
    ) -> String {
        let message = Message {
            method: "POST",
            path: "/",
            query: "",
            headers: HEADERS,
            body: b"{}",
        };
        let added = sign(&message, signer, "us-east-1", service, at);
        let own = |(n, v): &(&str, &str)| ((*n).to_owned(), (*v).to_owned());
        let mut headers: Vec<_> = HEADERS.iter().map(own).collect();
        headers.extend(
            added
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value)),
        );
        tamper(&mut headers);
        let headers: Vec<_> = headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        let message = Message {
            headers: &headers,
            body,
            ..message
        };
        let known = key();
        let verified = Authorization::parse(message.header("authorization")).and_then(|a| {
            let key = Some(&known).filter(|k| k.id == a.access_key);
            verify(&message, &a, key, "kms", NOW)
        });
        verified.map_or_else(|e| e.to_string(), |()| "accepted".to_owned())
    }

    fn replace(
        header: &'static str,
        from: &'static str,
        to: &'static str,
    ) -> impl Fn(&mut Vec<(String, String)>) {
        move |headers| {
            for (_, value) in headers.iter_mut().filter(|(name, _)| name == header) {
                *value = value.replace(from, to);
            }
        }
    }

    const MISMATCH: &str = "InvalidSignatureException: The request signature we calculated does \
        not match the signature you provided. Check your AWS Secret Access Key and signing \
        method. Consult the service documentation for details.";

    #[test]
    fn what_was_signed_is_accepted_and_nothing_else() {
        let as_is = |_: &mut Vec<_>| ();
        assert_eq!(trial(&key(), "kms", NOW, b"{}", as_is), "accepted");
        assert_eq!(trial(&key(), "kms", NOW, b"{ }", as_is), MISMATCH);
        assert_eq!(
            trial(&Key::new("AKIDEXAMPLE", "Secret"), "kms", NOW, b"{}", as_is),
            MISMATCH
        );
        let other_target = replace("X-Amz-Target", "ListKeys", "CreateKey");
        assert_eq!(trial(&key(), "kms", NOW, b"{}", other_target), MISMATCH);
        let cut = replace("authorization", "Signature=", "Signature=0");
        assert_eq!(trial(&key(), "kms", NOW, b"{}", cut), MISMATCH);
    }

    #[test]
    fn unknown_clients() {
        let unknown = "UnrecognizedClientException: \
                       The security token included in the request is invalid.";
        let stranger = Key::new("AKIDOTHER", "secret");
        assert_eq!(trial(&stranger, "kms", NOW, b"{}", |_| ()), unknown);
        let temporary = Key {
            token: Some(SecretString::new("t".to_owned())),
            ..key()
        };
        assert_eq!(trial(&temporary, "kms", NOW, b"{}", |_| ()), unknown);
    }

    #[test]
    fn scope_and_clock() {
        let refused = |service, at: OffsetDateTime| trial(&key(), service, at, b"{}", |_| ());
        assert_eq!(
            refused("cloudhsm", NOW),
            "InvalidSignatureException: Credential should be scoped to correct service: 'kms'."
        );
        assert_eq!(refused("kms", NOW - SKEW), "accepted");
        assert_eq!(refused("kms", NOW + SKEW), "accepted");
        assert_eq!(
            refused("kms", NOW - SKEW - Duration::SECOND),
            "InvalidSignatureException: Signature expired: 20150830T123059Z is now earlier than \
             20150830T123100Z (20150830T123600Z - 5 min.)"
        );
        assert_eq!(
            refused("kms", NOW + SKEW + Duration::SECOND),
            "InvalidSignatureException: Signature not yet current: 20150830T124101Z is still \
             later than 20150830T124100Z (20150830T123600Z + 5 min.)"
        );
        let with = |from, to| {
            trial(
                &key(),
                "kms",
                NOW,
                b"{}",
                replace("authorization", from, to),
            )
        };
        assert!(with("aws4_request", "aws3").contains("valid terminator: 'aws4_request', not"));
        assert!(with("/20150830/", "/20150829/").contains("'20150829' != '20150830'"));
        assert!(with("us-east-1", "us_east").contains("scoped to a valid region"));
        assert_eq!(with("us-east-1", "eu-west-1"), MISMATCH);
        assert!(with("host;", "").contains("'host' must be a 'SignedHeader'"));
        assert!(with(";x-amz-target", "").contains("'x-amz-target' must be a 'SignedHeader'"));
        let dated = |to| {
            trial(
                &key(),
                "kms",
                NOW,
                b"{}",
                replace("x-amz-date", "T123600Z", to),
            )
        };
        assert!(dated(" noon").starts_with("IncompleteSignatureException: Date must be in ISO"));
        let undated = |headers: &mut Vec<(String, String)>| headers.retain(|h| h.0 != "x-amz-date");
        let undated = trial(&key(), "kms", NOW, b"{}", undated);
        assert!(undated.starts_with("IncompleteSignatureException: Authorization header requires"));
    }

    #[test]
    fn headers_that_are_none() {
        let parse =
            |header| Authorization::parse(header).map_or_else(|e| e.to_string(), |_| "ok".into());
        let missing = "MissingAuthenticationTokenException: Missing Authentication Token";
        for header in [None, Some(""), Some("Basic YTpi"), Some("Bearer x")] {
            assert_eq!(parse(header), missing, "{header:?}");
        }
        for (header, text) in [
            (
                "AWS4-HMAC-SHA1 x=y",
                "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1'.",
            ),
            (
                "AWS4-HMAC-SHA256 Credential",
                "'Credential' not a valid key=value pair (missing equal-sign) \
                 in Authorization header: 'AWS4-HMAC-SHA256 Credential'.",
            ),
            (
                "AWS4-HMAC-SHA256 SignedHeaders=host",
                "Authorization header requires 'Credential' parameter. \
                 Authorization header requires 'Signature' parameter.",
            ),
            (
                "AWS4-HMAC-SHA256 Credential=a/b/c/d, SignedHeaders=host, Signature=0",
                "Credential must have exactly 5 slash-delimited elements, \
                 e.g. keyid/date/region/service/term, got 'a/b/c/d'.",
            ),
        ] {
            assert_eq!(
                parse(Some(header)),
                format!("IncompleteSignatureException: {text}")
            );
        }
        // No blanks after the commas is as good, and so is a key id with slashes.
        let tight = "AWS4-HMAC-SHA256 Credential=a/b/20150830/us-east-1/kms/aws4_request,SignedHeaders=host;x-amz-date,Signature=00";
        let parsed = Authorization::parse(Some(tight)).unwrap();
        assert_eq!((parsed.access_key, parsed.region), ("a/b", "us-east-1"));
        assert_eq!(parsed.signed_headers, ["host", "x-amz-date"]);
    }
}
