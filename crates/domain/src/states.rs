//! The states of rows, each with the word it is stored and shown as.
//!
//! A word that this version does not know (written by a newer one during a rolling deploy) parses to
//! nothing, and its row is left alone.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
        }

        impl $name {
            /// Every one of them, in the order of their life.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stored word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// The state a stored word names.
            pub fn parse(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
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
    /// Where an event of the inbox stands.
    EventState {
        /// Waits for ingest.
        New = "new",
        /// Its effect is in the other tables; the raw bytes are erased.
        Processed = "processed",
        /// Its account is connected to nobody; kept for a while for a late connect.
        Unrouted = "unrouted",
        /// Understood, and kept as it came: nothing else is made of it.
        Kept = "kept",
        /// Not understood; the raw bytes are kept.
        Unknown = "unknown",
        /// Failed too often; a dead letter tells why.
        Dead = "dead",
    }
);

words!(
    /// The state of an Instagram connection.
    ConnectionStatus {
        /// Being connected; not usable yet.
        Pending = "pending",
        /// In use.
        Connected = "connected",
        /// Meta refused the token; messages wait for a reconnect.
        ReauthRequired = "reauth_required",
        /// Meta restricted the account or the app.
        Restricted = "restricted",
        /// Being disconnected while Meta is not reachable.
        Disconnecting = "disconnecting",
        /// Disconnected; the token is forgotten.
        Disconnected = "disconnected",
    }
);

words!(
    /// Which of Meta's logins the token is from; it decides the host and the paths.
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
        /// A person; the agent is silent.
        Human = "human",
        /// Nobody for now: paused by a guard or by an operator.
        Paused = "paused",
    }
);

words!(
    /// Which way a message went.
    Direction {
        /// From the Instagram user.
        Inbound = "inbound",
        /// To the Instagram user.
        Outbound = "outbound",
    }
);

words!(
    /// Who wrote a message.
    Author {
        /// The Instagram user.
        User = "user",
        /// The chat agent.
        Agent = "agent",
        /// A person, through the REST API.
        Human = "human",
        /// A person, in the Instagram app.
        Native = "native",
        /// Neither: a note about what happened in the conversation.
        System = "system",
    }
);

words!(
    /// Where a message stands.
    MessageStatus {
        /// Inbound, stored.
        Received = "received",
        /// Outbound, waits for its turn.
        Queued = "queued",
        /// A send is in flight.
        Sending = "sending",
        /// Accepted by Graph.
        Sent = "sent",
        /// Nobody knows whether Graph took it. With a deadline: being found out; without: for a person.
        Unknown = "unknown",
        /// Will not be sent; the dead letter tells why.
        Failed = "failed",
        /// Not sent, because a person took over or what it answers was taken back.
        Suppressed = "suppressed",
        /// Not sent, because a part before it failed.
        Cancelled = "cancelled",
    }
);

words!(
    /// Where a turn stands.
    TurnState {
        /// The agent is being asked.
        Asking = "asking",
        /// It is being found out whether the agent took the question.
        Reconciling = "reconciling",
        /// The agent surely did not take it; asked again when due.
        Waiting = "waiting",
        /// Answered; the replies are in the outbox.
        Answered = "answered",
        /// Failed for good; the dead letter tells why.
        Failed = "failed",
        /// Nobody can know whether the agent took it.
        Unknown = "unknown",
        /// Not asked, because a person took over before.
        Suppressed = "suppressed",
    }
);

words!(
    /// What became of a dead letter.
    DeadLetterState {
        /// Nobody has looked at it yet.
        Open = "open",
        /// What had failed was tried again.
        Replayed = "replayed",
        /// What had failed was left at that.
        Discarded = "discarded",
    }
);

words!(
    /// What a dead letter speaks of.
    DeadLetterKind {
        /// An event of the inbox.
        Event = "event",
        /// A question to the agent.
        Turn = "turn",
        /// A message to be sent, or one that was not answered.
        Message = "message",
    }
);

words!(
    /// What the activity log tells of.
    ActivityKind {
        /// An account was connected.
        Connected = "INSTAGRAM_CONNECTED",
        /// An account was disconnected.
        Disconnected = "INSTAGRAM_DISCONNECTED",
        /// A message was accepted by Graph.
        MessageSent = "INSTAGRAM_MESSAGE_SENT",
        /// A message came in.
        MessageReceived = "INSTAGRAM_MESSAGE_RECEIVED",
        /// A message will not be sent.
        MessageFailed = "INSTAGRAM_MESSAGE_FAILED",
        /// A connection changed its state by itself.
        ConnectionStateChanged = "INSTAGRAM_CONNECTION_STATE_CHANGED",
        /// Somebody changed a connection's settings.
        SettingsChanged = "INSTAGRAM_SETTINGS_CHANGED",
        /// The access token was renewed.
        TokenRefreshed = "INSTAGRAM_TOKEN_REFRESHED",
        /// The access token could not be renewed.
        TokenFailing = "INSTAGRAM_TOKEN_FAILING",
        /// The agent fell silent, in a chat or in a whole account.
        BotPaused = "INSTAGRAM_BOT_PAUSED",
        /// The agent answers again.
        BotResumed = "INSTAGRAM_BOT_RESUMED",
        /// What had failed for good is tried again.
        DeadLetterReplayed = "DEAD_LETTER_REPLAYED",
        /// What had failed for good is left at that.
        DeadLetterDiscarded = "DEAD_LETTER_DISCARDED",
        /// An API key was made.
        ApiKeyCreated = "API_KEY_CREATED",
        /// An API key was revoked.
        ApiKeyRevoked = "API_KEY_REVOKED",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_parses_back() {
        for status in MessageStatus::ALL {
            assert_eq!(MessageStatus::parse(status.as_str()), Some(*status));
        }
        for state in ConnectionStatus::ALL {
            assert_eq!(ConnectionStatus::parse(state.as_str()), Some(*state));
        }
        assert_eq!(TurnState::parse("of a later version"), None);
    }
}
