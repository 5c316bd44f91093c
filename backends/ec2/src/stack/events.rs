//! What CloudFormation says while it works on a stack: a line for each resource, and the first that failed.

use crate::api::{Account, ApiError, call};
use aws_sdk_cloudformation::types::StackEvent;
use std::collections::BTreeSet;

/// The events of one stack that are still news.
#[derive(Debug)]
pub(super) struct Events {
    stack: String,
    newest: Option<String>,
    shown: BTreeSet<String>,
    failure: Option<String>,
}

impl Events {
    /// All events of the stack with this id.
    pub(super) fn all(stack: String) -> Self {
        Self { stack, newest: None, shown: BTreeSet::new(), failure: None }
    }

    /// The events of the stack with this id from now on.
    pub(super) async fn from_now(account: &Account, stack: String) -> Result<Self, ApiError> {
        let mut events = Self::all(stack);
        events.unseen(account).await?;
        Ok(events)
    }

    /// Tells what is new, oldest first, each resource once.
    pub(super) async fn tell(
        &mut self,
        account: &Account,
        on_progress: &mut dyn FnMut(&str),
    ) -> Result<(), ApiError> {
        for event in self.unseen(account).await?.iter().rev() {
            self.tell_one(event, on_progress);
        }
        Ok(())
    }

    /// The first resource that failed, and why.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    fn tell_one(&mut self, event: &StackEvent, on_progress: &mut dyn FnMut(&str)) {
        let resource = event.logical_resource_id().unwrap_or("a resource without a name");
        let physical = event.physical_resource_id().unwrap_or_default();
        let status = event.resource_status().map_or("", |status| status.as_str());
        if physical == self.stack {
            return;
        }
        if status.ends_with("_FAILED") {
            let reason = event.resource_status_reason().unwrap_or("no reason is given");
            let kind = event.resource_type().unwrap_or("unknown type");
            let text = format!("{resource} ({kind}): {reason}");
            // What was only cancelled failed because of something else.
            if self.failure.is_none() && !reason.contains("cancelled") {
                on_progress(&format!("failed: {text}"));
                self.failure = Some(text);
            }
        } else if let Some(done) = verb(status)
            && self.shown.insert(format!("{done} {resource}"))
        {
            on_progress(&format!("{done}: {resource} {physical}"));
        }
    }

    /// What came since the last time, newest first.
    async fn unseen(&mut self, account: &Account) -> Result<Vec<StackEvent>, ApiError> {
        let mut unseen = Vec::new();
        let mut token = None;
        'pages: loop {
            let request =
                account.cloudformation.describe_stack_events().stack_name(&self.stack).set_next_token(token);
            let page = call("DescribeStackEvents", &self.stack, request.send()).await?;
            for event in page.stack_events.unwrap_or_default() {
                if self.newest.is_some() && event.event_id == self.newest {
                    break 'pages;
                }
                unseen.push(event);
            }
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        if let Some(newest) = unseen.first() {
            self.newest = newest.event_id.clone();
        }
        Ok(unseen)
    }
}

fn verb(status: &str) -> Option<&'static str> {
    match status {
        "CREATE_COMPLETE" => Some("created"),
        "UPDATE_COMPLETE" => Some("updated"),
        "DELETE_COMPLETE" => Some("removed"),
        _ => None,
    }
}
