//! How often the agent may be asked for an account, a subaccount and the whole installation. What is beyond stays due and is
//! asked when the hour or the day (UTC) is over. All workers count together, by way of the database: a few seconds late.

use dmrelay_domain::clock::Millis;
use dmrelay_domain::conversation::Route;
use dmrelay_domain::ids::ConnectionId;
use dmrelay_domain::states::AccountSign;
use dmrelay_runtime::metrics::Metrics;
use dmrelay_runtime::settings::TurnBudgets as Settings;
use dmrelay_store::{Result, SeenSign, Store, TurnCount};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const HOUR: Millis = 3_600_000;
const DAY: Millis = 86_400_000;

/// How often the counts of all workers are loaded.
const LOAD_INTERVAL: Duration = Duration::from_secs(5);

/// How long a conversation waits at most until its budget is looked at again.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// Turns of this hour and of today.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    hour: i64,
    day: i64,
}

/// The budgets as seen by this process.
pub(crate) struct Budgets {
    settings: Settings,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    accounts: HashMap<ConnectionId, Count>,
    subaccounts: HashMap<String, Count>,
    all: i64,
    /// The hour in which these were counted, since the epoch.
    hour: Millis,
    /// Turns of this process that are not written down yet.
    new: HashMap<ConnectionId, (String, i64)>,
    /// The accounts for which a turn waits, and why.
    waiting: HashMap<String, String>,
    loaded: Option<Instant>,
}

impl Seen {
    fn add(&mut self, connection: ConnectionId, subaccount: &str, turns: Count) {
        let of = |count: &mut Count| {
            count.hour += turns.hour;
            count.day += turns.day;
        };
        of(self.accounts.entry(connection).or_default());
        of(self.subaccounts.entry(subaccount.to_owned()).or_default());
        self.all += turns.day;
    }

    /// Counts of a former hour or day are over.
    fn settle(&mut self, now: Millis) {
        let hour = now / HOUR;
        if hour == self.hour {
            return;
        }
        if hour * HOUR / DAY != self.hour * HOUR / DAY {
            self.accounts.clear();
            self.subaccounts.clear();
            self.all = 0;
        }
        let counts = self.accounts.values_mut().chain(self.subaccounts.values_mut());
        counts.for_each(|count| count.hour = 0);
        self.hour = hour;
    }
}

impl Budgets {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, seen: Mutex::default() }
    }

    /// A turn has begun.
    pub(crate) fn count(&self, connection: ConnectionId, route: &Route, now: Millis) {
        let mut seen = self.lock();
        seen.settle(now);
        let subaccount = route.subaccount.as_str();
        seen.new.entry(connection).or_insert_with(|| (subaccount.to_owned(), 0)).1 += 1;
        seen.add(connection, subaccount, Count { hour: 1, day: 1 });
    }

    /// How long a turn of this connection is to wait, if a budget is used up.
    pub(crate) fn wait(&self, connection: ConnectionId, route: &Route, now: Millis) -> Option<Duration> {
        let mut seen = self.lock();
        seen.settle(now);
        let account = seen.accounts.get(&connection).copied().unwrap_or_default();
        let subaccount = seen.subaccounts.get(route.subaccount.as_str()).copied().unwrap_or_default();
        let limits = &self.settings;
        let over = |turns: i64, most: u64| most > 0 && turns >= i64::try_from(most).unwrap_or(i64::MAX);
        let (what, period) = if over(account.hour, limits.turns_per_account_hour) {
            (format!("{} times in an hour for this account", account.hour), HOUR)
        } else if over(subaccount.hour, limits.turns_per_subaccount_hour) {
            (format!("{} times in an hour for all accounts", subaccount.hour), HOUR)
        } else if over(subaccount.day, limits.turns_per_subaccount_day) {
            (format!("{} times in a day for all accounts", subaccount.day), DAY)
        } else if over(seen.all, limits.turns_per_day) {
            ("as often as in a day for the whole installation".to_owned(), DAY)
        } else {
            return None;
        };
        seen.waiting.insert(route.account.to_string(), what);
        Some(dmrelay_domain::clock::duration(period - now.rem_euclid(period)).min(WAIT_MAX))
    }

    /// Writes down what was counted here, and loads every few seconds what all have counted.
    pub(crate) async fn refresh(&self, store: &Store, metrics: &Metrics) -> Result<()> {
        let new = std::mem::take(&mut self.lock().new);
        let rows = new.iter().map(|(id, (subaccount, turns))| (*id, subaccount.clone(), *turns)).collect();
        if let Err(err) = store.add_turn_counts(rows).await {
            let mut seen = self.lock();
            for (id, (subaccount, turns)) in new {
                seen.new.entry(id).or_insert((subaccount, 0)).1 += turns;
            }
            return Err(err);
        }
        if self.lock().loaded.is_some_and(|at| at.elapsed() < LOAD_INTERVAL) {
            return Ok(());
        }
        let counts = store.turn_counts().await?;
        let waiting = self.load(counts);
        self.show(metrics);
        let signs = waiting.into_iter().map(|(account, detail)| SeenSign {
            account,
            sign: AccountSign::TurnsOverBudget,
            count: 1,
            detail: Some(detail),
        });
        store.record_signs(signs.collect()).await
    }

    /// Takes the counts of all workers; gives the accounts for which a turn waits.
    fn load(&self, counts: Vec<TurnCount>) -> HashMap<String, String> {
        let mut seen = self.lock();
        (seen.accounts, seen.subaccounts, seen.all) = Default::default();
        for count in counts {
            let turns = Count { hour: count.hour_turns, day: count.day_turns };
            seen.add(count.connection_id, &count.subaccount_id, turns);
        }
        // What was counted meanwhile.
        for (id, (subaccount, turns)) in seen.new.clone() {
            seen.add(id, &subaccount, Count { hour: turns, day: turns });
        }
        seen.loaded = Some(Instant::now());
        std::mem::take(&mut seen.waiting)
    }

    fn show(&self, metrics: &Metrics) {
        let (seen, limits) = (self.lock(), &self.settings);
        let over = |turns: i64, most: u64| most > 0 && turns >= i64::try_from(most).unwrap_or(i64::MAX);
        let accounts = seen.accounts.values().filter(|count| over(count.hour, limits.turns_per_account_hour));
        let subaccounts: HashSet<&String> = seen
            .subaccounts
            .iter()
            .filter(|(_, count)| {
                over(count.hour, limits.turns_per_subaccount_hour)
                    || over(count.day, limits.turns_per_subaccount_day)
            })
            .map(|(subaccount, _)| subaccount)
            .collect();
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for (scope, count) in [
            ("account", number(accounts.count())),
            ("subaccount", number(subaccounts.len())),
            ("installation", i64::from(over(seen.all, limits.turns_per_day))),
        ] {
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
        // What all workers have counted replaces what this one knew, and what it has not written down comes on top.
        let count =
            TurnCount { connection_id: a, subaccount_id: "acme".to_owned(), hour_turns: 2, day_turns: 2 };
        budgets.lock().new.clear();
        let waiting = budgets.load(vec![count]);
        assert!(waiting["1"].contains("installation"), "{waiting:?}");
        budgets.lock().hour = (now + DAY) / HOUR;
        assert!(budgets.wait(a, &acme, now + DAY).is_some());
    }
}
