//! The credentials of a connection, as Graph is called with them.

use dmrelay_domain::secret::Secret;
use dmrelay_instagram::Access;
use dmrelay_store::Connection;
use dmrelay_vault::{Place, SealError, Vault};

/// Decrypts the access of a connection.
///
/// # Errors
/// If it has no token, or one that the keys do not decrypt.
pub fn access(vault: &Vault, connection: &Connection) -> Result<Access, SealError> {
    let open = |column: &'static str, sealed: &[u8]| vault.open_text(place(connection, column), sealed);
    let row = &connection.row;
    let token: Secret<String> =
        open("access_token", row.access_token.as_deref().ok_or(SealError::Malformed)?)?;
    let proof = row.token_proof.as_deref().map(|proof| open("token_proof", proof)).transpose()?;
    let access = Access::new(connection.login, &connection.account, connection.page.as_ref(), token);
    Ok(Access { proof, ..access })
}

/// Where a secret of a connection is stored.
pub fn place(connection: &Connection, column: &'static str) -> Place {
    Place { table: "instagram_connections", column, row: connection.id.0 }
}
