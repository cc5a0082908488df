//! Answers comments: one private reply each, within seven days of the comment, and by the rule also a reply that everybody sees, or hiding.
//! Each call is written down before it is made. One whose outcome is unknown is not made again: Meta has no way to ask.

use crate::Context;
use crate::breakers::{Admission, of_agent, of_graph};
use crate::calls::agent;
use crate::calls::graph::{may_send, report};
use crate::keys::key_of;
use crate::rounds::Rounds;
use dmrelay_agent::{AgentError, Opening};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::conversation::{AgentChat, Body, Claim, Command, PrivateReply, Route};
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{InstagramUserId, TemplateId};
use dmrelay_domain::outgoing::{Outgoing, Template};
use dmrelay_domain::retry::CALLS;
use dmrelay_domain::settings::{CommentRule, RuleAction};
use dmrelay_domain::split::{MAX_BYTES, split};
use dmrelay_domain::states::{Author, CommentState, ConnectionStatus, DeedState};
use dmrelay_domain::text::{plain_name, truncate};
use dmrelay_domain::{directive, markdown};
use dmrelay_instagram::{Access, GraphError};
use dmrelay_store::entity::comment::Model;
use dmrelay_store::{Call, Connection, Deed};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Comments that a worker answers at a time.
const AT_A_TIME: usize = 8;

/// Time beside the calls to Meta and to the agent.
const LEASE_MARGIN: Duration = Duration::from_mins(1);

/// Meta, "Private replies": within seven days of the comment. Somewhat less, since the call takes time.
const AGE_MAX: Duration = Duration::from_mins(7 * 24 * 60 - 1);

/// A live broadcast is over sooner or later: a comment in it that could not be answered by then is not answered any more.
const LIVE_AGE_MAX: Duration = Duration::from_mins(10);

/// How long a comment waits whose account cannot send, or has sent as many as it may.
const WAIT: Duration = Duration::from_mins(5);

/// How long a comment waits for a free slot.
const SLOT_WAIT: Duration = Duration::from_secs(2);

/// How often a call that Meta certainly did not carry out is made again.
const ATTEMPTS_MAX: i32 = 20;

/// What is left to do.
enum Next {
    /// Nothing.
    Over,
    /// It is looked at again after this.
    Later(Duration),
    /// A call failed, and is made again after this.
    Again(Duration),
}

impl Next {
    /// Both are to be done: the sooner.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Over, one) | (one, Self::Over) => one,
            (Self::Again(one), Self::Again(other) | Self::Later(other))
            | (Self::Later(one), Self::Again(other)) => Self::Again(one.min(other)),
            (Self::Later(one), Self::Later(other)) => Self::Later(one.min(other)),
        }
    }
}

type Result<T> = dmrelay_store::Result<T>;

/// Answers what is due, until `shutdown`. Attempts under way are finished.
pub(crate) async fn run(ctx: Arc<Context>, shutdown: CancellationToken) {
    let lease = ctx.options.agent_timeout + ctx.options.graph_timeout * 4 + LEASE_MARGIN;
    let rounds = Rounds { what: "comments", at_a_time: AT_A_TIME, woken: &ctx.comments_came };
    let claim = |free| ctx.store.claim_comments(lease, free);
    let attempt = |row: Model| {
        let ctx = ctx.clone();
        async move { attempt(&ctx, row).await }
    };
    rounds.run(&ctx, shutdown, claim, attempt).await;
}

async fn attempt(ctx: &Arc<Context>, row: Model) {
    let id = row.id;
    let (again, failed) = match answer(ctx, row).await {
        Ok(Next::Over) => (None, 0),
        Ok(Next::Later(wait)) => (Some(wait), 0),
        Ok(Next::Again(wait)) => (Some(wait), 1),
        Err(err) => {
            // What was begun is unknown when the claim ends.
            tracing::warn!(comment = %id, error = %err, "cannot go on with a comment; retrying");
            return;
        }
    };
    if let Err(err) = ctx.store.give_back_comment(id, again, failed).await {
        tracing::warn!(comment = %id, error = %err, "cannot give a comment back; it is looked at again when its claim ends");
    }
}

/// A comment at work.
struct Work<'a> {
    ctx: &'a Arc<Context>,
    row: Model,
    rule: CommentRule,
    connection: Connection,
    access: Access,
    route: Route,
}

