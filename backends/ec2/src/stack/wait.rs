//! Waiting for CloudFormation, with a deadline that has a name.

use super::error::StackError;
use super::events::Events;
use super::look::{Phase, StackView, look};
use crate::api::{Account, DeadlinePassed, Pace};
use std::time::Duration;

/// A wait for a stack that ends.
#[derive(Debug)]
pub(super) struct Wait<'a> {
    account: &'a Account,
    stack: &'a str,
    pace: Pace,
}

impl<'a> Wait<'a> {
    /// For the stack `stack`, from now on and for `limit`; `name` is that of the deadline.
    pub(super) fn new(account: &'a Account, stack: &'a str, name: &'static str, limit: Duration) -> Self {
        Self { account, stack, pace: Pace::new(name, limit, account.poll_interval) }
    }

    /// Waits until CloudFormation does no more with the stack `id`, and returns how it is then; `None` if it is gone.
    pub(super) async fn settled(
        &mut self,
        id: &str,
        events: &mut Events,
        on_progress: &mut dyn FnMut(&str),
    ) -> Result<Option<StackView>, StackError> {
        loop {
            let Some(stack) = look(self.account, id).await? else { return Ok(None) };
            // The state was read before the events: these are all that led to it.
            events.tell(self.account, on_progress).await?;
            if stack.phase() != Phase::Working {
                return Ok(Some(stack));
            }
            self.pause(&stack.status).await?;
        }
    }

    /// Waits until the next look; `status` is where things stand.
    pub(super) async fn pause(&mut self, status: &str) -> Result<(), StackError> {
        let waited = self.pace.wait().await;
        waited.map_err(|passed| self.late(passed, status))
    }

    /// Goes on at once, if there is time; `status` is where things stand.
    pub(super) fn go_on(&self, status: &str) -> Result<(), StackError> {
        self.pace.check().map_err(|passed| self.late(passed, status))
    }

    fn late(&self, passed: DeadlinePassed, status: &str) -> StackError {
        let (stack, region) = (self.stack.to_owned(), self.account.region.clone());
        StackError::Deadline { passed, stack, region, status: status.to_owned() }
    }
}
