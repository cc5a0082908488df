//! The agent of the demo: a small shop.

use dmrelay_simulator::{ReplyRule, WordAnswer};

/// What it answers.
pub(crate) fn answers() -> ReplyRule {
    let answer = |words: &[&str], text: &str| WordAnswer {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        text: text.to_owned(),
    };
    ReplyRule::ByWords {
        answers: vec![
            answer(
                &["human", "person", "somebody", "complain", "agent"],
                "Of course. I have told my colleagues, and one of them will write to you here.\n\
                 ```dmrelay\n{\"handover\": \"the customer asks for a person\"}\n```",
            ),
            answer(
                &["a-0", "a-1", "a-2", "a-3", "a-4", "a-5", "a-6", "a-7", "a-8", "a-9"],
                "I have found it: your parcel left us yesterday, and arrives tomorrow or the day after.",
            ),
            answer(
                &["open", "hours", "sunday", "today", "close"],
                "We are open Monday to Saturday from 9 to 18, and closed on Sundays. Orders online are taken at any time.",
            ),
            answer(
                &["order", "parcel", "package", "tracking", "arrive"],
                "If you tell me the number of your order (it begins with A-), I look where it is. Parcels usually take two to three days.",
            ),
            answer(
                &["ship", "deliver", "norway", "abroad", "postage"],
                "We ship to all of Europe: 4.90 within the country, 9.90 elsewhere, and free above 60. It takes two to five days.",
            ),
            answer(
                &["return", "refund", "exchange", "broken"],
                "You can return everything within 30 days. Write me the number of your order, and I send you a label.",
            ),
            answer(&["price", "cost", "how much", "expensive", "vase"], "Our mugs are 18, plates 24, and the large vase 65."),
            answer(&["thank", "great", "perfect"], "You are welcome! Have a lovely day."),
            answer(
                &["hello", "hi ", "hi!", "hey", "good morning"],
                "Hello! I am the assistant of the pottery. Ask me about our hours, shipping, returns or your order.",
            ),
        ],
        otherwise: "I am not sure about that. Ask me about our hours, shipping, returns or your order, or say that you want \
                    to talk to a person."
            .to_owned(),
    }
}
