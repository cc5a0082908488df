//! Which version runs.

/// The version of the project.
pub const NUMBER: &str = env!("CARGO_PKG_VERSION");

/// The commit that was built: told by `DMRELAY_COMMIT`, or by git for a release build; otherwise `unknown`.
pub const COMMIT: &str = env!("DMRELAY_COMMIT");

/// Both, for people.
pub const TEXT: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("DMRELAY_COMMIT"), ")");
