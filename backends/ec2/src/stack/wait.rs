//! Waiting for CloudFormation, with a deadline that has a name.

use super::error::StackError;
use super::events::Events;
use super::look::{Phase, StackView, look};
use crate::api::Account;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// So that a poll interval of zero does not become a busy loop.
const POLL_INTERVAL_MIN: Duration = Duration::from_millis(1);

/// A wait that ends.
#[derive(Debug)]
pub(super) struct Deadline<'a> {
    account: &'a Account,
    stack: &'a str,
    name: &'static str,
    limit: Duration,
    end: Instant,
}

impl<'a> Deadline<'a> {
    /// The deadline `name` of the stack `stack`, from now.
    pub(super) fn new(account: &'a Account, stack: &'a str, name: &'static str, limit: Duration) -> Self {
        Self { account, stack, name, limit, end: Instant::now() + limit }
    }

    /// Waits until CloudFormation does no more with the stack `id`, and returns how it is then; `None` if it is gone.
    pub(super) async fn settled(
        &self,
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

    /// Waits until the next poll; `status` is where things stand.
    pub(super) async fn pause(&self, status: &str) -> Result<(), StackError> {
        if Instant::now() >= self.end {
            return Err(StackError::Deadline {
                deadline: self.name,
                limit_s: self.limit.as_secs(),
                stack: self.stack.to_owned(),
                region: self.account.region.clone(),
                status: status.to_owned(),
            });
        }
        sleep(self.account.poll_interval.max(POLL_INTERVAL_MIN)).await;
        Ok(())
    }
}
