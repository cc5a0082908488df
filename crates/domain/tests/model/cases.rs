//! Cases that were seen on running systems, one command after another.

use crate::database::{Applied, Database};
use dmrelay_domain::clock::Millis;
use dmrelay_domain::conversation::{
    AgentFailure, Ask, Claim, CloseLetter, Command, Effect, Orphan, Policy, Receive, Received, Record,
    RecordAgentFailure, RecordAnswer, RecordEntry, RecordSendFailure, RecordSent, Release, Reply,
    ResolveSend, ResolveTurn, Role, Seen, SendFailure, SendLookup, StartTurn, Thread,
};
use dmrelay_domain::event::{self, Container};
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{EventId, MessageId, TurnId, WorkerId};
use dmrelay_domain::states::{Author, ChatMode, ConnectionStatus, MessageStatus, TurnState};
use serde_json::{Value, json};

const NOW: Millis = 1_700_000_000_000;
const WEEK: Millis = 7 * 24 * 3_600_000;

/// A conversation whose commands are told one by one.
struct Case {
    db: Database,
    now: Millis,
    worker: WorkerId,
    mids: u32,
}

impl Case {
    fn new() -> Self {
        let policy = Policy { debounce: 0, ..Policy::default() };
        Self { db: Database::new(policy), now: NOW, worker: WorkerId::new(), mids: 0 }
    }

    fn apply(&mut self, command: Command) -> Applied {
        self.db.transact(self.now, 1.0, command)
    }

    fn claim(&self) -> Claim {
        Claim::By(self.worker)
    }

    /// Something of Meta's about this message.
    fn event(&mut self, from_customer: bool, message: &Value) -> Applied {
        let (sender, recipient) = if from_customer { ("200", "17") } else { ("17", "200") };
        let raw = json!({
            "sender": { "id": sender }, "recipient": { "id": recipient }, "timestamp": self.now, "message": message,
        });
        self.raw(&raw)
    }

    fn raw(&mut self, raw: &Value) -> Applied {
        let event = Received {
            id: EventId::new(),
            container: Container::Messaging,
            item: event::read(Container::Messaging, "17", raw.to_string().as_bytes()).unwrap(),
            at: self.now,
            arrived_at: self.now,
            stored_at: self.now,
            trace: None,
        };
        let start =
            StartTurn { worker: self.worker, turn: TurnId::new(), agent_chat: Some("agent".to_owned()) };
        self.apply(Command::Receive(Receive {
            events: vec![event],
            start: Some(start),
            events_max: None,
            timer: false,
        }))
    }

    fn writes(&mut self, text: &str) -> Applied {
        self.mids += 1;
        let mid = format!("in-{}", self.mids);
        self.event(true, &json!({ "mid": mid, "text": text }))
    }

    fn echo(&mut self, mid: &str, text: &str) -> Applied {
        self.event(false, &json!({ "mid": mid, "text": text, "is_echo": true }))
    }

    /// The customer writes, and the agent is asked.
    fn asked(&mut self, text: &str) -> Ask {
        let asked = self.writes(text);
        let [Effect::Ask(ask)] = &asked.effects[..] else { panic!("not asked: {:?}", asked.effects) };
        ask.clone()
    }

    /// Nobody knows what became of the question, answered with an error or not at all.
    fn ask_fails(&mut self, ask: &Ask, answered: bool) {
        let (turn, attempt) = (ask.turn, ask.attempt);
        let class = FailureClass::Ambiguous;
        let failure = AgentFailure { class, answered, retry_after: None, error: String::new() };
        self.apply(Command::RecordAgentFailure(RecordAgentFailure { turn, attempt, failure, retry: None }));
    }

    /// The customer writes, and the agent answers; gives the first reply, which is being sent.
    fn answered(&mut self, text: &str, replies: &[&str]) -> MessageId {
        let ask = self.asked(text);
        let answered = self.apply(Command::RecordAnswer(RecordAnswer {
            turn: ask.turn,
            attempt: ask.attempt,
            replies: replies.iter().map(|reply| (*reply).to_owned()).collect(),
            watermark: None,
            claim: self.claim(),
        }));
        sending(&answered).unwrap_or_else(|| panic!("nothing is sent"))
    }

    fn sent(&mut self, message: MessageId, mid: &str) -> Applied {
        let (mid, claim) = (mid.to_owned(), self.claim());
        self.apply(Command::RecordSent(RecordSent { message, attempt: 1, mid, claim }))
    }

