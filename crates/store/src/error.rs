//! What can go wrong with the database.

use sea_orm::{DbErr, RuntimeErr, SqlErr};

/// The result of every statement.
pub type Result<T> = std::result::Result<T, Error>;

/// A statement that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused it or is not there.
    #[error("database: {}", plain(.0))]
    Db(DbErr),
    /// A row does not say what this version expects.
    #[error("row of {table}: {what}")]
    Row {
        /// The table.
        table: &'static str,
        /// What is odd about it.
        what: String,
    },
    /// `DATABASE_URL` names no database we know.
    #[error("DATABASE_URL must begin with postgres:// or sqlite:, not {0:?}")]
    Url(String),
}

// Not as a source: whoever prints the chain of causes would say the same twice.
impl From<DbErr> for Error {
    fn from(err: DbErr) -> Self {
        Self::Db(err)
    }
}

/// What the database, or the connection to it, says; without the layers in between, each of which adds the word "error".
fn plain(err: &DbErr) -> String {
    match err {
        DbErr::Conn(RuntimeErr::Internal(reason)) => reason.clone(),
        DbErr::Conn(RuntimeErr::SqlxError(err))
        | DbErr::Exec(RuntimeErr::SqlxError(err))
        | DbErr::Query(RuntimeErr::SqlxError(err)) => {
            err.as_database_error().map_or_else(|| err.to_string(), |err| err.message().to_owned())
        }
        other => other.to_string(),
    }
}

impl Error {
    /// Another row has the same unique value.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Db(err) if matches!(err.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))))
    }

    /// A deadlock or a serialization failure (PostgreSQL 40P01, 40001; SQLite "database is locked"):
    /// nothing happened, once more may pass.
    pub fn is_contention(&self) -> bool {
        matches!(self.code().as_deref(), Some("40P01" | "40001" | "55P03" | "5" | "6" | "517"))
    }

    /// The statement took longer than it may (PostgreSQL 57014): nothing happened, and once more would take as long.
    pub fn is_too_long(&self) -> bool {
        self.code().as_deref() == Some("57014")
    }

    /// The database refuses what the statement carries (PostgreSQL classes 22, 23 and 54): a repetition
    /// would be refused too.
    pub fn is_refusal(&self) -> bool {
        self.code().is_some_and(|code| {
            code.len() == 5 && ["22", "23", "54"].iter().any(|class| code.starts_with(class))
                || matches!(code.as_str(), "18" | "19" | "20" | "275" | "1299" | "1555" | "2067")
        })
    }

    fn code(&self) -> Option<String> {
        let Self::Db(DbErr::Exec(RuntimeErr::SqlxError(err)) | DbErr::Query(RuntimeErr::SqlxError(err))) =
            self
        else {
            return None;
        };
        err.as_database_error()?.code().map(std::borrow::Cow::into_owned)
    }
}

/// Evaluates an expression again, once, if its transaction lost against another one.
#[macro_export]
macro_rules! again_on_contention {
    ($attempt:expr) => {
        match $attempt {
            Err(err) if err.is_contention() => $attempt,
            outcome => outcome,
        }
    };
}
