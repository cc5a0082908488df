//! `admin keys`: API keys of all subaccounts.

use super::common::{EXIT_CODES, Listing, now, operator, subaccount};
use super::output::{self, OfSubaccount, Table, or_nothing};
use super::times;
use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use dmrelay_domain::api_key as keys;
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::ids::{ApiKeyId, SubaccountId};
use dmrelay_domain::permission::Role;
use dmrelay_runtime::settings;
use dmrelay_store::entity::api_key;
use dmrelay_store::{NewApiKey, Store};
use dmrelay_views::ApiKeyView;
use std::time::Duration;

/// Manage API keys of all subaccounts.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// List API keys, newest first, including expired and revoked ones; never the secrets.
    List(List),
    /// Create an API key. Prints only the key, on standard output; it is shown only once.
    Create(Create),
    /// Revoke an API key; it is rejected from the next call on.
    #[command(after_help = EXIT_CODES)]
    Revoke {
        /// Its id.
        id: ApiKeyId,
    },
}

/// Which keys to list.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct List {
    /// Only keys of this subaccount.
    #[arg(long, value_parser = subaccount)]
    subaccount: Option<SubaccountId>,
    #[command(flatten)]
    listing: Listing,
}

/// A key to create.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct Create {
    /// The key's subaccount.
    #[arg(long, value_parser = subaccount)]
    subaccount: SubaccountId,
    /// The key's role: viewer, operator, admin or owner.
    #[arg(long, default_value = "viewer", value_parser = role)]
    role: Role,
    /// A readable name.
    #[arg(long, default_value = "created at the command line", value_parser = name)]
    name: String,
    /// Lifetime.
    #[arg(long, default_value = "90d", value_parser = settings::duration)]
    expires_in: Duration,
    /// The key never expires.
    #[arg(long, conflicts_with = "expires_in")]
    never_expires: bool,
}

impl Keys {
    pub(super) async fn run(&self, store: &Store) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run(store).await,
            Self::Create(create) => create.run(store).await,
            Self::Revoke { id } => revoke(store, *id).await,
        }
    }
}

impl List {
    async fn run(&self, store: &Store) -> anyhow::Result<()> {
        let rows = store.api_keys_of_all(self.subaccount.as_ref(), self.listing.limit).await?;
        if self.listing.json {
            let views: Vec<_> = rows.iter().map(view).collect();
            return output::print_json(&views);
        }
        let now = now(store).await?;
        let header = ["ID", "SUBACCOUNT", "ROLE", "NAME", "STATE", "CREATED", "BY", "LAST USED", "EXPIRES"];
        let mut table = Table::new(&header);
        let shown = rows.len();
        for row in rows {
            let state = state(&row, now).to_owned();
            table.row([
                row.id.to_string(),
                row.subaccount_id,
                row.role,
                row.name,
                state,
                times::shown(row.created_at),
                or_nothing(row.created_by),
                or_nothing(row.last_used_at.map(times::shown)),
                or_nothing(row.expires_at.map(times::shown)),
            ]);
        }
        table.print("no API keys")?;
        Ok(output::print_if_cut(shown, self.listing.limit)?)
    }
}

fn view(row: &api_key::Model) -> OfSubaccount<'_, ApiKeyView> {
    OfSubaccount::new(&row.subaccount_id, ApiKeyView::of(row))
}

fn state(row: &api_key::Model, now: Millis) -> &'static str {
    match (row.revoked_at, row.expires_at) {
        (Some(_), _) => "revoked",
        (None, Some(end)) if end <= now => "expired",
        (None, _) => "valid",
    }
}

impl Create {
    async fn run(&self, store: &Store) -> anyhow::Result<()> {
        let expires_at = match self.expires_in {
            _ if self.never_expires => None,
            Duration::ZERO => anyhow::bail!("--expires-in: must be longer than zero"),
            after => Some(now(store).await?.saturating_add(millis(after))),
        };
        let (key, hash) = keys::generate();
        let new = NewApiKey {
            subaccount: self.subaccount.clone(),
            role: self.role,
            name: self.name.clone(),
            hash,
            expires_at,
            created_by: operator(),
        };
        let id = store.create_api_key(&new).await.context("cannot store the key")?;
        tracing::info!(%id, subaccount = %new.subaccount, role = %new.role, "API key created");
        Ok(output::print(key)?)
    }
}

async fn revoke(store: &Store, id: ApiKeyId) -> anyhow::Result<()> {
    let row = store.api_key_with_id(id).await?.with_context(|| format!("no API key has the id {id}"))?;
    if let Some(at) = row.revoked_at {
        return Ok(output::print(format!("{id} was revoked at {}", times::shown(at)))?);
    }
    let subaccount = SubaccountId::parse(&row.subaccount_id)?;
    let revoked = store.revoke_api_key(&subaccount, id, &operator()).await?;
    ensure!(revoked, "no API key has the id {id}");
    Ok(output::print(format!("{id} ({:?} of {subaccount}) is revoked", row.name))?)
}

fn role(word: &str) -> Result<Role, &'static str> {
    Role::parse(word).ok_or("must be viewer, operator, admin or owner")
}

fn name(text: &str) -> Result<String, String> {
    let max = keys::NAME_MAX;
    keys::is_name(text)
        .then(|| text.to_owned())
        .ok_or_else(|| format!("must be 1 to {max} bytes of printable text"))
}
