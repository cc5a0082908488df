//! Counts what goes over a connection to PostgreSQL, from the messages of its protocol (version 3).

use std::ops::{Add, Sub};

/// What was counted; of one program and one kind of connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Connections opened.
    pub(super) connections: u64,
    /// Times the client waits for the server's word that it is ready: a `Sync` or a simple query.
    pub(super) round_trips: u64,
    /// Statements executed, without those below.
    pub(super) statements: u64,
    /// `BEGIN`.
    pub(super) begins: u64,
    /// `COMMIT`.
    pub(super) commits: u64,
    /// `ROLLBACK`.
    pub(super) rollbacks: u64,
    /// Statements prepared, and prepared ones closed.
    pub(super) prepares: u64,
    /// A `Sync` with nothing before it: sqlx asks a connection whether it lives when it goes back to the pool.
    pub(super) pings: u64,
    /// Transactions that changed a row; a single statement outside of one is one.
    pub(super) writes: u64,
    /// Bytes to the server.
    pub(super) sent: u64,
    /// Bytes from the server.
    pub(super) received: u64,
}

impl Tally {
    fn with(self, other: Self, each: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            connections: each(self.connections, other.connections),
            round_trips: each(self.round_trips, other.round_trips),
            statements: each(self.statements, other.statements),
            begins: each(self.begins, other.begins),
            commits: each(self.commits, other.commits),
            rollbacks: each(self.rollbacks, other.rollbacks),
            prepares: each(self.prepares, other.prepares),
            pings: each(self.pings, other.pings),
            writes: each(self.writes, other.writes),
            sent: each(self.sent, other.sent),
            received: each(self.received, other.received),
        }
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.with(other, |a, b| a + b)
    }
}

impl Sub for Tally {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.with(other, u64::saturating_sub)
    }
}

/// One connection, as both sides speak.
#[derive(Debug, Default)]
pub(super) struct Session {
    client: Cutter,
    server: Cutter,
    /// The start-up message has been seen; what comes after it has a type.
    started: bool,
    /// Commits of this connection do not wait for the disk.
    pub(super) relaxed: bool,
    /// Since the last `Sync`.
    since: Since,
    /// The transaction under way has changed a row.
    wrote: bool,
    /// What was counted since it was last taken.
    tally: Tally,
}

#[derive(Debug, Default, Clone, Copy)]
struct Since {
    executed: bool,
    prepared: bool,
}

/// The codes of start-up messages that the server answers with a single byte: TLS and GSS are asked for.
const ASKS: [u32; 2] = [80_877_103, 80_877_104];