    /// The send's connection was lost.
    fn lost(&mut self, message: MessageId) -> Applied {
        let failure = SendFailure {
            class: FailureClass::Ambiguous,
            answered: false,
            code: "no answer".to_owned(),
            bare_100: false,
            retry_after: None,
            error: String::new(),
        };
        let (host_succeeded_at, claim) = (None, self.claim());
        let failed = RecordSendFailure { message, attempt: 1, failure, host_succeeded_at, claim };
        self.apply(Command::RecordSendFailure(failed))
    }

    fn looks_up(&mut self, message: MessageId, thread: Thread) -> Applied {
        let settled = self.message(message).deadline.is_some_and(|deadline| deadline <= self.now);
        self.looked_up(message, thread, settled)
    }

    fn looked_up(&mut self, message: MessageId, thread: Thread, settled: bool) -> Applied {
        let attempt = self.message(message).attempt;
        let (thread, host_succeeded_at, claim) = (Ok(thread), None, self.claim());
        let resolve = ResolveSend { message, attempt, settled, thread, host_succeeded_at, claim };
        self.apply(Command::ResolveSend(resolve))
    }

    fn message(&self, id: MessageId) -> &dmrelay_domain::conversation::Message {
        self.db.messages.iter().find(|message| message.id == id).unwrap()
    }

    fn by(&self, author: Author) -> Vec<&str> {
        let messages = self.db.messages.iter().filter(|message| message.author == author);
        messages.filter_map(|message| message.body.text.as_deref()).collect()
    }
}

fn sending(applied: &Applied) -> Option<MessageId> {
    applied.effects.iter().find_map(|effect| match effect {
        Effect::Send(send) => Some(send.message.id),
        _ => None,
    })
}

fn seen(mid: &str, at: Millis, by_customer: bool, text: &str) -> Seen {
    Seen { mid: mid.to_owned(), at, by_customer, text: Some(text.to_owned()) }
}

#[test]
fn a_message_of_unknown_outcome_does_not_swallow_what_a_human_writes_weeks_later() {
    let mut case = Case::new();
    let message = case.answered("hi", &["Good morning"]);
    case.lost(message);
    for _ in 0..20 {
        case.now += 60_000;
        case.looks_up(message, Thread::default());
    }
    assert_eq!(case.message(message).status, MessageStatus::Unknown);
    assert_eq!(case.db.letters.len(), 1);
    case.now += 3 * WEEK;
    case.echo("native", "Good morning");
    assert_eq!(case.db.chat.mode, ChatMode::Human);
    assert_eq!(case.by(Author::Native), ["Good morning"]);
    assert_eq!(case.message(message).status, MessageStatus::Unknown);
}

#[test]
fn an_empty_or_short_list_proves_nothing() {
    let known = seen("in-1", NOW, true, "hi");
    let odd = seen("other", NOW + 1_000, false, "something else");
    let cases = [
        ("an empty list", vec![], MessageStatus::Unknown, 0),
        (
            "a list with something of ours that is not attributed",
            vec![odd, known.clone()],
            MessageStatus::Unknown,
            0,
        ),
        ("a list that shows what is known, and nothing else", vec![known], MessageStatus::Sending, 1),
    ];
    for (name, messages, status, sends) in cases {
        let mut case = Case::new();
        let message = case.answered("hi", &["answer"]);
        case.lost(message);
        case.now += 60_000;
        let applied = case.looks_up(message, Thread { messages, complete: true });
        assert_eq!(case.message(message).status, status, "{name}");
        assert_eq!(sending(&applied).iter().count(), sends, "{name}");
    }
}

#[test]
fn typographic_quotes_of_meta_are_ours() {
    let mut case = Case::new();
    let message = case.answered("hi", &["It's \"fine\""]);
    case.lost(message);
    let theirs = seen("out", NOW, false, "It\u{2019}s \u{201c}fine\u{201d}");
    case.looks_up(message, Thread { messages: vec![theirs], complete: true });
    assert_eq!(
        (case.message(message).status, case.message(message).mid.as_deref()),
        (MessageStatus::Sent, Some("out"))
    );
}

#[test]
fn a_human_who_writes_the_words_in_flight_takes_over_when_the_send_names_another_mid() {
    let mut case = Case::new();
    let message = case.answered("hi", &["Good morning", "How can I help?"]);
    case.echo("native", "Good morning");
    assert_eq!(case.db.chat.mode, ChatMode::Bot, "it may be ours");
    let applied = case.sent(message, "ours");
    assert_eq!((case.db.chat.mode, sending(&applied)), (ChatMode::Human, None));
    assert_eq!(case.by(Author::Native), ["Good morning"]);
    assert_eq!(case.message(message).mid.as_deref(), Some("ours"));
}