async fn answer(ctx: &Arc<Context>, row: Model) -> Result<Next> {
    let Some(connection) = ctx.store.connection_by_id(row.connection_id).await? else {
        return Ok(Next::Over);
    };
    let rule = row.rule.as_deref().and_then(|rule| serde_json::from_str(rule).ok()).unwrap_or_default();
    let is_connected = connection.status == ConnectionStatus::Connected;
    let access = ctx.access(&connection).ok().filter(|_| is_connected);
    let is_late = ctx.database_now() - row.received_at > millis(AGE_MAX);
    let Some(access) = access.filter(|_| !connection.row.bot_paused) else {
        if connection.status != ConnectionStatus::Disconnected && !is_late {
            return Ok(Next::Later(WAIT));
        }
        if row.state == CommentState::Pending {
            let why = if is_late { "too_old" } else { "disconnected" };
            ctx.store
                .end_comment_reply(&connection, row.id, (CommentState::Skipped, Some(why)), None)
                .await?;
        }
        return Ok(Next::Over);
    };
    let route = ctx.route(&connection);
    let mut work = Work { ctx, row, rule, connection, access, route };
    let mut next = Next::Over;
    if work.row.state == CommentState::Pending {
        next = work.reply().await?;
    }
    if work.row.chat_id.is_none() && work.row.mid.is_some() && !work.tie().await? {
        next = next.and(Next::Later(SLOT_WAIT));
    }
    // They do not wait for the private reply.
    for deed in [Deed::PublicReply, Deed::Hide] {
        next = next.and(work.deed(deed).await?);
    }
    Ok(next)
}

