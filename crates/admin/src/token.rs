//! `admin token`: a short-lived token for the operator, to look at a subaccount as its people do.

use super::common::{EXIT_CODES, operator, subaccount};
use super::output::print;
use anyhow::{Context as _, ensure};
use clap::Args;
use dmrelay_domain::api_key;
use dmrelay_domain::ids::{SessionId, SubaccountId};
use dmrelay_domain::permission::Role;
use dmrelay_runtime::settings;
use dmrelay_store::{NewSession, Store};
use std::time::Duration;

/// The longest that a token of the operator's is good for.
const TIME_MAX: Duration = Duration::from_hours(12);

/// The operator is not kept out by a subaccount that has as many sessions as it may.
const SESSIONS_MAX: u64 = 1_000_000;

/// A token to create.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct Token {
    /// The subaccount.
    #[arg(long, value_parser = subaccount)]
    subaccount: SubaccountId,
    /// What it may do: viewer, operator or admin.
    #[arg(long, default_value = "viewer", value_parser = role)]
    role: Role,
    /// For how long, at most 12h.
    #[arg(long = "for", default_value = "1h", value_parser = settings::positive, value_name = "TIME")]
    time: Duration,
}

fn role(word: &str) -> Result<Role, &'static str> {
    let role = Role::parse(word).filter(|role| *role != Role::Owner);
    role.ok_or("must be viewer, operator or admin; an owner is an API key (admin keys create)")
}

impl Token {
    pub(super) async fn run(&self, store: &Store) -> anyhow::Result<()> {
        ensure!(self.time <= TIME_MAX, "--for: at most 12h");
        let actor = operator();
        let (token, hash) = api_key::generate_session();
        let new = NewSession {
            id: SessionId::new(),
            subaccount: self.subaccount.clone(),
            subject: actor.key().to_owned(),
            name: actor.name.clone(),
            role: self.role,
            hash,
            key_hash: None,
            time: self.time,
        };
        let made =
            store.create_session(&new, SESSIONS_MAX, &actor).await.context("cannot store the session")?;
        ensure!(made.is_some(), "the subaccount has too many sessions");
        Ok(print(token)?)
    }
}
