//! The inbox: events are stored in batches, each once under its key.

use crate::dialect::{Dialect, array};
use crate::{Error, Result, Store};
use dmrelay_domain::clock::{Millis, millis};
use dmrelay_domain::event::{Event, EventKey, Kind};
use dmrelay_domain::ids::EventId;
use dmrelay_domain::text;
use dmrelay_domain::trace::TraceId;
use sea_orm::sea_query::ArrayType;
use sea_orm::{FromQueryResult, Value};
use std::time::{Duration, Instant};

/// An event to be stored.
#[derive(Debug, Clone)]
pub struct NewEvent {
    id: EventId,
    key: EventKey,
    account: String,
    thread: String,
    kind: Kind,
    container: &'static str,
    raw: Vec<u8>,
    at: Millis,
    trace: TraceId,
    arrived: Option<Instant>,
    deferred: Millis,
}

/// An event that was new.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its row.
    pub id: EventId,
    /// Its key, for the job that will ingest it.
    pub key: EventKey,
    /// The trace of its webhook.
    pub trace: TraceId,
    /// It is taken in later: the poller finds it when it is due.
    pub is_deferred: bool,
}

#[derive(FromQueryResult)]
struct Inserted {
    id: EventId,
}

impl NewEvent {
    /// Takes an event as it came, with a trace of its own.
    pub fn new(event: Event) -> Self {
        Self {
            id: EventId::new(),
            key: event.key,
            account: text::clean(&event.account).into_owned(),
            thread: text::clean(&event.thread).into_owned(),
            kind: event.kind,
            container: event.container.as_str(),
            raw: event.raw,
            at: event.at,
            trace: TraceId::random(),
            arrived: None,
            deferred: 0,
        }
    }

    /// The same, with the trace of its webhook and when that arrived.
    #[must_use]
    pub fn of_webhook(mut self, trace: TraceId, arrived: Instant) -> Self {
        self.trace = trace;
        self.arrived = Some(arrived);
        self
    }

    /// The same, to be taken in so much later.
    #[must_use]
    pub fn deferred(mut self, wait: Duration) -> Self {
        self.deferred = millis(wait);
        self
    }

    /// How long its webhook has waited by now, in milliseconds.
    fn waited(&self) -> Millis {
        self.arrived.map_or(0, |arrived| millis(arrived.elapsed()))
    }

    pub(crate) fn key(&self) -> EventKey {
        self.key
    }

    /// The same event, stripped to what no database refuses. It belongs to nobody then, and becomes a dead letter.
    fn as_unknown(&self) -> Self {
        Self { account: String::new(), thread: String::new(), kind: Kind::Unknown, at: 0, ..self.clone() }
    }
}

/// How long the direct job has before the sweep dispatches the event.
const DIRECT: Duration = Duration::from_secs(2);

impl Store {
    /// Stores a batch in one statement and gives back those that were new. When this returns, they are
    /// committed. A row the database refuses is found by halving and stored as unknown.
    ///
    /// # Errors
    /// When the database is not there; then nothing is known to be stored.
    pub async fn insert_events(&self, mut events: Vec<NewEvent>) -> Result<Vec<Stored>> {
        // Sorted, so that two batches with common keys wait for each other and do not deadlock.
        events.sort_by_key(|event| event.key);
        let mut stored = Vec::with_capacity(events.len());
        let mut batches = vec![events];
        while let Some(batch) = batches.pop() {
            if batch.is_empty() {
                continue;
            }
            match self.insert_batch(&batch).await {
                Ok(ids) => {
                    let new = batch.iter().filter(|event| ids.contains(&event.id));
                    stored.extend(new.map(|event| Stored {
                        id: event.id,
                        key: event.key,
                        trace: event.trace,
                        is_deferred: event.deferred > 0,
                    }));
                }
                Err(err) if err.is_refusal() => batches.extend(self.isolate(batch, err).await?),
                Err(err) => return Err(err),
            }
        }
        Ok(stored)
    }

