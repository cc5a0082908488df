//! Dead letters: what failed for good, with its reason, so that a person can see it and replay it.

use crate::pages::{Conditions, Page};
use crate::{Activity, ActivityKind, Error, Result, Store, Tx};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::ids::{ConnectionId, SubaccountId};
use dmrelay_domain::states::DeadLetterState;
use dmrelay_entity::dead_letter;
use uuid::Uuid;

/// Which dead letters to list. What is missing does not filter.
#[derive(Debug, Clone)]
pub struct DeadLetterFilter {
    /// Of this subaccount.
    pub subaccount: SubaccountId,
    /// Of these connections; none means no dead letter at all.
    pub connections: Vec<ConnectionId>,
    /// That failed for this.
    pub class: Option<String>,
    /// That speak of this: `event`, `turn` or `message`.
    pub kind: Option<String>,
    /// Of this chat.
    pub chat: Option<Uuid>,
    /// Of which this became.
    pub state: DeadLetterState,
    /// Older than this.
    pub created_before: Option<Millis>,
    /// Older than this dead letter.
    pub before: Option<Uuid>,
    /// At most so many.
    pub limit: u64,
    /// After so many.
    pub skip: u64,
}

/// What holds of a letter nobody has looked at.
pub(crate) const OPEN: &str = "replayed_at IS NULL AND discarded_at IS NULL";

impl Tx {
    /// Closes an open letter; only one of two at once does.
    pub(crate) async fn close_letter(&self, id: Uuid, state: DeadLetterState, actor: &str) -> Result<bool> {
        let column = if state == DeadLetterState::Replayed { "replayed_at" } else { "discarded_at" };
        let sql = format!(
            "UPDATE dead_letters SET {column} = {{now}}, closed_by = $2 \
             WHERE id = $1 AND replayed_at IS NULL AND discarded_at IS NULL"
        );
        Ok(self.execute(&sql, vec![id.into(), actor.into()]).await? == 1)
    }

    /// Logs that a letter was closed.
    pub(crate) async fn record_closed(
        &self,
        letter: &dead_letter::Model,
        kind: ActivityKind,
        actor: &str,
    ) -> Result<()> {
        // What came for an account that nobody has is in nobody's log.
        if letter.subaccount_id.is_empty() {
            return Ok(());
        }
        let subaccount = SubaccountId::parse(&letter.subaccount_id)
            .map_err(|err| Error::Row { table: "dead_letters", what: err.to_string() })?;
        let activity = Activity::of_subaccount(&subaccount, kind, actor)
            .in_connection(letter.connection_id)
            .about(&letter.id)
            .with("class", letter.class.as_str())
            .with("kind", letter.kind.as_str())
            .with("chatId", letter.chat_id.map(|id| id.to_string()))
            .with("reference", letter.reference.to_string());
        self.record(&activity).await
    }
}

impl Store {
    /// A page of dead letters, newest first.
    pub async fn dead_letter_page(&self, filter: &DeadLetterFilter) -> Result<Page<dead_letter::Model>> {
        if filter.connections.is_empty() {
            return Ok(Page::empty());
        }
        let mut wanted = Conditions::default();
        wanted.with("subaccount_id = {}", Some(filter.subaccount.as_str()));
        wanted.any("connection_id", filter.connections.iter().map(|id| id.0));
        wanted.must(match filter.state {
            DeadLetterState::Open => OPEN,
            DeadLetterState::Replayed => "replayed_at IS NOT NULL",
            DeadLetterState::Discarded => "discarded_at IS NOT NULL",
        });
        wanted.with("class = {}", filter.class.as_deref());
        wanted.with("kind = {}", filter.kind.as_deref());
        wanted.with("chat_id = {}", filter.chat);
        wanted.with("created_at < {}", filter.created_before);
        let place = (filter.before, filter.limit, filter.skip);
        self.newest("dead_letters", wanted, place, |row: &dead_letter::Model| row.id).await
    }

    /// A dead letter by its id, if it is of one of these connections.
    pub async fn dead_letter(
        &self,
        connections: &[ConnectionId],
        id: Uuid,
    ) -> Result<Option<dead_letter::Model>> {
        Ok(self.dead_letters_named(connections, &[id]).await?.into_iter().next())
    }

    /// The dead letters with these ids that are of one of these connections, in any order.
    pub async fn dead_letters_named(
        &self,
        connections: &[ConnectionId],
        ids: &[Uuid],
    ) -> Result<Vec<dead_letter::Model>> {
        let mut wanted = Conditions::default();
        wanted.any("id", ids.iter().copied());
        wanted.any("connection_id", connections.iter().map(|id| id.0));
        let sql = format!("SELECT {{dead_letters.*}} FROM dead_letters WHERE {}", wanted.sql());
        self.read(&sql, wanted.values()).await
    }
}
