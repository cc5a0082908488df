//! Change tracking of a row since it was loaded.

use std::ops::{Deref, DerefMut};

/// How to save a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Unchanged since it was loaded.
    None,
    /// An update.
    Updated,
    /// An insert.
    Inserted,
    /// A delete.
    Deleted,
}

/// A row that remembers whether it was changed. Borrowing it mutably counts as changing it.
#[derive(Debug, Clone)]
pub struct Tracked<T> {
    row: T,
    change: Change,
}

impl<T> Tracked<T> {
    /// A stored row.
    pub fn loaded(row: T) -> Self {
        Self { row, change: Change::None }
    }

    /// A new row.
    pub fn inserted(row: T) -> Self {
        Self { row, change: Change::Inserted }
    }

    /// How to save it.
    pub fn change(&self) -> Change {
        self.change
    }

    /// Whether the row exists after the save.
    pub fn is_live(&self) -> bool {
        self.change != Change::Deleted
    }

    /// The row itself.
    pub fn into_row(self) -> T {
        self.row
    }

    /// Has the row saved, changed or not.
    pub fn touch(&mut self) {
        if self.change == Change::None {
            self.change = Change::Updated;
        }
    }

    /// Removes the row.
    pub fn delete(&mut self) {
        self.change = Change::Deleted;
    }
}

/// Compares the rows, whether changed or not.
impl<T: PartialEq> PartialEq for Tracked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.row == other.row
    }
}

impl<T> Deref for Tracked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.row
    }
}

impl<T> DerefMut for Tracked<T> {
    fn deref_mut(&mut self) -> &mut T {
        // An inserted row is edited in memory and written once.
        self.touch();
        &mut self.row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_noticed_and_an_inserted_row_stays_inserted() {
        let mut row = Tracked::loaded(1);
        assert_eq!((*row, row.change()), (1, Change::None));
        *row += 1;
        assert_eq!((*row, row.change()), (2, Change::Updated));
        let mut new = Tracked::inserted(1);
        *new += 1;
        assert_eq!((*new, new.change()), (2, Change::Inserted));
        new.delete();
        assert!(!new.is_live());
    }
}
