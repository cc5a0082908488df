//! The tables, one file each, with no logic. Times are milliseconds since the Unix epoch by the database's
//! clock unless they are Meta's; states are [`Word`]s of
//! `dmrelay_domain::states`; JSON is stored as text.

/// Names, in the module of an entity, the relation that leads to each of these others.
macro_rules! related {
    ($($entity:path => $relation:ident),+ $(,)?) => {
        $(
            impl sea_orm::Related<$entity> for Entity {
                fn to() -> sea_orm::RelationDef {
                    Relation::$relation.def()
                }
            }
        )+
    };
}

pub mod account_sign;
pub mod activity;
pub mod agent;
pub mod agent_chat;
pub mod agent_chat_deletion;
pub mod api_key;
pub mod backfill;
pub mod breaker;
pub mod broadcast;
pub mod broadcast_recipient;
pub mod budget;
pub mod chat;
pub mod chat_note;
pub mod chat_read;
pub mod chat_tag;
pub mod chat_triage;
pub mod comment;
pub mod connect_session;
pub mod connection_check;
pub mod dead_letter;
pub mod erased_trace;
pub mod erased_user;
pub mod erasure;
pub mod event;
pub mod idempotency_key;
pub mod incident;
pub mod instagram_connection;
pub mod leader;
pub mod media;
pub mod message;
pub mod meta_app;
pub mod notification;
pub mod notification_target;
pub mod pause;
pub mod process;
pub mod prompt_echo;
pub mod provider_key;
pub mod session;
pub mod template;
pub mod template_version;
pub mod turn;
pub mod turn_count;
pub mod usage_day;
mod word;

pub use word::Word;
