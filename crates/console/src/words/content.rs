//! What a message shows.

pub(crate) const OPEN_MEDIA: &str = "Open at Instagram";
pub(crate) const OPEN_FILE: &str = "Open the file";
pub(crate) const OPEN_LINK: &str = "Open the link";
pub(crate) const QUICK_REPLIES: &str = "Quick replies";
pub(crate) const CARDS: &str = "Cards";
pub(crate) const HEART: &str = "A heart";
