//! Lists in pages, read from the database a page at a time.

use aws_json::ServiceError;
use aws_json::page::{BadMarker, Page, decode_marker, encode_marker, paginate};

use crate::error::{INVALID_MARKER, Result};
use crate::ids::Scope;
use crate::kms::Kms;
use crate::store::Record;

/// A request's `Limit`, held to what the list gives at most.
pub(super) fn limit(asked: Option<i64>, default: usize, most: usize) -> usize {
    asked.map_or(default, |n| usize::try_from(n).unwrap_or(1).clamp(1, most))
}

pub(super) fn bad(_: BadMarker) -> ServiceError {
    INVALID_MARKER.says("The marker is not valid.")
}

/// A page of all records of a kind in a scope.
pub(super) fn page<R: Record>(
    kms: &Kms,
    scope: &Scope,
    list: &str,
    limit: usize,
    marker: Option<&str>,
) -> Result<Page<R>> {
    let after = marker
        .map(|m| decode_marker(list, m))
        .transpose()
        .map_err(bad)?
        .unwrap_or_default();
    let mut items: Vec<R> = kms.store.view(|rows| rows.list(scope, &after, limit + 1))?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items
        .last()
        .filter(|_| more)
        .map(|last| encode_marker(list, last.id()));
    Ok(Page { items, next })
}

/// A page of a list that is short enough to be read whole.
pub(super) fn short<T>(
    list: &str,
    items: Vec<T>,
    key: impl Fn(&T) -> String,
    limit: usize,
    marker: Option<&str>,
) -> Result<Page<T>> {
    paginate(list, items, key, limit, marker).map_err(bad)
}