#[test]
fn a_takeover_by_an_echo_of_ours_is_undone_and_what_came_meanwhile_is_asked() {
    let mut case = Case::new();
    let message = case.answered("hi", &["Good morning", "How can I help?"]);
    // Meta changed the words: it is taken for a human's until the send's own answer names it.
    case.echo("ours", "Good morning!!");
    assert_eq!(case.db.chat.mode, ChatMode::Human);
    assert!(case.writes("my parcel?").effects.is_empty());
    let applied = case.sent(message, "ours");
    assert_eq!(case.db.chat.mode, ChatMode::Bot);
    assert_eq!(case.by(Author::Native), Vec::<&str>::new());
    assert!(sending(&applied).is_some(), "the second reply goes out: {:?}", applied.effects);
    assert!(case.db.chat.turn.due_at.is_some(), "the customer's question is due");
}

#[test]
fn a_takeover_by_two_echoes_of_which_one_was_ours_stays() {
    let mut case = Case::new();
    let message = case.answered("hi", &["Good morning"]);
    case.echo("ours", "Good morning!!");
    case.echo("theirs", "Ada here");
    case.sent(message, "ours");
    assert_eq!(case.db.chat.mode, ChatMode::Human);
    assert_eq!(case.by(Author::Native), ["Ada here"]);
    case.apply(Command::Release(Release::By("ada".to_owned())));
    assert_eq!(case.db.chat.mode, ChatMode::Bot);
}

#[test]
fn edits_count_by_their_number_and_not_by_their_arrival() {
    let mut case = Case::new();
    let edit = |mid: &str, text: &str, number: i64| {
        json!({
            "sender": { "id": "200" }, "recipient": { "id": "17" }, "timestamp": NOW,
            "message_edit": { "mid": mid, "text": text, "num_edit": number },
        })
    };
    case.writes("one");
    case.raw(&edit("in-1", "three", 2));
    case.raw(&edit("in-1", "two", 1));
    assert_eq!(case.by(Author::User), ["three"]);
}

#[test]
fn an_answer_becomes_so_many_messages_and_the_last_says_that_it_was_cut() {
    let mut case = Case::new();
    let long = "word ".repeat(20_000);
    case.answered("hi", &[&long]);
    let replies: Vec<_> = case.db.messages.iter().filter(|message| message.author == Author::Agent).collect();
    assert_eq!(replies.len(), case.db.policy.reply_parts_max);
    let cut = replies.last().and_then(|reply| reply.body.metadata.as_deref()).unwrap_or_default();
    assert!(cut.contains("\"truncated\":true"), "{cut}");
    assert!(replies[..replies.len() - 1].iter().all(|reply| reply.body.metadata.is_none()));
}

#[test]
fn a_replay_of_an_unknown_send_looks_before_it_sends() {
    let mut case = Case::new();
    let message = case.answered("hi", &["answer"]);
    case.lost(message);
    for _ in 0..20 {
        case.now += 60_000;
        case.looks_up(message, Thread::default());
    }
    let letter = case.db.letters[0].0.id;
    let replayed = case.apply(Command::Replay(CloseLetter { letter, actor: "ada".to_owned() }));
    assert_eq!(replayed.reply, Reply::Done);
    let claim = case.claim();
    let claimed = case.apply(Command::ClaimSend(claim));
    let [Effect::LookUpSend(SendLookup { message: looked_up, .. })] = &claimed.effects[..] else {
        panic!("not looked up: {:?}", claimed.effects);
    };
    assert_eq!(*looked_up, message);
    let thread = Thread { messages: vec![seen("out", NOW, false, "answer")], complete: true };
    let found = case.looks_up(message, thread);
    assert_eq!((case.message(message).status, sending(&found)), (MessageStatus::Sent, None));
}

#[test]
fn a_message_whose_sender_is_the_account_is_its_own_whatever_flags_it_has() {
    let mut case = Case::new();
    case.writes("hi");
    let raw = json!({
        "sender": { "id": "17" }, "recipient": { "id": "200" }, "timestamp": NOW,
        "message": { "mid": "native", "text": "Ada here" },
    });
    case.raw(&raw);
    assert_eq!((case.db.chat.mode, case.by(Author::Native)), (ChatMode::Human, vec!["Ada here"]));
}

