//! Which of a token's mechanisms an application is to see: the setting `mechanisms`.

use std::collections::BTreeSet;
use std::sync::Arc;

use hsm_api::{Error, MechId, Result, Rv};
use hsm_sim::mech;

/// Mechanisms that a slot offers, of those that its token and its personality have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// Whatever there is.
    #[default]
    All,
    /// These.
    Only(Arc<BTreeSet<u64>>),
    /// All but these.
    AllBut(Arc<BTreeSet<u64>>),
}

/// What is wrong with an entry, or with the list where it is no entry's fault.
#[derive(Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The entry's place in the list.
    pub entry: Option<usize>,
    /// The reason.
    pub why: String,
}

impl Selection {
    /// Reads names as the specification has them; "-" before each of them leaves it out.
    ///
    /// # Errors
    /// A name that no mechanism has, one that stands there twice, both forms in one list, an empty list; with `legacy`
    /// false, a name that only a token with that setting offers.
    pub fn parse<'a>(
        names: impl IntoIterator<Item = &'a str>,
        legacy: bool,
    ) -> std::result::Result<Selection, Unfit> {
        let mut chosen = BTreeSet::new();
        let mut leaves_out = None;
        for (entry, written) in names.into_iter().enumerate() {
            let unfit = |why: String| Unfit {
                entry: Some(entry),
                why,
            };
            let (minus, name) = match written.strip_prefix('-') {
                Some(name) => (true, name),
                None => (false, written),
            };
            let row = mech::ALL
                .iter()
                .find(|row| row.name == name)
                .ok_or_else(|| {
                    unfit(format!(
                        "{name:?} is no mechanism's name here{}",
                        near(name)
                    ))
                })?;
            if *leaves_out.get_or_insert(minus) != minus {
                let why =
                    "a list either names what is offered or, with \"-\" before each, what is not";
                return Err(unfit(why.into()));
            }
            if row.legacy && !legacy && !minus {
                let why = format!("{name} is offered with the setting `legacy = true` only");
                return Err(unfit(why));
            }
            if !chosen.insert(row.id.0) {
                return Err(unfit(format!("{name} stands there already")));
            }
        }
        match leaves_out {
            None => Err(Unfit {
                entry: None,
                why: "the list is empty: leave `mechanisms` out to offer all".into(),
            }),
            Some(true) => Ok(Selection::AllBut(Arc::new(chosen))),
            Some(false) => Ok(Selection::Only(Arc::new(chosen))),
        }
    }

    /// Whether the mechanism is among them.
    pub fn has(&self, id: MechId) -> bool {
        match self {
            Selection::All => true,
            Selection::Only(these) => these.contains(&id.0),
            Selection::AllBut(these) => !these.contains(&id.0),
        }
    }

    /// Refuses a mechanism that is not among them.
    ///
    /// # Errors
    /// MECHANISM_INVALID.
    pub fn offers(&self, id: MechId) -> Result<()> {
        if self.has(id) {
            return Ok(());
        }
        let name = mech::find(id).map_or_else(|| format!("{:#x}", id.0), |row| row.name.into());
        let why = format!("{name} is not among the slot's `mechanisms` (pkcs11.toml)");
        Err(Error::new(Rv::MECHANISM_INVALID, why))
    }
}

/// A hint for a name that lacks its head, or has other letters' case.
fn near(name: &str) -> String {
    let wanted = name.to_uppercase().replace('-', "_");
    let bare = wanted.trim_start_matches("CKM_");
    match mech::ALL
        .iter()
        .find(|row| row.name.trim_start_matches("CKM_") == bare)
    {
        Some(row) => format!(": is it {}?", row.name),
        None => " (docs/mechanisms.md has them)".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GCM: MechId = MechId(pkcs11_sys::CKM_AES_GCM);
    const ECB: MechId = MechId(pkcs11_sys::CKM_AES_ECB);

    fn parse(names: &[&str]) -> std::result::Result<Selection, Unfit> {
        Selection::parse(names.iter().copied(), false)
    }

    #[test]
    fn a_list_names_what_is_there_or_what_is_not() {
        let only = parse(&["CKM_AES_KEY_GEN", "CKM_AES_GCM"]).unwrap();
        assert!(only.has(GCM) && !only.has(ECB));
        let but = parse(&["-CKM_AES_ECB", "-CKM_DES3_CBC"]).unwrap();
        assert!(but.has(GCM) && !but.has(ECB));
        assert!(Selection::default().has(ECB));
        let refused = but.offers(ECB).unwrap_err();
        assert_eq!(refused.rv, Rv::MECHANISM_INVALID);
        assert!(
            refused.why.starts_with("CKM_AES_ECB is not among"),
            "{refused}"
        );
    }

    #[test]
    fn what_is_wrong_is_said_of_its_entry() {
        let cases: [(&[&str], Option<usize>, &str); 6] = [
            (&[], None, "leave `mechanisms` out"),
            (
                &["CKM_AES_GCM", "CKM_AES_GMC"],
                Some(1),
                "docs/mechanisms.md",
            ),
            (&["aes-gcm"], Some(0), "is it CKM_AES_GCM?"),
            (&["CKM_AES_GCM", "-CKM_AES_ECB"], Some(1), "a list either"),
            (&["CKM_AES_GCM", "CKM_AES_GCM"], Some(1), "already"),
            (&["CKM_DES3_CBC"], Some(0), "`legacy = true` only"),
        ];
        for (names, entry, why) in cases {
            let unfit = parse(names).expect_err(why);
            assert_eq!(unfit.entry, entry, "{names:?}");
            assert!(unfit.why.contains(why), "{names:?}: {}", unfit.why);
        }
        assert!(Selection::parse(["CKM_DES3_CBC"], true).is_ok());
    }
}
