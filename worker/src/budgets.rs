//! How often the agent may be asked for an account, a subaccount and the whole installation. What is beyond stays due and is
//! asked when the hour or the day (UTC) is over; meanwhile the poller passes it by (`turn_holds`). All workers count together,
//! by way of the database: a few seconds late.

use dmrelay_domain::clock::Millis;
use dmrelay_domain::conversation::{Provider, Route};
use dmrelay_domain::ids::ConnectionId;
use dmrelay_domain::states::AccountSign;
use dmrelay_runtime::metrics::Metrics;
use dmrelay_runtime::settings::TurnBudgets as Settings;
use dmrelay_store::{Result, SeenSign, Store, TurnCount, TurnHold};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const HOUR: Millis = 3_600_000;
const DAY: Millis = 86_400_000;

/// How often the counts of all workers are loaded.
const LOAD_INTERVAL: Duration = Duration::from_secs(5);

/// How long the poller passes by what a budget holds back, unless that is said again.
const HOLD: Duration = Duration::from_secs(15);

/// How long a conversation waits at most until its budget is looked at again.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// Turns of this hour and of today.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    hour: i64,
    day: i64,
}

/// The count of an account or a subaccount.
#[derive(Debug, Clone, Default)]
struct Counted {
    turns: Count,
    /// The Instagram account, of an account.
    account: String,
    /// Whether the operator's key asks.
    is_shared: bool,
}

/// The budgets as seen by this process.
pub(crate) struct Budgets {
    settings: Settings,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    accounts: HashMap<ConnectionId, Counted>,
    subaccounts: HashMap<String, Counted>,
    /// Turns of today that the operator's key asked.
    all: i64,
    /// The hour in which these were counted, since the epoch.
    hour: Millis,
    /// Turns of this process that are not written down yet.
    new: HashMap<ConnectionId, New>,
    /// The accounts for which a turn waits, and why.
    waiting: HashMap<String, String>,
    loaded: Option<Instant>,
}

#[derive(Debug, Clone)]
struct New {
    subaccount: String,
    account: String,
    is_shared: bool,
    turns: i64,
}

/// Whose budget is used up, and when it is whole again.
struct UsedUp {
    what: String,
    period: Millis,
}

impl Seen {
    fn add(&mut self, connection: ConnectionId, of: &New, turns: Count) {
        let add = |counted: &mut Counted| {
            counted.turns.hour += turns.hour;
            counted.turns.day += turns.day;
            counted.account.clone_from(&of.account);
            counted.is_shared = of.is_shared;
        };
        add(self.accounts.entry(connection).or_default());
        add(self.subaccounts.entry(of.subaccount.clone()).or_default());
        if of.is_shared {
            self.all += turns.day;
        }
    }

    /// Counts of a former hour or day are over. Time does not go back.
    fn settle(&mut self, now: Millis) {
        let hour = now / HOUR;
        if hour <= self.hour {
            return;
        }
        if hour * HOUR / DAY != self.hour * HOUR / DAY {
            self.accounts.clear();
            self.subaccounts.clear();
            self.all = 0;
        }
        let counts = self.accounts.values_mut().chain(self.subaccounts.values_mut());
        counts.for_each(|counted| counted.turns.hour = 0);
        self.hour = hour;
    }

    /// A like share of the installation's day for each subaccount that has asked today.
    fn share(&self, of_all: u64) -> i64 {
        let active = self.subaccounts.values().filter(|counted| counted.is_shared).count();
        number(of_all) / i64::try_from(active.max(1)).unwrap_or(i64::MAX)
    }
}

fn number(most: u64) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

/// Whether so many turns use up a budget; 0 is none.
fn over(turns: i64, most: u64) -> bool {
    most > 0 && turns >= number(most)
}

