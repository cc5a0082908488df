//! Calls per second, if a limit is set (Meta, "Rate limits": 100 sends and 2 Conversations API calls per
//! account).

use super::errors::GraphError;
use crate::world::World;

/// Counts a send, or rejects it.
pub(crate) fn send(world: &mut World, account: &str, now: i64) -> Result<(), GraphError> {
    let limit = world.settings.graph.sends_per_second;
    let Some((account, limit)) = world.accounts.get_mut(account).zip(limit) else { return Ok(()) };
    within(&mut account.recent_sends, limit, now)
        .then_some(())
        .ok_or_else(|| GraphError::new(613, "(#613) Calls to this api have exceeded the rate limit."))
}

/// Counts a call of the Conversations API, or rejects it.
pub(crate) fn conversation_call(world: &mut World, account: &str, now: i64) -> Result<(), GraphError> {
    let limit = world.settings.graph.conversation_calls_per_second;
    let Some((account, limit)) = world.accounts.get_mut(account).zip(limit) else { return Ok(()) };
    within(&mut account.recent_conversation_calls, limit, now).then_some(()).ok_or_else(|| {
        GraphError::new(
            80002,
            "(#80002) There have been too many calls to this Instagram account. Wait a bit and try again. For more \
             info, please refer to https://developers.facebook.com/docs/graph-api/overview/rate-limiting.",
        )
    })
}

fn within(recent: &mut Vec<i64>, limit: u32, now: i64) -> bool {
    recent.retain(|at| now - at < 1_000);
    let allowed = recent.len() < limit as usize;
    if allowed {
        recent.push(now);
    }
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_later_there_is_room_again() {
        let mut recent = Vec::new();
        let allowed = [0, 1, 2, 999, 1_000].map(|now| within(&mut recent, 2, now));
        assert_eq!(allowed, [true, true, false, false, true]);
    }
}
