//! Texts of the page of saved messages.

pub(crate) const INTRO: &str = "Messages that are sent again and again: above the composer, in broadcasts, by rules, by the bot and over REST.";
pub(crate) const NONE: &str = "No message is saved yet. Write the first one above.";
pub(crate) const NEW: &str = "A new message";
pub(crate) const CHANGE: &str = "Change the message";
pub(crate) const NAME: &str = "Name";
pub(crate) const NAME_EXAMPLE: &str = "Parcel sent";
pub(crate) const SAVE: &str = "Save";
pub(crate) const CANCEL: &str = "Cancel";
pub(crate) const EDIT: &str = "Change";
pub(crate) const REMOVE: &str = "Remove";
pub(crate) const VARIABLES: &str = "Variables:";

pub(crate) fn version(version: i32) -> String {
    format!("version {version}")
}

pub(crate) fn edit(name: &str) -> String {
    format!("Change: {name}")
}

pub(crate) fn remove(name: &str) -> String {
    format!("Remove: {name}")
}

pub(crate) fn remove_confirm(name: &str) -> String {
    format!("Remove “{name}” with its versions? What was sent stays.")
}
