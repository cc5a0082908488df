//! Rows as the REST API and the operator's commands show them: camelCase, times as RFC 3339. Every field is
//! always present, null if it has no value.

mod api_key;
mod backfill;
mod broadcast;
mod chat;
mod comment;
mod connection;
pub mod enums;
mod format;
mod health;
mod media;
mod message;
mod notice;
mod notification;
mod operations;
mod overview;
mod pause;
mod session;
mod settings;
mod template;
mod timeline;
mod usage;

pub use api_key::ApiKeyView;
pub use backfill::BackfillView;
pub use broadcast::{
    AudienceView, BroadcastProgress, BroadcastView, ReachView, RecipientView, SkippedReasons,
};
pub use chat::{CanSend, ChatCounts, ChatView, NeedsHuman, NoteView, mode_reason};
pub use comment::CommentView;
pub use connection::{ConnectionView, EntryPoints, QrCodes, WebhookView};
pub use format::{parse_time, time, timed};
pub use health::{CheckView, HealthView, worst};
pub use media::{MediaView, UploadView};
pub use message::{MessageError, MessageView, TurnView};
pub use notice::{Notice, NoticeCode};
pub use notification::{AttemptView, IncidentView, NotificationView, TargetView};
pub use operations::{ActivityView, DeadLetterView};
pub use overview::{
    Observed, OverviewAccount, OverviewBar, OverviewBreaker, OverviewCounts, OverviewView, Range,
};
pub use pause::PauseView;
pub use session::SessionView;
pub use settings::{
    CommentRuleView, ConnectionSettings, EffectiveSettings, RuleView, SettingDefaults, cleaned, stored_taps,
    stored_words,
};
pub use template::{TemplateVersionView, TemplateView};
pub use timeline::{Moment, TimelineEntry, TimelineEvent, moments, timeline};
pub use usage::{TurnBudgetView, UsageCounts, UsageDayView, date, parse_date, usage_csv};

use dmrelay_store::Page;
use serde::Serialize;
use utoipa::ToSchema;

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    /// The items of this page.
    items: Vec<T>,
    /// Number of items in the whole list; counting stops at 1,000.
    #[schema(minimum = 0, maximum = 1000)]
    total: u64,
    /// Whether `total` is exact, that is, counting did not stop early.
    total_is_exact: bool,
    /// Maximum number of items on a page.
    limit: u64,
    /// Number of items before this page.
    skip: u64,
    /// Cursor of the next page, to pass as `cursor`; null on the last page.
    next_cursor: Option<String>,
}

impl<T> List<T> {
    /// A page of rows, each converted into its view.
    pub fn of<R, C>(
        page: Page<R, C>,
        (limit, skip): (u64, u64),
        view: impl Fn(&R) -> T,
        cursor: impl Fn(C) -> String,
    ) -> Self {
        Self::of_page(page.map(view), (limit, skip), cursor)
    }

    /// The same, of a page of views.
    pub fn of_page<C>(page: Page<T, C>, (limit, skip): (u64, u64), cursor: impl Fn(C) -> String) -> Self {
        Self {
            items: page.items,
            total: page.total,
            total_is_exact: page.total_is_exact,
            limit,
            skip,
            next_cursor: page.next.map(cursor),
        }
    }

    /// A list with a single page.
    pub fn whole(items: Vec<T>) -> Self {
        let total = items.len() as u64;
        Self { items, total, total_is_exact: true, limit: total, skip: 0, next_cursor: None }
    }
}