#[test]
fn an_echo_that_was_not_ours_after_all_sets_aside_what_came_meanwhile() {
    let mut case = Case::new();
    let message = case.answered("one", &["answer"]);
    case.echo("human", "answer");
    case.writes("two");
    case.writes("three");
    case.sent(message, "own");
    assert_eq!((case.db.chat.mode, case.by(Author::Native)), (ChatMode::Human, vec!["answer"]));
    let unanswered = case.db.messages.iter().filter(|message| message.is_unanswered());
    assert_eq!(unanswered.count(), 0, "the agent would be asked about it once the chat is its again");
}

#[test]
fn what_was_read_before_the_deadline_is_no_absence_after_it() {
    let mut case = Case::new();
    let message = case.answered("hi", &["answer"]);
    case.lost(message);
    let thread = || Thread { messages: vec![seen("in-1", NOW, true, "hi")], complete: true };
    case.now += 600_000;
    case.looked_up(message, thread(), false);
    assert_eq!(
        case.message(message).status,
        MessageStatus::Unknown,
        "it may have been sent since it was read"
    );
    let sent_again = case.looks_up(message, thread());
    assert_eq!(sending(&sent_again), Some(message));
}

#[test]
fn an_outcome_counts_for_the_attempt_it_was_of() {
    let mut case = Case::new();
    let ask = case.asked("hi");
    let answer = |attempt| RecordAnswer {
        turn: ask.turn,
        attempt,
        replies: vec!["answer".to_owned()],
        watermark: None,
        claim: case.claim(),
    };
    let (early, late) = (answer(ask.attempt), answer(ask.attempt + 1));
    case.db.turns[0].attempt += 1;
    let ignored = case.apply(Command::RecordAnswer(early));
    assert_eq!((ignored.reply, case.by(Author::Agent)), (Reply::Idle, vec![]));
    let sent = case.apply(Command::RecordAnswer(late));
    let message = sending(&sent).expect("nothing is sent");
    case.db.messages.iter_mut().find(|row| row.id == message).unwrap().attempt += 1;
    let ignored = case.sent(message, "mid of the first attempt");
    assert_eq!((ignored.reply, case.message(message).status), (Reply::Idle, MessageStatus::Sending));
}

#[test]
fn no_turn_begins_while_another_is_asked_whatever_is_due() {
    let mut case = Case::new();
    case.writes("one");
    case.writes("two");
    case.db.chat.turn.due_at = Some(case.now);
    let start = StartTurn { worker: case.worker, turn: TurnId::new(), agent_chat: Some("agent".to_owned()) };
    let started = case.apply(Command::StartTurn(start));
    assert_eq!((started.reply, case.db.turns.len()), (Reply::Idle, 1));
}

#[test]
fn the_answer_to_what_was_taken_back_meanwhile_is_not_sent() {
    let mut case = Case::new();
    let ask = case.asked("hi");
    let answer = RecordAnswer {
        turn: ask.turn,
        attempt: ask.attempt,
        replies: vec!["answer".to_owned()],
        watermark: None,
        claim: case.claim(),
    };
    case.event(true, &json!({ "mid": "in-1", "is_deleted": true }));
    let answered = case.apply(Command::RecordAnswer(answer));
    assert_eq!((sending(&answered), case.db.chat.mode), (None, ChatMode::Bot));
    let reply = case.db.messages.iter().find(|message| message.author == Author::Agent).unwrap();
    assert_eq!(reply.status, MessageStatus::Suppressed);
}

#[test]
fn a_record_that_still_grows_is_not_taken_for_the_answer_and_a_fuller_answer_adds_what_was_missing() {
    let mut case = Case::new();
    let ask = case.asked("hi");
    let (turn, attempt) = (ask.turn, ask.attempt);
    case.ask_fails(&ask, false);
    let entry =
        |role, text: &str, id: &str| RecordEntry { role, text: text.to_owned(), id: Some(id.to_owned()) };
    let question = entry(Role::User, &ask.text, "1");
    let (first, second) = (entry(Role::Agent, "one moment", "2"), entry(Role::Agent, "done", "3"));
    let resolve = |case: &mut Case, entries: &[&RecordEntry]| {
        let record = Ok(Record { entries: Some(entries.iter().map(|entry| (*entry).clone()).collect()) });
        let claim = case.claim();
        case.apply(Command::ResolveTurn(ResolveTurn { turn, attempt, settled: false, record, claim }));
        case.by(Author::Agent).len()
    };
    assert_eq!(resolve(&mut case, &[&question, &first]), 0, "it may not be all");
    assert_eq!(resolve(&mut case, &[&question, &first, &second]), 0, "it has grown");
    assert_eq!(resolve(&mut case, &[&question, &first, &second]), 2);
    let claim = case.claim();
    let replies = ["one moment", "done", "bye"].map(str::to_owned).to_vec();
    case.apply(Command::RecordAnswer(RecordAnswer { turn, attempt, replies, watermark: None, claim }));
    assert_eq!(case.by(Author::Agent), ["one moment", "done", "bye"]);
}

