//! The states of rows, each with the value it is stored and shown as.
//!
//! A value unknown to this version (written by a newer one during a rolling deploy) parses to `None`, and its
//! row is left alone.

/// A value that is stored and shown as a word.
pub trait StateWord: std::fmt::Debug + Copy + Eq + Send + Sync + 'static {
    /// Parses a stored value.
    fn parse(word: &str) -> Option<Self>;

    /// The stored value.
    fn as_str(self) -> &'static str;
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
        }

        impl $name {
            /// All values, in order of their life cycle.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stored value.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// Parses a stored value.
            pub fn parse(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        impl $crate::states::StateWord for $name {
            fn parse(word: &str) -> Option<Self> {
                Self::parse(word)
            }

            fn as_str(self) -> &'static str {
                Self::as_str(self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words!(
    /// Whether an agent chat takes questions, in Retell's words (`chat_status`).
    AgentChatStatus {
        /// It does.
        Ongoing = "ongoing",
        /// It ended: by the agent, by silence, or by an error.
        Ended = "ended",
    }
);

words!(
    /// The state of an inbox event.
    EventState {
        /// Waiting to be ingested.
        New = "new",
        /// Applied to the other tables; the raw bytes are erased.
        Processed = "processed",
        /// Its account is not connected; stored for a while in case it is connected later.
        Unrouted = "unrouted",
        /// Understood and stored, not processed.
        Kept = "kept",
        /// Not understood; the raw bytes are stored.
        Unknown = "unknown",
        /// Failed too often; see its dead letter.
        Dead = "dead",
        /// Its user was erased; nothing of it is stored but its key, by which a late redelivery is recognized.
        Erased = "erased",
    }
);

words!(
    /// What became of a request to erase an account or a subaccount.
    ErasureState {
        /// It begins once it is due.
        Waiting = "waiting",
        /// It is under way.
        Running = "running",
        /// Everything is erased.
        Done = "done",
        /// Meta named an unknown user; an operator must check.
        Unmatched = "unmatched",
    }
);

words!(
    /// Why the agent is not asked about a received message.
    NotAsked {
        /// Another app has the conversation.
        Standby = "standby",
        /// No webhook brought it, and it was found too late, or after an answer.
        History = "history",
        /// Meta does not pass on messages of this type.
        Unsupported = "unsupported",
        /// It can be viewed once, and only in the Instagram app.
        ViewOnce = "view_once",
        /// It has neither words nor attachments.
        Empty = "empty",
        /// A rule of the connection's settings says what becomes of it.
        Rule = "rule",
    }
);

words!(
    /// What webhooks tell about an account as a whole.
    AccountSign {
        /// A message for us to answer.
        Message = "message",
        /// A message of a conversation that another app has.
        Standby = "standby",
        /// An edit of a message that never arrived (`num_edit` 0): what an unpublished Meta app is sent.
        EditOfNothing = "edit_of_nothing",
        /// A message that the account itself has sent.
        Echo = "echo",
        /// A webhook signed with a secret that may not speak for the account.
        NotSpokenFor = "not_spoken_for",
        /// Meta warned or restricted the account.
        PolicyEnforcement = "policy_enforcement",
        /// More events came than the budget allows at a time: they are taken in later.
        EventsOverBudget = "events_over_budget",
        /// The agent was asked as often as the budget allows: further questions wait.
        TurnsOverBudget = "turns_over_budget",
    }
);

words!(
    /// The state of an Instagram connection.
    ConnectionStatus {
        /// Being connected; not usable yet.
        Pending = "pending",
        /// In use.
        Connected = "connected",
        /// Meta rejected the token; messages wait for a reconnect.
        ReauthRequired = "reauth_required",
        /// Meta restricted the account or the app.
        Restricted = "restricted",
        /// Being disconnected while Meta is unreachable.
        Disconnecting = "disconnecting",
        /// Disconnected; the token is deleted.
        Disconnected = "disconnected",
    }
);

words!(
    /// The Meta login of the token, which determines host and paths.
    LoginKind {
        /// Instagram Login: `graph.instagram.com`, Instagram user token.
        Instagram = "instagram",
        /// Facebook Login: `graph.facebook.com`, Page token.
        Facebook = "facebook",
    }
);

words!(
    /// Who answers in a chat.
    ChatMode {
        /// The agent.
        Bot = "bot",
        /// A human; the agent is silent.
        Human = "human",
        /// No one for now: paused by a guard or by an operator.
        Paused = "paused",
    }
);

words!(
    /// The state of a broadcast.
    BroadcastState {
        /// It begins at its time, and after the one before it of the same account.
        Scheduled = "scheduled",
        /// It is under way.
        Running = "running",
        /// Somebody has paused it.
        Paused = "paused",
        /// Everybody has had it, or was skipped.
        Done = "done",
        /// Somebody has ended it.
        Cancelled = "cancelled",
    }
);

words!(
    /// What became of a broadcast for one customer.
    RecipientState {
        /// Not yet.
        Pending = "pending",
        /// Its message is in the outbox, or is being sent.
        Queued = "queued",
        /// Graph accepted it.
        Sent = "sent",
        /// It will not be sent.
        Failed = "failed",
        /// Whether it was sent cannot be found out. It is not sent again.
        Unknown = "unknown",
        /// The customer was spared, for a reason.
        Skipped = "skipped",
    }
);

words!(
    /// What a row of comments tells of.
    CommentKind {
        /// A comment on a post, a reel or a live broadcast of the account.
        Comment = "comment",
        /// A mention of the account in a caption or a comment.
        Mention = "mention",
    }
);

words!(
    /// What became of a comment.
    CommentState {
        /// Stored; no rule is for it.
        Received = "received",
        /// A rule is for it, and it waits.
        Pending = "pending",
        /// The agent is being asked for the reply.
        Asking = "asking",
        /// The private reply is being sent.
        Sending = "sending",
        /// The private reply was sent.
        Replied = "replied",
        /// The private reply will not be sent.
        Failed = "failed",
        /// Whether the private reply was sent, or the agent asked, cannot be found out. It is not tried again.
        Unknown = "unknown",
        /// Its rule wants no private reply, or there may be none.
        Skipped = "skipped",
    }
);

words!(
    /// What became of the public reply to a comment, or of hiding it.
    DeedState {
        /// It waits.
        Pending = "pending",
        /// The call is under way.
        Calling = "calling",
        /// It is done.
        Done = "done",
        /// It will not be done.
        Failed = "failed",
        /// Whether it was done cannot be found out. It is not tried again.
        Unknown = "unknown",
    }
);

words!(
    /// Why a customer is spared a broadcast.
    Skipped {
        /// They want no broadcasts.
        OptedOut = "opted_out",
        /// A human agent has the chat.
        HumanAnswers = "human_answers",
        /// Meta's window is not open.
        WindowClosed = "window_closed",
        /// The chat agent is answering.
        AgentAnswers = "agent_answers",
        /// A variable of the message has no value for them, or Meta would not take it with theirs.
        NotFilled = "not_filled",
        /// The chat is gone.
        Gone = "gone",
    }
);

words!(
    /// A folder of an inbox.
    Folder {
        /// Somebody must do something: a failure is open, the chat is flagged, or the customer waits and the agent does not answer.
        NeedsHuman = "needs_human",
        /// The customer wrote last.
        Unanswered = "unanswered",
        /// A failure is open.
        Failed = "failed",
        /// Meta's window ends soon.
        WindowClosing = "window_closing",
        /// Out of sight until a time, or until the next message.
        Snoozed = "snoozed",
    }
);

words!(
    /// In which order chats are listed.
    ChatSort {
        /// Those with the newest messages first.
        Newest = "newest",
        /// Those with the oldest last messages first.
        Oldest = "oldest",
        /// Those first whose reply window ends soonest; chats whose window is closed are left out.
        Window = "window",
    }
);

words!(
    /// The direction of a message.
    Direction {
        /// From the Instagram user.
        Inbound = "inbound",
        /// To the Instagram user.
        Outbound = "outbound",
    }
);

words!(
    /// The author of a message.
    Author {
        /// The Instagram user.
        User = "user",
        /// The chat agent.
        Agent = "agent",
        /// A human agent, through the REST API.
        Human = "human",
        /// A human, in the Instagram app.
        Native = "native",
        /// Instagram itself: an instant reply, an away message.
        Automation = "automation",
        /// A rule of the connection's settings, in place of the chat agent.
        Rule = "rule",
        /// A broadcast of the business.
        Broadcast = "broadcast",
        /// Neither: a note about an event in the conversation.
        System = "system",
    }
);

words!(
    /// The status of a message.
    MessageStatus {
        /// Inbound, stored.
        Received = "received",
        /// Outbound, queued.
        Queued = "queued",
        /// A send is in progress.
        Sending = "sending",
        /// Accepted by Graph.
        Sent = "sent",
        /// It is unknown whether Graph accepted it. With a deadline it is being reconciled; without one a
        /// human must decide.
        Unknown = "unknown",
        /// Will not be sent; see its dead letter.
        Failed = "failed",
        /// Not sent, because a human took over or the question was unsent.
        Suppressed = "suppressed",
        /// Not sent, because an earlier part failed.
        Cancelled = "cancelled",
    }
);

words!(
    /// The state of a turn.
    TurnState {
        /// The agent is being asked.
        Asking = "asking",
        /// Being reconciled: it is unknown whether the agent received the question.
        Reconciling = "reconciling",
        /// The agent certainly did not receive it; asked again when due.
        Waiting = "waiting",
        /// Answered; the replies are in the outbox.
        Answered = "answered",
        /// Failed permanently; see its dead letter.
        Failed = "failed",
        /// It will remain unknown whether the agent received it.
        Unknown = "unknown",
        /// Not asked, because a human took over first.
        Suppressed = "suppressed",
    }
);

words!(
    /// A part of a connection's health.
    CheckName {
        /// The token is accepted, and is the account's.
        Token = "token",
        /// How long the token holds.
        TokenEnd = "token_end",
        /// What its owner has granted.
        Permissions = "permissions",
        /// The webhook fields that are needed are subscribed.
        Webhooks = "webhooks",
        /// The account's own switch lets apps read its messages.
        MessageAccess = "message_access",
        /// Events come as usual.
        Traffic = "traffic",
        /// Conversations are ours, and not another app's.
        Routing = "routing",
        /// Messages come, and not only what the account itself sends, or edits.
        Delivery = "delivery",
    }
);

words!(
    /// What a check has found.
    CheckState {
        /// Nothing to do.
        Ok = "ok",
        /// Something will go wrong, or looks odd.
        Warning = "warning",
        /// Messages are not received or not answered.
        Failing = "failing",
        /// Meta does not tell.
        Unknown = "unknown",
    }
);

impl CheckState {
    /// Whether somebody should look at it.
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Warning | Self::Failing)
    }

    /// The worse of two: what is not known is better than a warning.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let rank = |state: Self| match state {
            Self::Ok => 0,
            Self::Unknown => 1,
            Self::Warning => 2,
            Self::Failing => 3,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

words!(
    /// The state of a connect session.
    ConnectSessionStatus {
        /// The person has not come back from Meta.
        Open = "open",
        /// A request works on it.
        Working = "working",
        /// The person must choose a Page.
        ChoosePage = "choose_page",
        /// The account is connected.
        Connected = "connected",
        /// The person did not want to.
        Cancelled = "cancelled",
        /// It failed.
        Failed = "failed",
        /// Its time is up.
        Expired = "expired",
    }
);

words!(
    /// Who asks a person which of their Pages it is.
    PageChoice {
        /// A page of the API.
        Hosted = "hosted",
        /// The frontend.
        Frontend = "frontend",
    }
);

words!(
    /// The state of a dead letter.
    DeadLetterState {
        /// Not handled yet.
        Open = "open",
        /// Replayed.
        Replayed = "replayed",
        /// Discarded.
        Discarded = "discarded",
    }
);

words!(
    /// The kind of object a dead letter is about.
    DeadLetterKind {
        /// An inbox event.
        Event = "event",
        /// A question to the agent.
        Turn = "turn",
        /// A message that was not sent, or not answered.
        Message = "message",
    }
);

words!(
    /// The kind of an activity.
    ActivityKind {
        /// An account was connected.
        Connected = "INSTAGRAM_CONNECTED",
        /// An account was disconnected.
        Disconnected = "INSTAGRAM_DISCONNECTED",
        /// An account was not connected by the person who was asked to log in at Meta.
        ConnectFailed = "INSTAGRAM_CONNECT_FAILED",
        /// A message was accepted by Graph.
        MessageSent = "INSTAGRAM_MESSAGE_SENT",
        /// A message arrived.
        MessageReceived = "INSTAGRAM_MESSAGE_RECEIVED",
        /// A message will not be sent, or whether it was sent cannot be found out.
        MessageFailed = "INSTAGRAM_MESSAGE_FAILED",
        /// A human agent's message waits to be sent.
        MessageQueued = "INSTAGRAM_MESSAGE_QUEUED",
        /// A reply is not sent: a human agent took over, the question was unsent, or an earlier part of the answer failed.
        MessageHeldBack = "INSTAGRAM_MESSAGE_HELD_BACK",
        /// A customer took a message back.
        MessageUnsent = "INSTAGRAM_MESSAGE_UNSENT",
        /// A customer changed what a message says.
        MessageEdited = "INSTAGRAM_MESSAGE_EDITED",
        /// A customer read everything up to a message.
        MessageRead = "INSTAGRAM_MESSAGE_READ",
        /// A customer reacted to a message, or took a reaction back.
        MessageReaction = "INSTAGRAM_MESSAGE_REACTION",
        /// A voice message was transcribed, or a picture described.
        MessageUnderstood = "INSTAGRAM_MESSAGE_UNDERSTOOD",
        /// A customer wants no more broadcasts.
        OptedOut = "CUSTOMER_OPTED_OUT",
        /// A customer wants broadcasts again.
        OptedIn = "CUSTOMER_OPTED_IN",
        /// Somebody has commented on a post of the account, or mentioned it.
        CommentReceived = "INSTAGRAM_COMMENT_RECEIVED",
        /// A private reply to a comment was sent, failed, or is unknown.
        CommentAnswered = "INSTAGRAM_COMMENT_ANSWERED",
        /// A broadcast was made.
        BroadcastCreated = "BROADCAST_CREATED",
        /// A broadcast has come a good way further.
        BroadcastProgress = "BROADCAST_PROGRESS",
        /// A broadcast was paused, resumed or ended.
        BroadcastChanged = "BROADCAST_CHANGED",
        /// What the agent, or a rule, wanted to send cannot be sent: a directive, or a saved message that is gone.
        InstructionIgnored = "INSTAGRAM_INSTRUCTION_IGNORED",
        /// The agent is asked.
        TurnStarted = "TURN_STARTED",
        /// A question to the agent is over.
        TurnEnded = "TURN_ENDED",
        /// A connection changed its state on its own.
        ConnectionStateChanged = "INSTAGRAM_CONNECTION_STATE_CHANGED",
        /// A caller changed a connection's settings.
        SettingsChanged = "INSTAGRAM_SETTINGS_CHANGED",
        /// The operator moved an account to another subaccount.
        AccountMoved = "INSTAGRAM_ACCOUNT_MOVED",
        /// Another agent answers for an account.
        AgentChanged = "INSTAGRAM_AGENT_CHANGED",
        /// The ice breakers and the menu of an account were set or removed.
        InboxProfileSet = "INSTAGRAM_INBOX_PROFILE_SET",
        /// A check of a connection's health found something, or finds it no more.
        CheckChanged = "INSTAGRAM_CHECK_CHANGED",
        /// The webhooks of an account were not subscribed any more, and are again.
        Resubscribed = "INSTAGRAM_WEBHOOKS_RESUBSCRIBED",
        /// Messages were found that no webhook had brought.
        Backfilled = "INSTAGRAM_MESSAGES_BACKFILLED",
        /// The access token was renewed.
        TokenRefreshed = "INSTAGRAM_TOKEN_REFRESHED",
        /// The access token could not be renewed.
        TokenFailing = "INSTAGRAM_TOKEN_FAILING",
        /// The agent fell silent, in a chat or in the whole account.
        BotPaused = "INSTAGRAM_BOT_PAUSED",
        /// The agent resumed.
        BotResumed = "INSTAGRAM_BOT_RESUMED",
        /// Questions to the agent, sends or connecting were paused.
        CallsPaused = "INSTAGRAM_CALLS_PAUSED",
        /// They were resumed.
        CallsResumed = "INSTAGRAM_CALLS_RESUMED",
        /// Meta told of something that is not understood.
        EventUnknown = "INSTAGRAM_EVENT_UNKNOWN",
        /// Meta warned or restricted the account.
        PolicyEnforced = "INSTAGRAM_POLICY_ENFORCED",
        /// A text that Instagram sends on its own was recognized.
        AutomationRecognized = "INSTAGRAM_AUTOMATION_RECOGNIZED",
        /// A chat was assigned, tagged or snoozed.
        ChatTriaged = "CHAT_TRIAGED",
        /// Somebody wrote a note about a chat.
        ChatNoteAdded = "CHAT_NOTE_ADDED",
        /// Somebody deleted a note about a chat.
        ChatNoteRemoved = "CHAT_NOTE_REMOVED",
        /// A message was saved for reuse, or written anew.
        TemplateSaved = "TEMPLATE_SAVED",
        /// A saved message was removed.
        TemplateDeleted = "TEMPLATE_DELETED",
        /// A chat needs a human agent's attention.
        ChatFlagged = "CHAT_FLAGGED",
        /// It does not any more.
        ChatFlagCleared = "CHAT_FLAG_CLEARED",
        /// Something failed for good.
        DeadLetterOpened = "DEAD_LETTER_OPENED",
        /// A dead letter was replayed.
        DeadLetterReplayed = "DEAD_LETTER_REPLAYED",
        /// A dead letter was discarded.
        DeadLetterDiscarded = "DEAD_LETTER_DISCARDED",
        /// An agent became a subaccount's.
        AgentAssigned = "AGENT_ASSIGNED",
        /// An agent belongs to nobody any more.
        AgentReleased = "AGENT_RELEASED",
        /// A subaccount was given a key of its own at the agent's provider.
        ProviderKeySet = "PROVIDER_KEY_SET",
        /// It has none any more.
        ProviderKeyRemoved = "PROVIDER_KEY_REMOVED",
        /// A subaccount was given a Meta app of its own.
        MetaAppSet = "META_APP_SET",
        /// It has none any more.
        MetaAppRemoved = "META_APP_REMOVED",
        /// Somebody is notified of incidents from now on.
        NotificationTargetAdded = "NOTIFICATION_TARGET_ADDED",
        /// Who is notified, or of what, was changed.
        NotificationTargetChanged = "NOTIFICATION_TARGET_CHANGED",
        /// Somebody is not notified any more.
        NotificationTargetRemoved = "NOTIFICATION_TARGET_REMOVED",
        /// A notification could not be delivered, and was given up.
        NotificationFailed = "NOTIFICATION_FAILED",
        /// An operator read what a customer wrote, at the command line.
        CustomerTextRead = "CUSTOMER_TEXT_READ",
        /// A customer was erased: what they wrote, and what was written to them.
        UserErased = "USER_ERASED",
        /// It was asked to erase an account or a subaccount.
        ErasureRequested = "ERASURE_REQUESTED",
        /// Everything of an account was erased.
        AccountErased = "ACCOUNT_ERASED",
        /// An API key was created.
        ApiKeyCreated = "API_KEY_CREATED",
        /// An API key was revoked.
        ApiKeyRevoked = "API_KEY_REVOKED",
        /// A person was given a session.
        SessionCreated = "SESSION_CREATED",
        /// A session was ended before its time.
        SessionRevoked = "SESSION_REVOKED",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_parses_back() {
        for status in MessageStatus::ALL {
            assert_eq!(MessageStatus::parse(status.as_str()), Some(*status));
        }
        for state in ConnectionStatus::ALL {
            assert_eq!(ConnectionStatus::parse(state.as_str()), Some(*state));
        }
        assert_eq!(TurnState::parse("of a later version"), None);
    }
}
