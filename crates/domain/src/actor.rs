//! Who did something, for the activity log.

/// Who did something: a name for people, and an id that no two have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actor {
    /// The name: of an API key, of the subject of a token, `command line`, or a word such as `agent`.
    pub name: String,
    /// The id of the key, the subject of the token, or the operating system's user; none for what dmrelay does on its own.
    pub id: Option<String>,
}

impl Actor {
    /// What tells it from others: its id, otherwise its name.
    pub fn key(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.name)
    }

    /// Somebody with an id.
    pub fn new(name: impl Into<String>, id: impl Into<String>) -> Self {
        Self { name: name.into(), id: Some(id.into()) }
    }
}

impl From<&str> for Actor {
    fn from(name: &str) -> Self {
        Self { name: name.to_owned(), id: None }
    }
}

impl From<&Self> for Actor {
    fn from(actor: &Self) -> Self {
        actor.clone()
    }
}