    /// Two halves of a refused batch; a single refused row is stored as unknown.
    async fn isolate(&self, mut batch: Vec<NewEvent>, refusal: Error) -> Result<Vec<Vec<NewEvent>>> {
        if batch.len() > 1 {
            let half = batch.split_off(batch.len() / 2);
            return Ok(vec![half, batch]);
        }
        for event in &batch {
            tracing::warn!(event = %event.id, error = %refusal, "event refused by the database, kept as unknown");
            self.insert_batch(&[event.as_unknown()]).await?;
        }
        Ok(Vec::new())
    }

    async fn insert_batch(&self, batch: &[NewEvent]) -> Result<std::collections::HashSet<EventId>> {
        let statement = || match self.dialect {
            Dialect::Postgres => postgres(batch),
            Dialect::Sqlite => sqlite(batch),
        };
        let (sql, values) = statement();
        let inserted = match self.write::<Inserted>(&sql, values).await {
            // A connection that died with the last restart of the database, or a lost deadlock: nothing is
            // stored twice by saying it again, for every row has its key.
            Err(err) if !err.is_refusal() => self.write::<Inserted>(&sql, statement().1).await?,
            outcome => outcome?,
        };
        Ok(inserted.into_iter().map(|row| row.id).collect())
    }
}

const COLUMNS: &str = "id, key, account, thread, kind, container, raw, at, trace_id";

fn insert(source: &str) -> String {
    let due = DIRECT.as_millis();
    format!(
        "INSERT INTO events ({COLUMNS}, state, received_at, ready_at, due_at, claimed_until) \
         SELECT {COLUMNS}, 'new', {{now}} - waited, {{now}} + deferred, {{now}} + deferred + CASE WHEN deferred > 0 THEN 0 ELSE {due} END, \
            CASE WHEN deferred > 0 THEN {{now}} + deferred ELSE 0 END FROM ({source}) AS i \
         WHERE TRUE ON CONFLICT (key) DO NOTHING RETURNING id"
    )
}

fn postgres(batch: &[NewEvent]) -> (String, Vec<Value>) {
    let text = |get: fn(&NewEvent) -> &str| array(ArrayType::String, batch.iter().map(get));
    let values = vec![
        array(ArrayType::Uuid, batch.iter().map(|event| event.id)),
        array(ArrayType::Bytes, batch.iter().map(|event| event.key.0.to_vec())),
        text(|event| &event.account),
        text(|event| &event.thread),
        text(|event| event.kind.as_str()),
        text(|event| event.container),
        array(ArrayType::Bytes, batch.iter().map(|event| event.raw.clone())),
        array(ArrayType::BigInt, batch.iter().map(|event| event.at)),
        array(ArrayType::Uuid, batch.iter().map(|event| event.trace.to_uuid())),
        array(ArrayType::BigInt, batch.iter().map(NewEvent::waited)),
        array(ArrayType::BigInt, batch.iter().map(|event| event.deferred)),
    ];
    let source = format!(
        "SELECT * FROM UNNEST($1::uuid[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::text[], \
         $7::bytea[], $8::bigint[], $9::uuid[], $10::bigint[], $11::bigint[]) AS u ({COLUMNS}, waited, deferred)"
    );
    (insert(&source), values)
}

fn sqlite(batch: &[NewEvent]) -> (String, Vec<Value>) {
    let mut values: Vec<Value> = Vec::with_capacity(batch.len() * 11);
    for event in batch {
        values.extend([
            event.id.into(),
            event.key.0.to_vec().into(),
            event.account.as_str().into(),
            event.thread.as_str().into(),
            event.kind.as_str().into(),
            event.container.into(),
            event.raw.clone().into(),
            event.at.into(),
            event.trace.to_uuid().into(),
            event.waited().into(),
            event.deferred.into(),
        ]);
    }
    let row = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let rows = vec![row; batch.len()].join(", ");
    let source = format!(
        "SELECT column1 AS id, column2 AS key, column3 AS account, column4 AS thread, column5 AS kind, \
         column6 AS container, column7 AS raw, column8 AS at, column9 AS trace_id, column10 AS waited, \
         column11 AS deferred FROM (VALUES {rows})"
    );
    (insert(&source), values)
}
