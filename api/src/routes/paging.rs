//! Pagination of lists: limit, skip, cursor.

use crate::problem::Faults;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::ChatId;
use uuid::Uuid;

/// Default and maximum number of items on a page.
const LIMIT: u64 = 50;
const LIMIT_MAX: u64 = 200;
/// Maximum `skip`; go further with `cursor`.
const SKIP_MAX: u64 = 10_000;
/// Validation error of a malformed cursor.
const NO_CURSOR: &str = "must be a nextCursor of this list";
/// Maximum length of a search text, in bytes.
pub(super) const TEXT_MAX: usize = 200;

/// The page: (limit, skip).
pub(super) fn page(limit: Option<u64>, skip: Option<u64>, faults: &mut Faults) -> (u64, u64) {
    let limit = limit.unwrap_or(LIMIT);
    if limit == 0 || limit > LIMIT_MAX {
        faults.parameter("limit", format!("must be 1 to {LIMIT_MAX}"));
    }
    let skip = skip.unwrap_or(0);
    if skip > SKIP_MAX {
        faults.parameter("skip", format!("must be at most {SKIP_MAX}; use cursor to go further"));
    }
    (limit, skip)
}

/// The cursor of a list ordered by id.
pub(super) fn write_id(id: impl Into<Uuid>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(id.into().as_bytes())
}

/// Parses such a cursor; `None` if it is malformed.
pub(super) fn id_of<I: From<Uuid>>(cursor: &str) -> Option<I> {
    Uuid::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok().map(I::from)
}

/// Parses the cursor of a query string.
pub(super) fn read_id<I: From<Uuid>>(cursor: Option<&str>, faults: &mut Faults) -> Option<I> {
    faults.check_parameter("cursor", id_of(cursor?).ok_or(NO_CURSOR))
}

/// The cursor of a list ordered by time, then id.
pub(super) fn write_time_and_id((at, id): (Millis, ChatId)) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([at.to_be_bytes().as_slice(), id.0.as_bytes()].concat())
}

/// Parses such a cursor.
pub(super) fn read_time_and_id(cursor: Option<&str>, faults: &mut Faults) -> Option<(Millis, ChatId)> {
    let both = BASE64_URL_SAFE_NO_PAD.decode(cursor?).ok().and_then(|bytes| {
        let (at, id) = bytes.split_first_chunk::<8>()?;
        Some((Millis::from_be_bytes(*at), ChatId(Uuid::from_slice(id).ok()?)))
    });
    faults.check_parameter("cursor", both.ok_or(NO_CURSOR))
}

/// An RFC 3339 time in a query string.
pub(super) fn moment(name: &str, text: Option<&str>, faults: &mut Faults) -> Option<Millis> {
    faults.check_parameter(name, dmrelay_views::parse_time(text?))
}

/// A search text.
pub(super) fn text(name: &str, text: Option<String>, faults: &mut Faults) -> Option<String> {
    let text = text?;
    if text.is_empty() || text.len() > TEXT_MAX {
        faults.parameter(name, format!("must be 1 to {TEXT_MAX} bytes"));
    }
    Some(text)
}

/// An enum value.
pub(super) fn word(
    name: &str,
    word: Option<String>,
    words: impl Iterator<Item = &'static str>,
    faults: &mut Faults,
) -> Option<String> {
    let word = word?;
    let words: Vec<&str> = words.collect();
    if !words.contains(&word.as_str()) {
        faults.parameter(name, format!("must be one of {}", words.join(", ")));
    }
    Some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_back_and_others_refused() {
        let (id, mut faults) = (ChatId::new(), Faults::default());
        assert_eq!(read_id(Some(&write_id(id)), &mut faults), Some(id));
        let both = (1_700_000_000_000, id);
        assert_eq!(read_time_and_id(Some(&write_time_and_id(both)), &mut faults), Some(both));
        assert!(faults.end().is_ok());
        for odd in ["", "x", "%%%", &write_time_and_id(both)] {
            let mut faults = Faults::default();
            assert_eq!(read_id::<ChatId>(Some(odd), &mut faults), None, "{odd:?}");
            assert!(faults.end().is_err());
        }
    }

    #[test]
    fn times_are_rfc_3339() {
        let mut faults = Faults::default();
        assert_eq!(moment("since", Some("1970-01-01T00:00:01.5Z"), &mut faults), Some(1_500));
        assert!(faults.end().is_ok());
        let mut faults = Faults::default();
        assert_eq!(moment("since", Some("yesterday"), &mut faults), None);
        assert!(faults.end().is_err());
    }
}