#[test]
fn what_a_dead_worker_left_is_looked_up_for_the_attempt_it_was_of() {
    let mut case = Case::new();
    case.writes("hi");
    let turn = case.db.turns[0].id;
    let late = case.apply(Command::Orphan(Orphan::Turn(turn, 0)));
    assert_eq!((late.reply, case.db.turns[0].state), (Reply::Idle, TurnState::Asking));
    let orphan = case.apply(Command::Orphan(Orphan::Turn(turn, 1)));
    assert_eq!((orphan.reply, case.db.turns[0].state), (Reply::Done, TurnState::Reconciling));
}

#[test]
fn nothing_is_looked_up_with_a_token_that_is_refused() {
    let mut case = Case::new();
    let message = case.answered("hi", &["answer"]);
    case.lost(message);
    case.now += 60_000;
    case.db.connection.status = Some(ConnectionStatus::ReauthRequired);
    let claim = case.claim();
    let claimed = case.apply(Command::ClaimSend(claim));
    assert_eq!((claimed.reply, claimed.effects.len()), (Reply::Idle, 0));
    case.db.connection.status = Some(ConnectionStatus::Connected);
    let claimed = case.apply(Command::ClaimSend(claim));
    assert!(matches!(claimed.effects[..], [Effect::LookUpSend(_)]), "{:?}", claimed.effects);
}

#[test]
fn an_echo_of_ours_that_was_taken_for_a_humans_becomes_ours_when_the_send_names_it() {
    let mut case = Case::new();
    let message = case.answered("hi", &["answer"]);
    case.echo("human", "answer");
    case.echo("own", "answer");
    case.sent(message, "own");
    let natives: Vec<_> = case.db.messages.iter().filter(|row| row.author == Author::Native).collect();
    assert_eq!(natives.iter().map(|row| row.mid.as_deref()).collect::<Vec<_>>(), [Some("human")]);
    assert_eq!((case.message(message).mid.as_deref(), case.db.chat.mode), (Some("own"), ChatMode::Human));
}

#[test]
fn a_question_that_is_asked_late_has_its_whole_time() {
    let mut case = Case::new();
    case.db.policy.agent_timeout = 10_000;
    let ask = case.asked("hi");
    let start = StartTurn { worker: case.worker, turn: ask.turn, agent_chat: Some("agent".to_owned()) };
    let before = case.db.turns[0].deadline;
    case.now += 4_000;
    let again = case.apply(Command::StartTurn(start));
    assert!(matches!(again.effects[..], [Effect::Ask(_)]), "{:?}", again.effects);
    assert_eq!(case.db.turns[0].deadline, before + 4_000);
}

#[test]
fn a_record_that_was_read_before_the_deadline_does_not_show_that_nothing_was_asked() {
    let mut case = Case::new();
    let ask = case.asked("hi");
    let (turn, attempt) = (ask.turn, ask.attempt);
    case.ask_fails(&ask, false);
    case.now += 600_000;
    let claim = case.claim();
    let empty = |settled| {
        let record = Ok(Record { entries: Some(Vec::new()) });
        Command::ResolveTurn(ResolveTurn { turn, attempt, settled, record, claim })
    };
    case.apply(empty(false));
    assert_eq!(case.db.turns[0].state, TurnState::Reconciling, "it may have been asked since it was read");
    case.apply(empty(true));
    assert_eq!(case.db.turns[0].state, TurnState::Waiting, "it is asked again");
}

#[test]
fn a_call_that_was_answered_with_an_error_is_looked_up_soon() {
    let mut case = Case::new();
    let ask = case.asked("hi");
    case.ask_fails(&ask, true);
    let soon = case.now + case.db.policy.reconcile_settle;
    assert_eq!((case.db.chat.turn.due_at, case.db.turns[0].deadline), (Some(soon), soon));
    case.now = soon;
    let start = StartTurn { worker: case.worker, turn: TurnId::new(), agent_chat: None };
    let looked_up = case.apply(Command::StartTurn(start));
    let [Effect::LookUpTurn(lookup)] = &looked_up.effects[..] else { panic!("{:?}", looked_up.effects) };
    assert!(lookup.settled, "its absence counts already");
}
