//! Comments on posts, and mentions: stored once each, and answered at most once.

use crate::pages::Page;
use crate::query::literal;
use crate::{Activity, ActivityKind, Connection, Result, Store, Tx};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::event::{self, Content};
use dmrelay_domain::ids::{ChatId, CommentId, ConnectionId, EventId, InstagramUserId, id_at};
use dmrelay_domain::settings::{CommentRule, RuleAction};
use dmrelay_domain::states::{ChatMode, CommentKind, CommentState, DeedState, EventState};
use dmrelay_domain::text::truncate;
use dmrelay_entity::comment::{Column, Entity, Model};
use dmrelay_entity::{chat, event as event_row, instagram_connection};
use sea_orm::sea_query::{Expr, ExprTrait, LockBehavior, LockType, OnConflict};
use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, UpdateMany,
};
use std::time::Duration;

/// How far apart two tellings of one comment on an advertised post may be.
const TWIN_WITHIN: Millis = 60_000;

/// Maximum length of a reason, in bytes.
const REASON_BYTES_MAX: usize = 300;

/// Comments of one account that are answered at a time.
const CONNECTION_SHARE: u64 = 2;

/// Which comments to list.
#[derive(Debug, Clone, Default)]
pub struct CommentFilter {
    /// Of these accounts.
    pub connections: Vec<ConnectionId>,
    /// On this post.
    pub media: Option<String>,
    /// In this state.
    pub state: Option<CommentState>,
    /// Of this kind.
    pub kind: Option<CommentKind>,
    /// By this user.
    pub user: Option<InstagramUserId>,
}

/// The two things that may be done with a comment besides the private reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Everybody sees a reply.
    PublicReply,
    /// Nobody sees the comment any more.
    Hide,
}

impl Deed {
    /// Its word in the activity log.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::PublicReply => "public_reply",
            Self::Hide => "hide",
        }
    }

    pub(crate) fn column(self) -> Column {
        match self {
            Self::PublicReply => Column::PublicReply,
            Self::Hide => Column::Hidden,
        }
    }
}

impl Store {
    /// Takes in a comment or a mention. Gives whether something is to be done with it; `None` if somebody has taken it in meanwhile.
    ///
    /// # Errors
    /// What the database says.
    pub async fn keep_comment(&self, connection: &Connection, event: EventId) -> Result<Option<bool>> {
        let tx = self.begin().await?;
        let close = event_row::Entity::update_many()
            .col_expr(event_row::Column::DueAt, Expr::value(None::<i64>))
            .col_expr(event_row::Column::State, EventState::Processed.as_str().into())
            .filter(event_row::Column::Id.eq(event))
            .filter(event_row::Column::DueAt.is_not_null());
        let Some(row) = close.exec_with_returning(tx.connection()).await?.pop() else { return Ok(None) };
        // What it means stands in its own row.
        let forget = event_row::Entity::update_many()
            .col_expr(event_row::Column::Raw, Expr::value(None::<Vec<u8>>))
            .filter(event_row::Column::Id.eq(event));
        forget.exec(tx.connection()).await?;
        let raw = row.raw.as_deref().unwrap_or_default();
        let item = row.container.known().and_then(|container| event::read(container, &row.account, raw));
        let now = tx.now().await?;
        // Of two tellings of one comment that are taken in at once, the second sees the first. And the rules are those of now.
        let account = instagram_connection::Entity::find_by_id(connection.id).lock_exclusive();
        let fresh = account.one(tx.connection()).await?.map(Connection::from_row).transpose()?;
        let connection = fresh.as_ref().unwrap_or(connection);
        let new = item.and_then(|item| new_row(connection, item.content, row.received_at, now));
        let Some(mut new) = new else {
            tx.commit().await?;
            return Ok(Some(false));
        };
        if tx.has_twin(&new, now).await? {
            new = Model {
                state: CommentState::Skipped.into(),
                reason: Some("twin".to_owned()),
                due_at: None,
                ..new
            };
            (new.public_reply, new.hidden) = (None, None);
        }
        let once = OnConflict::columns([Column::ConnectionId, Column::Kind, Column::CommentId])
            .do_nothing()
            .to_owned();
        let insert = Entity::insert(new.clone().into_active_model()).on_conflict(once);
        if insert.exec_without_returning(tx.connection()).await? == 0 {
            tx.commit().await?;
            return Ok(Some(false));
        }
        let received =
            Activity::of_connection(connection, ActivityKind::CommentReceived, "user").about(&new.id);
        let received = received.with("kind", new.kind.to_string()).with("mediaId", new.media_id.as_deref());
        tx.record_at(&received, now).await?;
        tx.commit().await?;
        Ok(Some(new.due_at.is_some()))
    }

