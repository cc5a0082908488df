//! How long it took until Graph accepted a message.

use dmrelay_domain::clock::Millis;
use dmrelay_domain::states::Author;
use dmrelay_runtime::metrics::{Metrics, Stage, seconds};
use dmrelay_store::entity::message;

/// Counts a message that Graph has accepted, `now` by the database's clock.
pub(crate) fn count_sent(metrics: &Metrics, message: &message::Model, now: Millis) {
    metrics.messages_sent.with_label_values(&[&message.author]).inc();
    if message.author != Author::Agent.as_str() {
        return;
    }
    metrics.answer_to_sent_seconds.observe(seconds(now - message.created_at));
    // What follows in the same answer has waited for what came before it; a fallback answers nothing.
    if message.part != Some(0) {
        return;
    }
    let started = message.started_at.unwrap_or(message.created_at);
    metrics.reply_seconds.observe(seconds(now - message.received_at));
    metrics.stage(Stage::Queue, started - message.created_at);
    metrics.stage(Stage::Send, now - started);
}
