//! A message that somebody writes in a form.

pub(crate) const TEXT: &str = "Text; {{name}} is the customer's name";
pub(crate) const TEXT_EXAMPLE: &str = "Hello {{name}}, your parcel {{order}} is on its way.";
pub(crate) const MORE: &str = "Quick replies, a picture, cards";
pub(crate) const QUICK_REPLIES: &str = "Quick replies, one a line";
pub(crate) const QUICK_REPLIES_EXAMPLE: &str = "Red = RED\nBlue = BLUE";
pub(crate) const IMAGE: &str = "Picture, in place of a text";
pub(crate) const IMAGE_EXAMPLE: &str = "https://…";
pub(crate) const CARDS: &str = "Cards, one a line: title | subtitle | picture | buttons";
pub(crate) const CARDS_EXAMPLE: &str =
    "Vase | Blue, 65 | https://shop.example/vase.jpg | Order = ORDER_VASE; Shop = https://shop.example";
pub(crate) const JSON: &str = "Or Graph's own message object";
pub(crate) const PREVIEW: &str = "What the customer sees";
pub(crate) const NOTHING_YET: &str = "Nothing yet.";