    /// A page of comments, newest first.
    ///
    /// # Errors
    /// What the database says.
    pub async fn comments(
        &self,
        filter: &CommentFilter,
        place: (Option<CommentId>, u64, u64),
    ) -> Result<Page<Model, CommentId>> {
        let select = Entity::find()
            .filter(Column::ConnectionId.is_in(filter.connections.iter().copied()))
            .apply_if(filter.media.as_deref(), |select, media| select.filter(Column::MediaId.eq(media)))
            .apply_if(filter.state, |select, state| select.filter(Column::State.eq(state.as_str())))
            .apply_if(filter.kind, |select, kind| select.filter(Column::Kind.eq(kind.as_str())))
            .apply_if(filter.user.as_ref(), |select, user| {
                select.filter(Column::InstagramUserId.eq(user.as_str()))
            });
        self.newest(select, Column::Id, place, |row| row.id).await
    }

    /// A comment of one of these accounts.
    ///
    /// # Errors
    /// What the database says.
    pub async fn comment(&self, connections: &[ConnectionId], id: CommentId) -> Result<Option<Model>> {
        let one = Entity::find_by_id(id).filter(Column::ConnectionId.is_in(connections.iter().copied()));
        Ok(one.one(&self.reader()).await?)
    }

    /// Claims comments with which something is to be done, for this process alone and until `lease` has passed: of each account a few.
    /// What a dead worker left in the middle of a call is unknown, and is not done again.
    ///
    /// # Errors
    /// What the database says.
    pub async fn claim_comments(&self, lease: Duration, most: usize) -> Result<Vec<Model>> {
        self.give_up_orphans().await?;
        let tx = self.begin().await?;
        let (db, now) = (tx.connection(), tx.now().await?);
        let busy: Vec<(ConnectionId, i64)> = Entity::find()
            .select_only()
            .column(Column::ConnectionId)
            .column_as(Column::Id.count(), "n")
            .filter(Column::DueAt.is_not_null())
            .filter(Column::ClaimedUntil.gt(now))
            .group_by(Column::ConnectionId)
            .into_tuple()
            .all(db)
            .await?;
        let share = |id: ConnectionId| {
            let taken = busy.iter().find(|(other, _)| *other == id).map_or(0, |(_, n)| *n);
            CONNECTION_SHARE.saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX))
        };
        let full = busy.iter().map(|(id, _)| *id).filter(|id| share(*id) == 0);
        let is_due = || Column::DueAt.lte(now).and(Column::ClaimedUntil.lte(now));
        // Those that have waited longest first.
        let accounts: Vec<ConnectionId> = Entity::find()
            .select_only()
            .column(Column::ConnectionId)
            .filter(is_due())
            .filter(Column::ConnectionId.is_not_in(full))
            .group_by(Column::ConnectionId)
            .order_by_asc(Column::DueAt.min())
            .limit(most as u64)
            .into_tuple()
            .all(db)
            .await?;
        let mut claimed: Vec<Model> = Vec::new();
        for account in accounts {
            let room = (most - claimed.len()) as u64;
            let due = Entity::find()
                .filter(Column::ConnectionId.eq(account))
                .filter(is_due())
                .order_by_asc(Column::DueAt)
                .limit(Ord::min(share(account), room))
                .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
            claimed.extend(due.all(db).await?);
        }
        let claim = Entity::update_many()
            .col_expr(Column::ClaimedUntil, Expr::val(now + millis(lease)))
            .filter(Column::Id.is_in(claimed.iter().map(|row| row.id)));
        claim.exec(db).await?;
        tx.commit().await?;
        Ok(claimed)
    }

    async fn give_up_orphans(&self) -> Result<()> {
        let is_left = || Column::ClaimedUntil.into_expr().lte(self.clock());
        let in_call = [CommentState::Asking, CommentState::Sending].map(CommentState::as_str);
        let reply = Entity::update_many()
            .col_expr(Column::State, literal(CommentState::Unknown.as_str()))
            .col_expr(Column::Reason, literal("the worker died during the call"))
            .filter(Column::DueAt.is_not_null())
            .filter(Column::State.is_in(in_call))
            .filter(is_left());
        reply.exec(&self.writer()).await?;
        for deed in [Deed::PublicReply, Deed::Hide] {
            let change = Entity::update_many()
                .col_expr(deed.column(), literal(DeedState::Unknown.as_str()))
                .filter(Column::DueAt.is_not_null())
                .filter(deed.column().eq(DeedState::Calling.as_str()))
                .filter(is_left());
            change.exec(&self.writer()).await?;
        }
        Ok(())
    }

    /// Private replies that were begun for an account within the last hour.
    ///
    /// # Errors
    /// What the database says.
    pub async fn private_replies_of_hour(&self, connection: ConnectionId) -> Result<u64> {
        let since = self.clock().sub(millis(Duration::from_hours(1)));
        let begun = Entity::find()
            .filter(Column::ConnectionId.eq(connection))
            .filter(Column::RepliedAt.into_expr().gt(since));
        Ok(begun.count(&self.writer()).await?)
    }

    /// Notes when a comment was written, by Meta's clock.
    ///
    /// # Errors
    /// What the database says.
    pub async fn note_comment_time(&self, id: CommentId, at: Millis) -> Result<()> {
        let note =
            Entity::update_many().col_expr(Column::CommentedAt, Expr::val(at)).filter(Column::Id.eq(id));
        note.exec(&self.writer()).await?;
        Ok(())
    }

    /// Changes the state of a comment from one to another: before a call is made, or once it certainly was not. False if somebody else has.
    /// What the private reply says is written down with it; and a private reply that is sent counts for the hour from then on.
    ///
    /// # Errors
    /// What the database says.
    pub async fn change_comment(
        &self,
        id: CommentId,
        (from, to): (CommentState, CommentState),
        reply: Option<&str>,
    ) -> Result<bool> {
        let begin = Entity::update_many()
            .col_expr(Column::State, literal(to.as_str()))
            .apply_if(reply, |begin, reply| begin.col_expr(Column::Reply, Expr::val(reply)))
            .apply_if((to == CommentState::Sending).then_some(()), |begin, ()| {
                begin.col_expr(Column::RepliedAt, self.clock())
            })
            .filter(Column::Id.eq(id))
            .filter(Column::State.eq(from.as_str()));
        Ok(begin.exec(&self.writer()).await?.rows_affected > 0)
    }

    /// Records the end of the private reply to a comment: what became of it, and why.
    ///
    /// # Errors
    /// What the database says.
    pub async fn end_comment_reply(
        &self,
        connection: &Connection,
        id: CommentId,
        (state, reason): (CommentState, Option<&str>),
        sent: Option<(&str, Option<&InstagramUserId>)>,
    ) -> Result<()> {
        let tx = self.begin().await?;
        let reason = reason.map(|reason| truncate(reason, REASON_BYTES_MAX).to_owned());
        let end = Entity::update_many()
            .col_expr(Column::State, literal(state.as_str()))
            .col_expr(Column::Reason, Expr::val(reason.clone()))
            .col_expr(Column::Mid, Expr::val(sent.map(|(mid, _)| mid.to_owned())))
            .col_expr(Column::RecipientId, Expr::val(sent.and_then(|(_, to)| to.map(ToString::to_string))))
            .filter(Column::Id.eq(id));
        end.exec(tx.connection()).await?;
        if state != CommentState::Skipped {
            let answered =
                Activity::of_connection(connection, ActivityKind::CommentAnswered, "rule").about(&id);
            let answered = answered.with("state", state.as_str()).with("reason", reason);
            tx.record(&answered).await?;
        }
        tx.commit().await
    }

    /// Whether a human has the conversation with this user.
    ///
    /// # Errors
    /// What the database says.
    pub async fn is_with_human(&self, connection: ConnectionId, user: &str) -> Result<bool> {
        let theirs = chat::Entity::find()
            .filter(chat::Column::ConnectionId.eq(connection))
            .filter(chat::Column::InstagramUserId.eq(user))
            .filter(chat::Column::Mode.ne(ChatMode::Bot.as_str()));
        Ok(theirs.count(&self.writer()).await? > 0)
    }

    /// After a restore nobody knows which calls were made since: none of them is made again. Gives how many comments that concerns.
    pub(crate) async fn distrust_comments(&self) -> Result<u64> {
        let waits = || Column::DueAt.is_not_null();
        let pending =
            [CommentState::Pending, CommentState::Asking, CommentState::Sending].map(CommentState::as_str);
        let replies = Entity::update_many()
            .col_expr(Column::State, literal(CommentState::Unknown.as_str()))
            .col_expr(Column::Reason, literal("the database was restored from a backup"))
            .filter(waits())
            .filter(Column::State.is_in(pending));
        let count = replies.exec(&self.writer()).await?.rows_affected;
        for deed in [Deed::PublicReply, Deed::Hide] {
            let change = Entity::update_many()
                .col_expr(deed.column(), literal(DeedState::Unknown.as_str()))
                .filter(waits())
                .filter(deed.column().is_in([DeedState::Pending, DeedState::Calling].map(DeedState::as_str)));
            change.exec(&self.writer()).await?;
        }
        Ok(count)
    }

    /// Notes the conversation in which a private reply is.
    ///
    /// # Errors
    /// What the database says.
    pub async fn note_comment_chat(&self, id: CommentId, chat: ChatId) -> Result<()> {
        let note = Entity::update_many().col_expr(Column::ChatId, Expr::val(chat)).filter(Column::Id.eq(id));
        note.exec(&self.writer()).await?;
        Ok(())
    }

    /// Changes how far the public reply, or the hiding, has come. False if somebody else has.
    ///
    /// # Errors
    /// What the database says.
    pub async fn change_comment_deed(
        &self,
        id: CommentId,
        deed: Deed,
        (from, to): (DeedState, DeedState),
    ) -> Result<bool> {
        let change = Entity::update_many()
            .col_expr(deed.column(), literal(to.as_str()))
            .filter(Column::Id.eq(id))
            .filter(deed.column().eq(from.as_str()));
        Ok(change.exec(&self.writer()).await?.rows_affected > 0)
    }

    /// Ends the claim of a comment: it is tried again after this, or, without it, nothing is left to do. `failed` calls are counted.
    ///
    /// # Errors
    /// What the database says.
    pub async fn give_back_comment(&self, id: CommentId, again: Option<Duration>, failed: i32) -> Result<()> {
        let due = match again {
            Some(wait) => self.clock().add(millis(wait)),
            None => Expr::value(None::<i64>),
        };
        let give: UpdateMany<Entity> = Entity::update_many()
            .col_expr(Column::ClaimedUntil, literal(0_i64))
            .col_expr(Column::DueAt, due)
            .col_expr(Column::Attempts, Column::Attempts.into_expr().add(failed))
            .filter(Column::Id.eq(id));
        give.exec(&self.writer()).await?;
        Ok(())
    }

    /// Deletes one batch of comments older than this with which nothing is to be done. Gives how many.
    ///
    /// # Errors
    /// What the database says.
    pub async fn forget_comments(&self, age: Duration, batch: u64) -> Result<u64> {
        let old = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(
                Column::Id.lt(dmrelay_domain::ids::first_id_at::<CommentId>(self.now().await? - millis(age))),
            )
            .filter(Column::DueAt.is_null())
            .order_by_asc(Column::Id)
            .limit(batch)
            .into_tuple::<CommentId>()
            .all(&self.writer())
            .await?;
        Ok(Entity::delete_many().filter(Column::Id.is_in(old)).exec(&self.writer()).await?.rows_affected)
    }
}