impl Work<'_> {
    /// Sends the private reply.
    async fn reply(&mut self) -> Result<Next> {
        // A person who has the conversation is not talked over.
        if let Some(user) = &self.row.instagram_user_id
            && self.ctx.store.is_with_human(self.connection.id, user).await?
        {
            self.end(CommentState::Skipped, Some("human_answers"), None).await?;
            return Ok(Next::Over);
        }
        if let Some(next) = self.too_old().await? {
            return Ok(next);
        }
        let limit = self.ctx.options.worker.comment_replies_per_hour;
        if self.ctx.store.private_replies_of_hour(self.connection.id).await? >= limit {
            return Ok(Next::Later(WAIT));
        }
        let message = match self.message().await? {
            Ok(message) => message,
            Err(next) => return Ok(next),
        };
        let (claim, slot) = may_send(self.ctx, &self.route, None).await;
        if !matches!(claim, Claim::By(_)) {
            return Ok(Next::Later(SLOT_WAIT));
        }
        let (store, id) = (&self.ctx.store, self.row.id);
        let text = message.as_json().to_string();
        if !store.change_comment(id, (CommentState::Pending, CommentState::Sending), Some(&text)).await? {
            self.ctx.breakers.unused(&of_graph(&self.route)).await;
            return Ok(Next::Over);
        }
        self.row.reply = Some(text);
        let began = Instant::now();
        let timeout = self.ctx.options.graph_timeout;
        let sent = self.ctx.graph.private_reply(&self.access, &self.row.comment_id, &message, timeout).await;
        drop(slot);
        match sent {
            Ok(accepted) => {
                self.ctx.breakers.passed(&of_graph(&self.route), began).await;
                // Where Meta does not tell to whom it went, it is whoever commented.
                let author =
                    self.row.instagram_user_id.as_deref().and_then(|id| InstagramUserId::parse(id).ok());
                let to = accepted.to.or(author);
                self.row.mid = Some(accepted.mid.clone());
                self.row.recipient_id = to.as_ref().map(ToString::to_string);
                self.end(CommentState::Replied, None, Some((accepted.mid.as_str(), to.as_ref()))).await?;
                Ok(Next::Over)
            }
            Err(err) => {
                report(self.ctx, (&self.route, began), &self.connection, &err).await;
                self.not_sent(&err).await
            }
        }
    }

    async fn end(
        &mut self,
        state: CommentState,
        reason: Option<&str>,
        sent: Option<(&str, Option<&InstagramUserId>)>,
    ) -> Result<()> {
        self.ctx.metrics.comments.with_label_values(&[state.as_str()]).inc();
        self.row.state = state.into();
        self.ctx.store.end_comment_reply(&self.connection, self.row.id, (state, reason), sent).await
    }

    async fn not_sent(&mut self, err: &GraphError) -> Result<Next> {
        tracing::warn!(comment = %self.row.id, class = err.class.as_str(), error = %err, "private reply failed");
        let why = format!("{}: {}", err.code, err.message);
        let state = match err.class {
            FailureClass::Ambiguous => CommentState::Unknown,
            class if may_pass(class) && self.row.attempts < ATTEMPTS_MAX => {
                let back = (CommentState::Sending, CommentState::Pending);
                self.ctx.store.change_comment(self.row.id, back, None).await?;
                return Ok(Next::Again(self.delay(err.retry_after)));
            }
            _ => CommentState::Failed,
        };
        self.end(state, Some(&why), None).await?;
        Ok(Next::Over)
    }

    fn delay(&self, given: Option<Duration>) -> Duration {
        let attempts = u32::try_from(self.row.attempts).unwrap_or(0) + 1;
        given.unwrap_or_else(|| CALLS.part_of(attempts, rand::random_range(0.5..1.0)))
    }

    /// If the comment is too old to be answered, or that cannot be told now: what is left to do.
    async fn too_old(&mut self) -> Result<Option<Next>> {
        let now = self.ctx.database_now();
        let (at, most) = match (self.row.is_live, self.row.commented_at) {
            (true, _) => (self.row.received_at, LIVE_AGE_MAX),
            (false, Some(at)) => (at, AGE_MAX),
            (false, None) => match self.ctx.graph.comment_time(&self.access, &self.row.comment_id).await {
                Ok(at) => {
                    self.ctx.store.note_comment_time(self.row.id, at).await?;
                    (at, AGE_MAX)
                }
                Err(err) if may_pass(err.class) || err.class == FailureClass::Ambiguous => {
                    if now - self.row.received_at <= millis(AGE_MAX) {
                        return Ok(Some(Next::Again(self.delay(err.retry_after))));
                    }
                    (0, AGE_MAX)
                }
                Err(err) => {
                    let why = format!("the comment cannot be read: {}", err.code);
                    self.end(CommentState::Failed, Some(&why), None).await?;
                    return Ok(Some(Next::Over));
                }
            },
        };
        if now - at <= millis(most) {
            return Ok(None);
        }
        self.end(CommentState::Skipped, Some("too_old"), None).await?;
        Ok(Some(Next::Over))
    }

    /// What the private reply says.
    async fn message(&mut self) -> Result<std::result::Result<Outgoing, Next>> {
        if let Some(reply) = &self.row.reply {
            let reply = serde_json::from_str(reply).ok().and_then(|json| Outgoing::from_json(&json).ok());
            if let Some(reply) = reply {
                return Ok(Ok(reply));
            }
        }
        let composed = match (self.rule.reply.action(), self.rule.reply.template_id) {
            (RuleAction::AskAgent, _) => return self.ask().await,
            (_, Some(template)) => self.filled(template).await?,
            (_, None) => {
                let text = self.rule.reply.text.clone().unwrap_or_default();
                Outgoing::text(&text).map_err(|err| err.to_string())
            }
        };
        match composed {
            Ok(message) => Ok(Ok(message)),
            Err(why) => {
                self.end(CommentState::Failed, Some(&why), None).await?;
                Ok(Err(Next::Over))
            }
        }
    }

    async fn filled(&self, id: TemplateId) -> Result<std::result::Result<Outgoing, String>> {
        let Some(template) = self.ctx.store.template(&self.connection.subaccount, id).await? else {
            return Ok(Err(format!("there is no template {id}")));
        };
        let mut values = self.rule.reply.variables.clone();
        if let Some(username) = &self.row.username {
            values.insert("username".to_owned(), username.clone());
            values.insert("name".to_owned(), username.clone());
        }
        let template = Template::stored(serde_json::from_str(&template.message).unwrap_or_default());
        Ok(template.fill(&values).map_err(|err| format!("the template {id}: {err}")))
    }

    /// Asks the agent, once: within its budgets and its fair share, like any question.
    async fn ask(&mut self) -> Result<std::result::Result<Outgoing, Next>> {
        let (ctx, now) = (self.ctx, self.ctx.database_now());
        if ctx.budgets.wait(self.connection.id, &self.route, now).is_some() {
            return Ok(Err(Next::Later(WAIT)));
        }
        let Some(slot) = ctx.slots.ask(&self.route) else { return Ok(Err(Next::Later(SLOT_WAIT))) };
        let Admission::Admitted = ctx.breakers.admit(Call::Ask, &self.route, now).await? else {
            return Ok(Err(Next::Later(SLOT_WAIT)));
        };
        let began = Instant::now();
        let asked = self.ask_in_new_chat(now).await?;
        drop(slot);
        let keys = of_agent(&self.route);
        let (state, why) = match asked {
            None => {
                ctx.breakers.unused(&keys).await;
                return Ok(Err(Next::Over));
            }
            Some(Ok(replies)) => {
                ctx.breakers.passed(&keys, began).await;
                let Some(message) = first_text(&replies) else {
                    self.end(CommentState::Skipped, Some("no_answer"), None).await?;
                    return Ok(Err(Next::Over));
                };
                let text = message.as_json().to_string();
                let back = (CommentState::Asking, CommentState::Pending);
                let is_ours = ctx.store.change_comment(self.row.id, back, Some(&text)).await?;
                return Ok(if is_ours { Ok(message) } else { Err(Next::Over) });
            }
            Some(Err(err)) => {
                agent::report(ctx, &self.route, &err, began).await;
                match err.class {
                    FailureClass::Ambiguous => (CommentState::Unknown, err.message),
                    class
                        if (may_pass(class) || class == FailureClass::AgentRefused)
                            && self.row.attempts < ATTEMPTS_MAX =>
                    {
                        let back = (CommentState::Asking, CommentState::Pending);
                        ctx.store.change_comment(self.row.id, back, None).await?;
                        return Ok(Err(Next::Again(self.delay(err.retry_after))));
                    }
                    _ => (CommentState::Failed, err.message),
                }
            }
        };
        self.end(state, Some(&why), None).await?;
        Ok(Err(Next::Over))
    }

    /// Asks in an agent chat of its own, which is deleted afterwards. `None` if somebody else has asked.
    async fn ask_in_new_chat(
        &self,
        now: Millis,
    ) -> Result<Option<std::result::Result<Vec<String>, AgentError>>> {
        let ctx = self.ctx;
        let key = match ctx.agent_key(&self.route.provider).await {
            Ok(key) => key,
            Err(err) => return Ok(Some(Err(err))),
        };
        let opened = ctx.agent.open(key_of(key.as_ref()), &self.route.agent, &self.opening()).await;
        let chat = match opened {
            Ok(chat) => chat,
            Err(err) => return Ok(Some(Err(err))),
        };
        let begin = (CommentState::Pending, CommentState::Asking);
        let answer = if ctx.store.change_comment(self.row.id, begin, None).await? {
            ctx.budgets.count(self.connection.id, &self.route, now);
            let question =
                format!("[commented on our post] {}", self.row.text.as_deref().unwrap_or_default());
            let answer =
                ctx.agent.ask(key_of(key.as_ref()), &chat, &question, ctx.options.agent_timeout).await;
            Some(answer.map(|answer| answer.replies))
        } else {
            None
        };
        let used = AgentChat {
            id: chat,
            key: key.as_ref().map(|key| key.id),
            agent: Some(self.route.agent.clone()),
        };
        let settled = ctx.options.agent_timeout + ctx.options.worker.reconcile_grace;
        let subaccount = self.connection.subaccount.as_str();
        if let Err(err) = ctx.store.delete_unused_agent_chat(subaccount, &used, settled).await {
            tracing::warn!(comment = %self.row.id, error = %err, "an agent chat that nobody uses may be left");
        }
        Ok(answer)
    }

    fn opening(&self) -> Opening {
        let mut variables = self.connection.settings.agent_variables.clone();
        variables.insert("channel".to_owned(), "instagram_comment".to_owned());
        if let Some(name) = self.row.username.as_deref().and_then(plain_name_of) {
            variables.insert("instagram_username".to_owned(), name);
        }
        let metadata = BTreeMap::from([
            ("dmrelay_comment_id".to_owned(), self.row.id.to_string()),
            ("channel".to_owned(), "instagram_comment".to_owned()),
        ]);
        Opening { metadata, variables }
    }

    /// Puts the private reply into the conversation with whoever wrote the comment. False if that is not possible now.
    async fn tie(&mut self) -> Result<bool> {
        let (Some(mid), Some(to)) = (self.row.mid.clone(), self.row.recipient_id.as_deref()) else {
            return Ok(true);
        };
        let Ok(user) = InstagramUserId::parse(to) else { return Ok(true) };
        let chat = match self.ctx.store.ensure_chats(&[(self.connection.id, user)]).await {
            Ok(chats) => chats.first().copied(),
            // They were erased meanwhile.
            Err(dmrelay_store::Error::Row { .. }) => None,
            Err(err) => return Err(err),
        };
        let Some(chat) = chat else { return Ok(true) };
        let message = self.row.reply.as_deref().and_then(|reply| serde_json::from_str(reply).ok());
        let message = message.and_then(|json| Outgoing::from_json(&json).ok());
        let said = self.row.text.as_deref().map(|text| truncate(text, 1_000));
        let comment = json!({ "comment": {
            "id": self.row.id, "commentId": self.row.comment_id, "mediaId": self.row.media_id, "text": said,
        }});
        let body = Body {
            metadata: Some(comment.to_string()),
            ..message.map(|message| Body::of(&message)).unwrap_or_default()
        };
        let author =
            if self.rule.reply.action() == RuleAction::AskAgent { Author::Agent } else { Author::Rule };
        let reply = PrivateReply { mid, body, author, at: self.ctx.database_now() };
        if let Err(err) = self.ctx.conversations.apply(chat, Command::PrivateReply(reply)).await {
            tracing::warn!(comment = %self.row.id, error = %err, "cannot put a private reply into its conversation; retrying");
            return Ok(false);
        }
        self.ctx.store.note_comment_chat(self.row.id, chat).await?;
        Ok(true)
    }

    /// Answers for everybody, or hides the comment.
    async fn deed(&mut self, deed: Deed) -> Result<Next> {
        let state = match deed {
            Deed::PublicReply => &self.row.public_reply,
            Deed::Hide => &self.row.hidden,
        };
        if state.as_ref().is_none_or(|state| *state != DeedState::Pending) {
            return Ok(Next::Over);
        }
        let (claim, slot) = may_send(self.ctx, &self.route, None).await;
        if !matches!(claim, Claim::By(_)) {
            return Ok(Next::Later(SLOT_WAIT));
        }
        let (store, id, comment) = (&self.ctx.store, self.row.id, self.row.comment_id.as_str());
        if !store.change_comment_deed(id, deed, (DeedState::Pending, DeedState::Calling)).await? {
            self.ctx.breakers.unused(&of_graph(&self.route)).await;
            return Ok(Next::Over);
        }
        let (began, timeout) = (Instant::now(), self.ctx.options.graph_timeout);
        let done = match deed {
            Deed::PublicReply => {
                let text = self.rule.public_reply.as_deref().unwrap_or_default();
                self.ctx.graph.public_reply(&self.access, comment, text, timeout).await
            }
            Deed::Hide => self.ctx.graph.hide_comment(&self.access, comment, timeout).await,
        };
        drop(slot);
        let (state, next) = match done {
            Ok(()) => {
                self.ctx.breakers.passed(&of_graph(&self.route), began).await;
                (DeedState::Done, Next::Over)
            }
            Err(err) => {
                tracing::warn!(comment = %id, ?deed, class = err.class.as_str(), error = %err, "comment not dealt with");
                report(self.ctx, (&self.route, began), &self.connection, &err).await;
                match err.class {
                    FailureClass::Ambiguous => (DeedState::Unknown, Next::Over),
                    class if may_pass(class) && self.row.attempts < ATTEMPTS_MAX => {
                        (DeedState::Pending, Next::Again(self.delay(err.retry_after)))
                    }
                    _ => (DeedState::Failed, Next::Over),
                }
            }
        };
        store.change_comment_deed(id, deed, (DeedState::Calling, state)).await?;
        Ok(next)
    }
}

/// Whether a call that was certainly not carried out may succeed later.
fn may_pass(class: FailureClass) -> bool {
    matches!(
        class,
        FailureClass::Transient | FailureClass::Throttled | FailureClass::Reauth | FailureClass::Restricted
    )
}

fn plain_name_of(name: &str) -> Option<String> {
    Some(plain_name(name)).filter(|name| !name.is_empty())
}

/// The first text of an answer, as one message: a comment has one private reply.
fn first_text(replies: &[String]) -> Option<Outgoing> {
    let said = replies.iter().flat_map(|reply| directive::read(reply));
    let texts: Vec<String> = said
        .filter_map(|said| match said {
            directive::Said::Text(text) => Some(markdown::plain(&text)),
            _ => None,
        })
        .collect();
    let first = split(&texts.join("\n\n"), MAX_BYTES).into_iter().next()?;
    Outgoing::text(&first).ok()
}