impl Session {
    /// What was counted since the last call.
    pub(super) fn take(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// The client said this.
    pub(super) fn client_says(&mut self, bytes: &[u8]) {
        self.tally.sent += bytes.len() as u64;
        let mut client = std::mem::take(&mut self.client);
        client.add(bytes);
        while let Some(message) = client.next(!self.started) {
            self.client_message(&message);
        }
        self.client = client;
    }

    /// The server said this.
    pub(super) fn server_says(&mut self, bytes: &[u8]) {
        self.tally.received += bytes.len() as u64;
        let mut server = std::mem::take(&mut self.server);
        server.add(bytes);
        while let Some(message) = server.next(false) {
            self.server_message(&message);
        }
        self.server = server;
    }

    fn client_message(&mut self, message: &Message) {
        if !self.started {
            let code = message.body.first_chunk().map(|code| u32::from_be_bytes(*code));
            if code.is_some_and(|code| ASKS.contains(&code)) {
                self.server.bare += 1;
                return;
            }
            self.started = true;
            self.tally.connections += 1;
            let wanted = b"synchronous_commit=off";
            self.relaxed = message.body.windows(wanted.len()).any(|part| part == wanted);
            return;
        }
        match message.kind {
            b'E' => self.since.executed = true,
            b'P' => self.since.prepared = true,
            // A portal that is closed belongs to the statement executed before it.
            b'C' => self.since.prepared |= message.body.first() == Some(&b'S'),
            b'S' => {
                self.tally.round_trips += 1;
                match std::mem::take(&mut self.since) {
                    Since { executed: true, .. } => self.tally.statements += 1,
                    Since { prepared: true, .. } => self.tally.prepares += 1,
                    Since { .. } => self.tally.pings += 1,
                }
            }
            b'Q' => {
                self.tally.round_trips += 1;
                *self.simple(&message.body) += 1;
            }
            _ => {}
        }
    }

    fn simple(&mut self, text: &[u8]) -> &mut u64 {
        match text.split(|byte| !byte.is_ascii_alphabetic()).next() {
            Some(b"BEGIN") => &mut self.tally.begins,
            Some(b"COMMIT") => &mut self.tally.commits,
            Some(b"ROLLBACK") => &mut self.tally.rollbacks,
            _ => &mut self.tally.statements,
        }
    }

    fn server_message(&mut self, message: &Message) {
        match message.kind {
            // What was done: `UPDATE 3`, `INSERT 0 1`, `ROLLBACK` …
            b'C' => {
                let tag = String::from_utf8_lossy(&message.body);
                let mut words = tag.trim_end_matches('\0').split(' ');
                match words.next() {
                    Some("INSERT" | "UPDATE" | "DELETE") => self.wrote |= words.next_back() != Some("0"),
                    Some("ROLLBACK") => self.wrote = false,
                    _ => {}
                }
            }
            // Ready, and no transaction is open.
            b'Z' if message.body.first() == Some(&b'I') => {
                self.tally.writes += u64::from(std::mem::take(&mut self.wrote));
            }
            _ => {}
        }
    }
}

/// A message of the protocol.
struct Message {
    kind: u8,
    body: Vec<u8>,
}

/// Cuts what one side says into messages.
#[derive(Debug, Default)]
struct Cutter {
    buffer: Vec<u8>,
    /// So many single bytes come before the next message.
    bare: usize,
}

impl Cutter {
    fn add(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message, if it is there whole. One at the start of a connection has no type.
    fn next(&mut self, untyped: bool) -> Option<Message> {
        let bare = self.bare.min(self.buffer.len());
        self.buffer.drain(..bare);
        self.bare -= bare;
        let head = if untyped { 4 } else { 5 };
        let length = self.buffer.get(head - 4..head)?.first_chunk().map(|length| u32::from_be_bytes(*length));
        let end = head - 4 + usize::try_from(length?).ok()?;
        let body = self.buffer.get(head..end)?.to_vec();
        let kind = if untyped { 0 } else { self.buffer[0] };
        self.buffer.drain(..end);
        Some(Message { kind, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        let kind = (kind != 0).then_some(kind);
        kind.into_iter().chain(length).chain(body.iter().copied()).collect()
    }

    fn started(options: &str) -> Session {
        let mut session = Session::default();
        let ask = message(0, &ASKS[0].to_be_bytes());
        let start = message(0, &[&196_608_u32.to_be_bytes(), options.as_bytes()].concat());
        session.client_says(&[ask, start].concat());
        session.server_says(b"N");
        session.server_says(&message(b'Z', b"I"));
        assert_eq!(session.take().connections, 1);
        session
    }

    #[test]
    fn a_statement_a_ping_and_a_preparation_are_told_apart() {
        let mut session = started("options\0-c synchronous_commit=on\0");
        assert!(!session.relaxed);
        let sync = message(b'S', b"");
        let execute = [message(b'B', b""), message(b'E', b"\0\0\0\0\0"), message(b'C', b"P\0"), sync.clone()];
        session.client_says(&execute.concat());
        session.client_says(&sync);
        session.client_says(&[message(b'P', b"s1"), message(b'D', b"Ss1"), sync.clone()].concat());
        session.client_says(&[message(b'C', b"Ss1"), sync].concat());
        let counted = session.take();
        let told = (counted.round_trips, counted.statements, counted.pings, counted.prepares);
        assert_eq!(told, (4, 1, 1, 2));
    }

    #[test]
    fn a_transaction_counts_as_written_once_it_has_changed_a_row() {
        let mut session = started("options\0-c synchronous_commit=off\0");
        assert!(session.relaxed);
        for (tag, state) in [("BEGIN", b"T"), ("UPDATE 0", b"T"), ("INSERT 0 1", b"T"), ("UPDATE 2", b"T")] {
            session.server_says(&[message(b'C', tag.as_bytes()), message(b'Z', state)].concat());
        }
        assert_eq!(session.take().writes, 0);
        session.server_says(&[message(b'C', b"COMMIT\0"), message(b'Z', b"I")].concat());
        assert_eq!(session.take().writes, 1);
        for tag in ["SELECT 4", "UPDATE 0", "ROLLBACK"] {
            session.server_says(&[message(b'C', tag.as_bytes()), message(b'Z', b"I")].concat());
        }
        assert_eq!(session.take().writes, 0);
    }

    #[test]
    fn messages_may_come_in_pieces() {
        let mut session = started("");
        let whole = [message(b'Q', b"BEGIN\0"), message(b'Q', b"COMMIT\0")].concat();
        for byte in &whole {
            session.client_says(&[*byte]);
        }
        let counted = session.take();
        assert_eq!((counted.begins, counted.commits, counted.round_trips), (1, 1, 2));
        assert_eq!(counted.sent, whole.len() as u64);
    }
}
