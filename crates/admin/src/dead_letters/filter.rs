//! Filters of dead letters.

use super::super::common::subaccount;
use clap::Args;
use clap::builder::PossibleValuesParser;
use dmrelay_domain::failure::FailureClass;
use dmrelay_domain::ids::{ConnectionId, SubaccountId};
use dmrelay_domain::states::{DeadLetterKind, DeadLetterState};
use dmrelay_store::LetterSearch;

/// Only dead letters that match all of these.
#[derive(Debug, Args)]
pub(super) struct Filter {
    /// Only this subaccount.
    #[arg(long, value_parser = subaccount)]
    subaccount: Option<SubaccountId>,
    /// Only this connection.
    #[arg(long)]
    connection: Option<ConnectionId>,
    /// Only this failure class.
    #[arg(long, value_parser = PossibleValuesParser::new(FailureClass::ALL.iter().map(|word| word.as_str())))]
    class: Option<String>,
    /// Only this kind.
    #[arg(long, value_parser = PossibleValuesParser::new(DeadLetterKind::ALL.iter().map(|word| word.as_str())))]
    kind: Option<String>,
}

impl Filter {
    pub(super) fn is_empty(&self) -> bool {
        self.subaccount.is_none() && self.connection.is_none() && self.class.is_none() && self.kind.is_none()
    }

    pub(super) fn search(&self, state: DeadLetterState) -> LetterSearch {
        LetterSearch {
            subaccount: self.subaccount.clone(),
            connection: self.connection,
            class: self.class.clone(),
            kind: self.kind.clone(),
            state: Some(state),
            ..LetterSearch::default()
        }
    }
}
