//! Pagination of lists: limit, skip, cursor.

use crate::problem::{Problem, ValidationErrors};
use axum::http::StatusCode;
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
pub(crate) const TEXT_MAX: usize = 200;

/// The page: (limit, skip).
pub(crate) fn page(limit: Option<u64>, skip: Option<u64>, errors: &mut ValidationErrors) -> (u64, u64) {
    let limit = limit.unwrap_or(LIMIT);
    if limit == 0 || limit > LIMIT_MAX {
        errors.parameter("limit", format!("must be 1 to {LIMIT_MAX}"));
    }
    let skip = skip.unwrap_or(0);
    if skip > SKIP_MAX {
        errors.parameter("skip", format!("must be at most {SKIP_MAX}; use cursor to go further"));
    }
    (limit, skip)
}

/// A search that takes too long is refused; any other list that does is our fault.
pub(crate) fn search_problem(is_search: bool, err: dmrelay_store::Error) -> Problem {
    if !(is_search && err.is_too_long()) {
        return Problem::from(err);
    }
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "search-too-long", "The search takes too long")
        .detail("narrow it, by user, chat or time")
}

/// The cursor of a list ordered by id.
pub(crate) fn write_id(id: impl Into<Uuid>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(id.into().as_bytes())
}

/// Parses such a cursor; `None` if it is malformed.
pub(crate) fn id_of<I: From<Uuid>>(cursor: &str) -> Option<I> {
    Uuid::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok().map(I::from)
}

/// Parses the cursor of a query string.
pub(crate) fn read_id<I: From<Uuid>>(cursor: Option<&str>, errors: &mut ValidationErrors) -> Option<I> {
    errors.check_parameter("cursor", id_of(cursor?).ok_or(NO_CURSOR))
}

/// The cursor of a list ordered by time, then id.
pub(crate) fn write_time_and_id((at, id): (Millis, ChatId)) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([at.to_be_bytes().as_slice(), id.0.as_bytes()].concat())
}

/// Parses such a cursor.
pub(crate) fn read_time_and_id(
    cursor: Option<&str>,
    errors: &mut ValidationErrors,
) -> Option<(Millis, ChatId)> {
    let both = BASE64_URL_SAFE_NO_PAD.decode(cursor?).ok().and_then(|bytes| {
        let (at, id) = bytes.split_first_chunk::<8>()?;
        Some((Millis::from_be_bytes(*at), ChatId(Uuid::from_slice(id).ok()?)))
    });
    errors.check_parameter("cursor", both.ok_or(NO_CURSOR))
}

/// An RFC 3339 time in a query string.
pub(crate) fn moment(name: &str, text: Option<&str>, errors: &mut ValidationErrors) -> Option<Millis> {
    errors.check_parameter(name, dmrelay_views::parse_time(text?))
}

/// A search text.
pub(crate) fn text(name: &str, text: Option<String>, errors: &mut ValidationErrors) -> Option<String> {
    let text = text?;
    if text.is_empty() || text.len() > TEXT_MAX {
        errors.parameter(name, format!("must be 1 to {TEXT_MAX} bytes"));
    }
    Some(text)
}

/// An enum value.
pub(crate) fn word(
    name: &str,
    word: Option<String>,
    words: impl Iterator<Item = &'static str>,
    errors: &mut ValidationErrors,
) -> Option<String> {
    let word = word?;
    let words: Vec<&str> = words.collect();
    if !words.contains(&word.as_str()) {
        errors.parameter(name, format!("must be one of {}", words.join(", ")));
    }
    Some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_back_and_others_refused() {
        let (id, mut errors) = (ChatId::new(), ValidationErrors::default());
        assert_eq!(read_id(Some(&write_id(id)), &mut errors), Some(id));
        let both = (1_700_000_000_000, id);
        assert_eq!(read_time_and_id(Some(&write_time_and_id(both)), &mut errors), Some(both));
        assert!(errors.end().is_ok());
        for odd in ["", "x", "%%%", &write_time_and_id(both)] {
            let mut errors = ValidationErrors::default();
            assert_eq!(read_id::<ChatId>(Some(odd), &mut errors), None, "{odd:?}");
            assert!(errors.end().is_err());
        }
    }

    #[test]
    fn times_are_rfc_3339() {
        let mut errors = ValidationErrors::default();
        assert_eq!(moment("since", Some("1970-01-01T00:00:01.5Z"), &mut errors), Some(1_500));
        assert!(errors.end().is_ok());
        let mut errors = ValidationErrors::default();
        assert_eq!(moment("since", Some("yesterday"), &mut errors), None);
        assert!(errors.end().is_err());
    }
}