impl Budgets {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, seen: Mutex::default() }
    }

    /// A turn has begun.
    pub(crate) fn count(&self, connection: ConnectionId, route: &Route, now: Millis) {
        let mut seen = self.lock();
        seen.settle(now);
        let new = seen.new.entry(connection).or_insert_with(|| New {
            subaccount: route.subaccount.to_string(),
            account: route.account.to_string(),
            is_shared: route.provider == Provider::Shared,
            turns: 0,
        });
        new.turns += 1;
        let new = new.clone();
        seen.add(connection, &new, Count { hour: 1, day: 1 });
    }

    /// How long a turn of this connection is to wait, if a budget is used up.
    pub(crate) fn wait(&self, connection: ConnectionId, route: &Route, now: Millis) -> Option<Duration> {
        let mut seen = self.lock();
        seen.settle(now);
        let is_shared = route.provider == Provider::Shared;
        let used_up = self
            .account_used_up(&seen, connection)
            .or_else(|| self.subaccount_used_up(&seen, route.subaccount.as_str(), is_shared))
            .or_else(|| self.all_used_up(&seen).filter(|_| is_shared))?;
        seen.waiting.insert(route.account.to_string(), used_up.what);
        let rest = used_up.period - now.rem_euclid(used_up.period);
        Some(dmrelay_domain::clock::duration(rest).min(WAIT_MAX))
    }

    fn account_used_up(&self, seen: &Seen, connection: ConnectionId) -> Option<UsedUp> {
        let turns = seen.accounts.get(&connection)?.turns.hour;
        let what = || format!("{turns} times in an hour for this account");
        over(turns, self.settings.turns_per_account_hour).then(|| UsedUp { what: what(), period: HOUR })
    }

    fn subaccount_used_up(&self, seen: &Seen, subaccount: &str, is_shared: bool) -> Option<UsedUp> {
        let Count { hour, day } = seen.subaccounts.get(subaccount)?.turns;
        let limits = &self.settings;
        if over(hour, limits.turns_per_subaccount_hour) {
            return Some(UsedUp { what: format!("{hour} times in an hour for all accounts"), period: HOUR });
        }
        // The last tenth of the installation's day is for those that have had less than their share of it.
        let all = limits.turns_per_day;
        let is_beyond_share = is_shared && over(seen.all, all - all / 10) && day >= seen.share(all);
        if over(day, limits.turns_per_subaccount_day) || is_beyond_share {
            return Some(UsedUp { what: format!("{day} times in a day for all accounts"), period: DAY });
        }
        None
    }

    fn all_used_up(&self, seen: &Seen) -> Option<UsedUp> {
        let what = || "as often as in a day for the whole installation".to_owned();
        over(seen.all, self.settings.turns_per_day).then(|| UsedUp { what: what(), period: DAY })
    }

    /// Writes down what was counted here, and loads every few seconds what all have counted.
    pub(crate) async fn refresh(&self, store: &Store, metrics: &Metrics, now: Millis) -> Result<()> {
        self.write_down(store).await?;
        if self.lock().loaded.is_some_and(|at| at.elapsed() < LOAD_INTERVAL) {
            return Ok(());
        }
        let counts = store.turn_counts().await?;
        let waiting = self.load(counts, now);
        self.show(metrics);
        store.hold_turns(self.holds(now)).await?;
        let signs = waiting.into_iter().map(|(account, detail)| SeenSign {
            account,
            sign: AccountSign::TurnsOverBudget,
            count: 1,
            detail: Some(detail),
        });
        store.record_signs(signs.collect()).await
    }

    /// Adds what was counted here to what all have counted.
    pub(crate) async fn write_down(&self, store: &Store) -> Result<()> {
        let new = std::mem::take(&mut self.lock().new);
        let rows = new.iter().map(|(id, of)| (*id, of.subaccount.clone(), of.turns)).collect();
        let written = store.add_turn_counts(rows).await;
        if written.is_err() {
            let mut seen = self.lock();
            for (id, of) in new {
                seen.new.entry(id).or_insert_with(|| New { turns: 0, ..of.clone() }).turns += of.turns;
            }
        }
        written
    }

    /// Takes the counts of all workers; gives the accounts for which a turn waits.
    fn load(&self, counts: Vec<TurnCount>, now: Millis) -> HashMap<String, String> {
        let mut seen = self.lock();
        seen.settle(now);
        (seen.accounts, seen.subaccounts, seen.all) = Default::default();
        for count in counts {
            let turns = Count { hour: count.hour_turns, day: count.day_turns };
            let of = New {
                subaccount: count.subaccount_id,
                account: count.instagram_account_id,
                is_shared: count.is_shared,
                turns: 0,
            };
            seen.add(count.connection_id, &of, turns);
        }
        // What was counted meanwhile.
        for (id, of) in seen.new.clone() {
            seen.add(id, &of, Count { hour: of.turns, day: of.turns });
        }
        seen.loaded = Some(Instant::now());
        std::mem::take(&mut seen.waiting)
    }

    /// What the poller passes by: until the budget is whole again, but for no longer than [`HOLD`].
    fn holds(&self, now: Millis) -> Vec<TurnHold> {
        let seen = self.lock();
        let until = |used_up: UsedUp| {
            let whole = now - now.rem_euclid(used_up.period) + used_up.period;
            whole.min(now + dmrelay_domain::clock::millis(HOLD))
        };
        let mut holds = Vec::new();
        for (connection, counted) in &seen.accounts {
            if let Some(used_up) = self.account_used_up(&seen, *connection) {
                holds.push(TurnHold { key: TurnHold::of_account(&counted.account), until: until(used_up) });
            }
        }
        for (subaccount, counted) in &seen.subaccounts {
            if let Some(used_up) = self.subaccount_used_up(&seen, subaccount, counted.is_shared) {
                holds.push(TurnHold { key: TurnHold::of_subaccount(subaccount), until: until(used_up) });
            }
        }
        let all = self
            .all_used_up(&seen)
            .map(|used_up| TurnHold { key: TurnHold::of_all(), until: until(used_up) });
        holds.extend(all);
        holds
    }

    fn show(&self, metrics: &Metrics) {
        let seen = self.lock();
        let accounts = seen.accounts.keys().filter(|id| self.account_used_up(&seen, **id).is_some());
        let subaccounts = seen
            .subaccounts
            .iter()
            .filter(|(id, counted)| self.subaccount_used_up(&seen, id, counted.is_shared).is_some());
        for (scope, count) in [
            ("account", accounts.count()),
            ("subaccount", subaccounts.count()),
            ("installation", usize::from(self.all_used_up(&seen).is_some())),
        ] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            metrics.turn_budgets_used_up.with_label_values(&[scope]).set(count);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dmrelay_domain::conversation::Provider;
    use dmrelay_domain::ids::{AgentId, InstagramAccountId, SubaccountId};
    use dmrelay_domain::states::LoginKind;

    fn route(subaccount: &str) -> Route {
        Route {
            subaccount: SubaccountId::parse(subaccount).unwrap(),
            agent: AgentId::parse("agent").unwrap(),
            provider: Provider::Shared,
            account: InstagramAccountId::parse("1").unwrap(),
            login: LoginKind::Instagram,
        }
    }

    #[test]
    fn turns_wait_until_the_hour_or_the_day_is_over() {
        let budgets = Budgets::new(Settings {
            turns_per_account_hour: 2,
            turns_per_subaccount_hour: 3,
            turns_per_subaccount_day: 4,
            turns_per_day: 5,
        });
        let (acme, other) = (route("acme"), route("other"));
        let (a, b, c) = (ConnectionId::new(), ConnectionId::new(), ConnectionId::new());
        let now = 1_000 * DAY + HOUR / 2;
        budgets.count(a, &acme, now);
        assert_eq!(budgets.wait(a, &acme, now), None);
        budgets.count(a, &acme, now);
        // No longer than a minute, and no longer than until the hour is over.
        assert_eq!(budgets.wait(a, &acme, now), Some(WAIT_MAX));
        assert_eq!(budgets.wait(a, &acme, now + HOUR / 2 - 10), Some(Duration::from_millis(10)));
        assert_eq!(budgets.wait(b, &acme, now), None);
        budgets.count(b, &acme, now);
        // The subaccount has used up its hour, and another has not.
        assert!(budgets.wait(b, &acme, now).is_some());
        assert_eq!(budgets.wait(c, &other, now), None);
        let later = now + HOUR;
        assert_eq!(budgets.wait(a, &acme, later), None);
        budgets.count(a, &acme, later);
        assert!(budgets.wait(a, &acme, later).is_some(), "the subaccount's day");
        budgets.count(c, &other, later);
        assert!(budgets.wait(c, &other, later).is_some(), "the installation's day");
        assert_eq!(budgets.wait(c, &other, now + DAY), None);
    }

    fn counted(connection: ConnectionId, subaccount: &str, turns: i64) -> TurnCount {
        TurnCount {
            connection_id: connection,
            subaccount_id: subaccount.to_owned(),
            instagram_account_id: "1".to_owned(),
            is_shared: true,
            hour_turns: turns,
            day_turns: turns,
        }
    }

    fn daily(turns_per_day: u64) -> Budgets {
        Budgets::new(Settings {
            turns_per_account_hour: 0,
            turns_per_subaccount_hour: 0,
            turns_per_subaccount_day: 0,
            turns_per_day,
        })
    }

    #[test]
    fn what_all_workers_have_counted_holds_from_the_first_look_on() {
        let budgets = Budgets::new(Settings { turns_per_account_hour: 2, ..daily(0).settings });
        let (a, acme) = (ConnectionId::new(), route("acme"));
        let now = 1_000 * DAY + HOUR / 2;
        budgets.load(vec![counted(a, "acme", 2)], now);
        assert!(budgets.wait(a, &acme, now).is_some());
        assert_eq!(budgets.holds(now).len(), 1);
        // A clock that is a little behind takes nothing back.
        budgets.count(a, &acme, now + HOUR);
        budgets.count(a, &acme, now + HOUR);
        assert!(budgets.wait(a, &acme, now + HOUR - 1).is_some());
        // What is not written down yet comes on top of what is loaded.
        let b = ConnectionId::new();
        budgets.count(b, &acme, now + HOUR);
        let waiting = budgets.load(vec![counted(b, "acme", 1)], now + HOUR);
        assert!(waiting["1"].contains("2 times in an hour for this account"), "{waiting:?}");
        assert!(budgets.wait(b, &acme, now + HOUR).is_some());
    }

    #[test]
    fn the_installations_day_is_shared_and_own_keys_are_not_part_of_it() {
        let budgets = daily(100);
        let (a, b, c) = (ConnectionId::new(), ConnectionId::new(), ConnectionId::new());
        let now = 1_000 * DAY;
        let own = Route { provider: Provider::Own(SubaccountId::parse("own").unwrap()), ..route("own") };
        for _ in 0..1_000 {
            budgets.count(c, &own, now);
        }
        assert_eq!(budgets.wait(c, &own, now), None);
        budgets.load(vec![counted(a, "acme", 84), counted(b, "other", 5)], now);
        assert_eq!(budgets.wait(a, &route("acme"), now), None);
        // The last tenth is for those that have had less than half of it.
        budgets.load(vec![counted(a, "acme", 85), counted(b, "other", 5)], now);
        assert!(budgets.wait(a, &route("acme"), now).is_some());
        assert_eq!(budgets.wait(b, &route("other"), now), None);
        budgets.load(vec![counted(a, "acme", 70), counted(b, "other", 30)], now);
        assert!(budgets.wait(ConnectionId::new(), &route("third"), now).is_some());
        assert_eq!(budgets.wait(c, &own, now), None);
    }
}
