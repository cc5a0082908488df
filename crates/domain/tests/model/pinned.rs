//! Regression tests: histories that once violated a guarantee.

use crate::play;
use crate::step::End::{ErrorAfter, Good};
use crate::step::Step::{App, Crash, Deliver, LoseCommit, Poll, TakeBack, Wait, Work, Write};

fn holds(steps: &[crate::step::Step]) {
    if let Err(why) = play(steps) {
        panic!("{why}");
    }
}

#[test]
fn a_calm_conversation_is_answered() {
    let work = Work { task: 0, end: Good };
    holds(&[Write, Deliver(0), work, work, work, work, work, work, Deliver(0), work]);
}

#[test]
fn an_answer_whose_commit_was_lost_is_recorded_once() {
    let work = Work { task: 0, end: Good };
    holds(&[Write, Deliver(0), work, work, work, work, LoseCommit, work, work, work, Poll]);
}

#[test]
fn a_human_who_writes_the_text_being_sent_takes_over() {
    let work = Work { task: 0, end: Good };
    let failing = Work { task: 0, end: ErrorAfter };
    holds(&[
        Write,
        Deliver(0),
        work,
        work,
        work,
        work,
        work,
        failing,
        App { same_words: true },
        work,
        Wait(5_000),
        Poll,
    ]);
}

#[test]
fn a_message_unsent_during_an_undone_takeover_stays_unsent() {
    let work = |task| Work { task, end: Good };
    let begin =
        [Write, Write, Deliver(183), work(253), work(188), work(41), work(244), work(241), Deliver(158)];
    let end = [Write, Write, Crash(125), Wait(90_000_000), Write, App { same_words: true }, TakeBack(209)];
    holds(&[&begin[..], &end[..]].concat());
}

#[test]
fn a_question_whose_commit_was_lost_is_not_asked_a_day_later() {
    let work = |task| Work { task, end: Good };
    holds(&[Write, Deliver(98), work(46), work(236), LoseCommit, work(12), Wait(90_000_000)]);
}
