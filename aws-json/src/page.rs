//! Lists in pages, and the opaque markers between them.
//!
//! A marker holds the key of the last item given, so that a page stays right when items come and
//! go between two requests. It names its list and carries a checksum: garbage, a cut marker and
//! the marker of another list are refused rather than misread.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Some items and, if there are more, the marker that continues after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// In the order of their keys.
    pub items: Vec<T>,
    /// `None` at the end of the list.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// KMS's `Truncated`.
    pub fn truncated(&self) -> bool {
        self.next.is_some()
    }
}

/// The marker was not made by this list. Each service has its own exception for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadMarker;

/// The page of at most `limit` items that follows `marker`, ordered by `key`, which must be
/// unique. `list` names the list, such as `ListKeys`, with what narrows it (`ListGrants key-id`).
///
/// # Errors
/// [`BadMarker`] for a marker that this list did not make.
pub fn paginate<T>(
    list: &str,
    mut items: Vec<T>,
    key: impl Fn(&T) -> String,
    limit: usize,
    marker: Option<&str>,
) -> Result<Page<T>, BadMarker> {
    if let Some(marker) = marker {
        let last = decode_marker(list, marker)?;
        items.retain(|item| key(item) > last);
    }
    items.sort_by_cached_key(&key);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items
        .last()
        .filter(|_| more)
        .map(|last| encode_marker(list, &key(last)));
    Ok(Page { items, next })
}

/// The marker that continues `list` after the item with this key.
pub fn encode_marker(list: &str, key: &str) -> String {
    let mut bytes = checksum(list, key.as_bytes()).to_be_bytes().to_vec();
    bytes.extend_from_slice(key.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The key inside a marker of `list`.
///
/// # Errors
/// [`BadMarker`] for anything that [`encode_marker`] did not make for this list.
pub fn decode_marker(list: &str, marker: &str) -> Result<String, BadMarker> {
    let bytes = URL_SAFE_NO_PAD.decode(marker).map_err(|_| BadMarker)?;
    let (sum, key) = bytes.split_first_chunk::<8>().ok_or(BadMarker)?;
    if u64::from_be_bytes(*sum) != checksum(list, key) {
        return Err(BadMarker);
    }
    String::from_utf8(key.to_vec()).map_err(|_| BadMarker)
}

/// FNV-1a: against accidents, not against forgers, who gain nothing that a list doesn't show.
fn checksum(list: &str, key: &[u8]) -> u64 {
    let bytes = list.bytes().chain([0]).chain(key.iter().copied());
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(all: &[&str], limit: usize) -> Vec<Vec<String>> {
        let (mut pages, mut marker) = (Vec::new(), None);
        loop {
            let items = all.iter().map(|s| (*s).to_owned()).collect();
            let page = paginate("List", items, Clone::clone, limit, marker.as_deref()).unwrap();
            assert_eq!(page.truncated(), page.next.is_some());
            pages.push(page.items);
            match page.next {
                Some(next) => marker = Some(next),
                None => return pages,
            }
        }
    }

    #[test]
    fn every_item_comes_once_in_order() {
        let all = ["d", "a", "c", "b", "e"];
        for limit in 1..=6 {
            let pages = pages(&all, limit);
            assert!(pages.iter().all(|p| p.len() <= limit), "limit {limit}");
            assert_eq!(pages.concat(), ["a", "b", "c", "d", "e"], "limit {limit}");
        }
        assert_eq!(pages(&[], 3), [Vec::<String>::new()]);
        assert_eq!(
            pages(&["a", "b"], 2).len(),
            1,
            "a full last page has no marker"
        );
    }

    #[test]
    fn a_deleted_item_does_not_shift_the_next_page() {
        let next = encode_marker("List", "b");
        let rest = paginate("List", vec!["a", "c"], |s| s.to_string(), 9, Some(&next)).unwrap();
        assert_eq!(rest.items, ["c"]);
    }

    #[test]
    fn foreign_markers_are_refused() {
        let good = encode_marker("ListKeys", "k");
        assert_eq!(decode_marker("ListKeys", &good).unwrap(), "k");
        assert_eq!(decode_marker("ListAliases", &good), Err(BadMarker));
        let cut = &good[..good.len() - 1];
        for bad in ["", "x", "AAAAAAAAAAAA", "not base64!", cut] {
            assert_eq!(decode_marker("ListKeys", bad), Err(BadMarker), "{bad}");
        }
    }
}
