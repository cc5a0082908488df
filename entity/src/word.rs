//! Words of states, kinds and failure classes, as columns hold them.

use dmrelay_domain::states::StateWord;
use sea_orm::sea_query::{ArrayType, ColumnType, Nullable, ValueType, ValueTypeErr};
use sea_orm::{
    ActiveValue, ColIdx, DbErr, IntoActiveValue, QueryResult, TryFromU64, TryGetError, TryGetable, Value,
};
use std::fmt;

/// A stored word: a value of `T`, or text that this version does not know.
///
/// During a rolling deploy a later version may write new words. Reading such a row must not fail, because every
/// list that contains it would fail too. Code that needs the value calls [`Word::known`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word<T> {
    /// A value of this version.
    Known(T),
    /// A word of a later version, kept as it is.
    Unknown(String),
}

impl<T: StateWord> Word<T> {
    /// Reads a stored word.
    pub fn read(text: String) -> Self {
        T::parse(&text).map_or(Self::Unknown(text), Self::Known)
    }

    /// The stored word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(value) => value.as_str(),
            Self::Unknown(text) => text,
        }
    }

    /// The value, if this version knows it.
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(value) => Some(*value),
            Self::Unknown(_) => None,
        }
    }
}

impl<T: StateWord> From<T> for Word<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T: StateWord> PartialEq<T> for Word<T> {
    fn eq(&self, value: &T) -> bool {
        self.known().as_ref() == Some(value)
    }
}

impl<T: StateWord> fmt::Display for Word<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<T: StateWord> From<Word<T>> for Value {
    fn from(word: Word<T>) -> Self {
        match word {
            Word::Known(value) => value.as_str().into(),
            Word::Unknown(text) => text.into(),
        }
    }
}

impl<T: StateWord> TryGetable for Word<T> {
    fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> Result<Self, TryGetError> {
        String::try_get_by(row, index).map(Self::read)
    }
}

impl<T: StateWord> ValueType for Word<T> {
    fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
        <String as ValueType>::try_from(value).map(Self::read)
    }

    fn type_name() -> String {
        "Word".to_owned()
    }

    fn array_type() -> ArrayType {
        <String as ValueType>::array_type()
    }

    fn column_type() -> ColumnType {
        <String as ValueType>::column_type()
    }
}

impl<T: StateWord> Nullable for Word<T> {
    fn null() -> Value {
        <String as Nullable>::null()
    }
}

impl<T: StateWord> IntoActiveValue<Self> for Word<T> {
    fn into_active_value(self) -> ActiveValue<Self> {
        ActiveValue::Set(self)
    }
}

/// Needed of the columns of a primary key. No database counts words up.
impl<T: StateWord> TryFromU64 for Word<T> {
    fn try_from_u64(n: u64) -> Result<Self, DbErr> {
        String::try_from_u64(n).map(Self::read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dmrelay_domain::states::MessageStatus;

    #[test]
    fn words_are_stored_and_read_back_whether_known_or_not() {
        let known = Word::from(MessageStatus::Sent);
        let unknown = Word::<MessageStatus>::read("of a later version".to_owned());
        assert_eq!((known.as_str(), known.known()), ("sent", Some(MessageStatus::Sent)));
        assert_eq!((unknown.as_str(), unknown.known()), ("of a later version", None));
        for word in [known, unknown] {
            let stored = Value::from(word.clone());
            assert_eq!(stored, Value::from(word.to_string()));
            assert_eq!(<Word<MessageStatus> as ValueType>::try_from(stored).ok(), Some(word));
        }
        let none = <Option<Word<MessageStatus>> as ValueType>::try_from(Word::<MessageStatus>::null());
        assert_eq!(none.ok(), Some(None));
    }

    #[test]
    fn a_word_equals_only_its_own_value() {
        assert_eq!(Word::Known(MessageStatus::Sent), MessageStatus::Sent);
        assert_ne!(Word::Known(MessageStatus::Sent), MessageStatus::Queued);
        // Not to be confused with the status of that name.
        assert_ne!(Word::Unknown("later".to_owned()), MessageStatus::Unknown);
    }
}
