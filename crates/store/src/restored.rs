//! After the database was set back to an earlier state, what was in flight then may have happened since.

use crate::{Result, Store};
use dmrelay_domain::conversation::{Command, Policy, Reply};
use dmrelay_domain::ids::ChatId;
use sea_orm::FromQueryResult;
use uuid::Uuid;

/// What is not believed any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Distrusted {
    /// Chats in which something waited: it is looked up before it is done.
    pub chats: u64,
}

#[derive(FromQueryResult)]
struct One {
    #[expect(dead_code, reason = "that there is a row is what counts")]
    one: i64,
}

#[derive(FromQueryResult)]
struct Id {
    id: Uuid,
}

/// How many chats are changed by one transaction.
const CHATS: u64 = 200;

impl Store {
    /// Whether a worker runs: one of them leads the poller.
    ///
    /// # Errors
    /// What the database says.
    pub async fn is_worked_on(&self) -> Result<bool> {
        let sql = "SELECT CAST(1 AS bigint) AS one FROM leaders WHERE name = 'sweep' AND until > {now}";
        Ok(!self.read::<One>(sql, Vec::new()).await?.is_empty())
    }

    /// Marks what waits as unknown, so that each question and each send is looked up before it is made. To be called once
    /// after a restore, before any worker runs.
    ///
    /// # Errors
    /// What the database says.
    pub async fn distrust(&self) -> Result<Distrusted> {
        // What was written down after the cut is not there to be found: every agent's chat is looked into once.
        let sql = "SELECT id FROM chats WHERE NOT verify AND (agent_chat_id IS NOT NULL OR turn_due_at IS NOT NULL \
             OR outbox_due_at IS NOT NULL) ORDER BY id LIMIT $1";
        let mut distrusted = Distrusted::default();
        loop {
            let page: Vec<Id> = self.write(sql, vec![CHATS.into()]).await?;
            if page.is_empty() {
                break;
            }
            let commands = page.iter().map(|row| (ChatId(row.id), Command::Distrust)).collect();
            for outcome in self.transact(Policy::default(), commands).await? {
                if outcome.applied()?.reply == Reply::Done {
                    distrusted.chats += 1;
                }
            }
        }
        // Jobs that Redis remembers must not make new ones pass for old.
        self.execute(
            "UPDATE events SET dispatch_no = dispatch_no + 1000000 WHERE due_at IS NOT NULL",
            Vec::new(),
        )
        .await?;
        Ok(distrusted)
    }
}