impl Tx {
    /// A comment on an advertised post is told once for the post, and once for the ad.
    async fn has_twin(&self, new: &Model, now: Millis) -> Result<bool> {
        let (Some(user), Some(media), Some(text)) = (&new.instagram_user_id, &new.media_id, &new.text) else {
            return Ok(false);
        };
        let twin = Entity::find()
            .filter(Column::ConnectionId.eq(new.connection_id))
            .filter(Column::InstagramUserId.eq(user.as_str()))
            .filter(Column::MediaId.eq(media.as_str()))
            .filter(Column::Text.eq(text.as_str()))
            .filter(Column::CommentId.ne(new.comment_id.as_str()))
            .filter(Column::ReceivedAt.gt(now - TWIN_WITHIN));
        Ok(twin.one(self.connection()).await?.is_some())
    }

    /// The comments of a customer who is erased.
    pub(crate) async fn forget_comments_by(&self, connection: ConnectionId, user: &str) -> Result<()> {
        let theirs = Entity::delete_many()
            .filter(Column::ConnectionId.eq(connection))
            .filter(Column::InstagramUserId.eq(user).or(Column::RecipientId.eq(user)));
        theirs.exec(self.connection()).await?;
        Ok(())
    }

    /// The comments of an account that is erased.
    pub(crate) async fn forget_comments_of(&self, connection: ConnectionId) -> Result<()> {
        let all = Entity::delete_many().filter(Column::ConnectionId.eq(connection));
        all.exec(self.connection()).await?;
        Ok(())
    }
}

