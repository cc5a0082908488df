//! The customer beside a conversation, and the notes of colleagues.

pub(crate) const CUSTOMER: &str = "Customer";
pub(crate) const HANDLE: &str = "Handle";
pub(crate) const NO_HANDLE: &str = "unknown";
pub(crate) const WINDOW: &str = "Window for replies";
/// Around the time that is left.
pub(crate) const WINDOW_OPEN: &str = "open, {}";
pub(crate) const WINDOW_CLOSED: &str = "closed";
pub(crate) const SINCE: &str = "Since";
pub(crate) const OTHER_CHATS: &str = "Other chats";

pub(crate) const ASSIGNED_TO: &str = "Assigned to";
pub(crate) const YOU: &str = "you";
pub(crate) const NOBODY: &str = "nobody";
pub(crate) const ASSIGN_TO_ME: &str = "Assign to me";
pub(crate) const UNASSIGN: &str = "Unassign";

pub(crate) const TAGS: &str = "Tags";
pub(crate) const NO_TAGS: &str = "none";
pub(crate) const ADD_TAG: &str = "Add a tag";

pub(crate) const SNOOZED: &str = "Snoozed";
/// Around the time when it ends.
pub(crate) const SNOOZED_UNTIL: &str = "until {}";
pub(crate) const NOT_SNOOZED: &str = "no";
pub(crate) const END_SNOOZE: &str = "End";
/// How long a conversation can be snoozed: hours, and their name.
pub(crate) const SNOOZES: [(&str, &str); 3] = [("1", "1 h"), ("4", "4 h"), ("24", "1 day")];

pub(crate) const NOTES: &str = "Notes";
pub(crate) const NOTE_LABEL: &str = "A note for colleagues";
pub(crate) const NOTE_HINT: &str = "For colleagues; the customer never sees it";
pub(crate) const ADD_NOTE: &str = "Add note";
pub(crate) const NO_NOTES: &str = "Nobody has left a note.";
pub(crate) const DELETE: &str = "Delete";

pub(crate) fn remove_tag(tag: &str) -> String {
    format!("Remove the tag {tag}")
}

pub(crate) fn delete_note_of(author: &str) -> String {
    format!("Delete the note of {author}")
}