/// The row of a comment or a mention, with the rule that is for it.
fn new_row(connection: &Connection, content: Content, received_at: Millis, now: Millis) -> Option<Model> {
    let empty = Model {
        id: id_at(now),
        connection_id: connection.id,
        kind: CommentKind::Comment.into(),
        comment_id: String::new(),
        media_id: None,
        parent_id: None,
        is_live: false,
        instagram_user_id: None,
        username: None,
        text: None,
        state: CommentState::Received.into(),
        reason: None,
        rule: None,
        reply: None,
        mid: None,
        recipient_id: None,
        chat_id: None,
        public_reply: None,
        hidden: None,
        attempts: 0,
        due_at: None,
        claimed_until: 0,
        commented_at: None,
        received_at,
        replied_at: None,
    };
    match content {
        Content::Comment(comment) => {
            let text = comment.text.clone().unwrap_or_default();
            let rule = connection.settings.comment(&text, comment.media.as_deref());
            let row = Model {
                comment_id: comment.id,
                media_id: comment.media,
                parent_id: comment.parent,
                is_live: comment.is_live,
                instagram_user_id: comment.user.map(|user| user.to_string()),
                username: comment.username,
                text: comment.text,
                ..empty
            };
            Some(match rule {
                Some(rule) => followed(row, rule, now),
                None => row,
            })
        }
        Content::Mention(mention) => {
            let comment_id = mention.comment.clone().or_else(|| mention.media.clone())?;
            Some(Model { kind: CommentKind::Mention.into(), comment_id, media_id: mention.media, ..empty })
        }
        _ => None,
    }
}

fn followed(row: Model, rule: &CommentRule, now: Millis) -> Model {
    let has_reply = matches!(rule.reply.action(), RuleAction::Send | RuleAction::AskAgent);
    let state = if has_reply { CommentState::Pending } else { CommentState::Skipped };
    let waits = |is_wanted: bool| is_wanted.then(|| DeedState::Pending.into());
    // Of a comment whose author is not told it is not known that it is not our own reply.
    let is_known = row.instagram_user_id.is_some();
    let (public_reply, hidden) = (waits(rule.public_reply.is_some() && is_known), waits(rule.hide));
    let is_due = has_reply || public_reply.is_some() || hidden.is_some();
    Model {
        state: state.into(),
        rule: serde_json::to_string(rule).ok(),
        public_reply,
        hidden,
        due_at: is_due.then_some(now),
        ..row
    }
}
