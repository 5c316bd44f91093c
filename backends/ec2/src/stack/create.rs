//! Creates the stack, or brings it up to date.

use super::error::StackError;
use super::events::Events;
use super::look::{Phase, StackView, look};
use super::template::template;
use super::wait::Wait;
use crate::api::{Account, ApiError, Cause, call};
use crate::infrastructure::{self, Infrastructure};
use crate::names::TAG_STACK;
use aws_sdk_cloudformation::types::{Capability, Tag};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A network, a role and a bucket take two or three minutes.
const CREATED_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Creates the stack `name` with a public subnet in each of `zones`, or brings an existing one up to date, and returns
/// what runs use of it. `on_progress` gets a line for each step and each resource. Asking again, also after an
/// interruption, comes to the same end.
///
/// # Errors
/// If a stack of this name is not ours or cannot be updated, if CloudFormation fails (the first resource that failed
/// is named), or if the deadline 'stack created' of 15 minutes passes.
pub async fn create(
    account: &Account,
    name: &str,
    zones: &[String],
    on_progress: &mut dyn FnMut(&str),
) -> Result<Infrastructure, StackError> {
    create_within(CREATED_LIMIT, account, name, zones, on_progress).await
}

pub(super) async fn create_within(
    limit: Duration,
    account: &Account,
    name: &str,
    zones: &[String],
    on_progress: &mut dyn FnMut(&str),
) -> Result<Infrastructure, StackError> {
    let body = template(zones, name)?.to_string();
    let mut wait = Wait::new(account, name, "stack created", limit);
    let (id, mut events) = match existing(account, name, &mut wait, on_progress).await? {
        None => {
            on_progress(&format!("creating the stack {name} in {}", account.region));
            let id = start(account, name, &body).await?;
            (id.clone(), Events::all(id))
        }
        Some(stack) => {
            let events = Events::from_now(account, stack.id.clone()).await?;
            if !update(account, &stack, name, &body).await? {
                on_progress(&format!("the stack {name} in {} is up to date", account.region));
                return Ok(infrastructure::find(account, name).await?);
            }
            on_progress(&format!("updating the stack {name} in {}", account.region));
            (stack.id, events)
        }
    };
    let settled = wait.settled(&id, &mut events, on_progress).await?;
    match settled.as_ref().map(|stack| stack.status.as_str()) {
        Some("CREATE_COMPLETE" | "UPDATE_COMPLETE") => Ok(infrastructure::find(account, name).await?),
        Some(_) | None => Err(failed(account, name, settled.as_ref(), &events)),
    }
}

/// The stack of this name, once CloudFormation does nothing with it; `None` if it has to be created.
async fn existing(
    account: &Account,
    name: &str,
    wait: &mut Wait<'_>,
    on_progress: &mut dyn FnMut(&str),
) -> Result<Option<StackView>, StackError> {
    let Some(mut stack) = look(account, name).await? else { return Ok(None) };
    check_ours(account, name, &stack)?;
    if stack.phase() == Phase::Working {
        on_progress(&format!("the stack {name} is {}: waiting until that is done", stack.status));
        let mut events = Events::all(stack.id.clone());
        match wait.settled(&stack.id, &mut events, on_progress).await? {
            None => return Ok(None),
            Some(settled) if settled.phase() == Phase::Broken => {
                return Err(failed(account, name, Some(&settled), &events));
            }
            Some(settled) => stack = settled,
        }
    }
    if stack.phase() == Phase::Usable {
        return Ok(Some(stack));
    }
    let (stack, region) = ((name.to_owned(), stack.status), account.region.clone());
    Err(StackError::NotUpdatable { stack: stack.0, region, status: stack.1 })
}

/// A stack of the same name that somebody made for something else is neither updated nor removed.
pub(super) fn check_ours(account: &Account, name: &str, stack: &StackView) -> Result<(), StackError> {
    if stack.tag.as_deref() == Some(name) {
        return Ok(());
    }
    Err(StackError::NotOurs { stack: name.to_owned(), region: account.region.clone() })
}

/// Starts the creation and returns the id of the stack.
async fn start(account: &Account, name: &str, body: &str) -> Result<String, StackError> {
    let what = format!("stack {name} in {}", account.region);
    let request = account
        .cloudformation
        .create_stack()
        .stack_name(name)
        .template_body(body)
        .capabilities(Capability::CapabilityIam)
        .tags(Tag::builder().key(TAG_STACK).value(name).build())
        .client_request_token(token("create"));
    match call("CreateStack", &what, request.send()).await {
        Ok(created) => {
            Ok(created.stack_id.ok_or_else(|| ApiError::incomplete("CreateStack", &what, "id"))?)
        }
        // Another setup was faster, or our own first attempt, whose answer was lost.
        Err(error) if error.cause == Cause::Exists => match look(account, name).await? {
            Some(stack) => check_ours(account, name, &stack).map(|()| stack.id),
            None => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// Starts an update; `false` if there is nothing to update.
async fn update(account: &Account, stack: &StackView, name: &str, body: &str) -> Result<bool, StackError> {
    let what = format!("stack {name} in {}", account.region);
    let request = account
        .cloudformation
        .update_stack()
        .stack_name(&stack.id)
        .template_body(body)
        .capabilities(Capability::CapabilityIam)
        .tags(Tag::builder().key(TAG_STACK).value(name).build())
        .client_request_token(token("update"));
    match call("UpdateStack", &what, request.send()).await {
        Ok(_) => Ok(true),
        Err(error) if error.to_string().contains("No updates are to be performed") => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A token that makes the SDK's attempts of one request one request. It is another one in every process: a second
/// update with the token of the first would do nothing.
pub(super) fn token(operation: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("netbench-{operation}-{}-{}", std::process::id(), now.as_nanos())
}

fn failed(account: &Account, name: &str, stack: Option<&StackView>, events: &Events) -> StackError {
    let reason = stack.and_then(|stack| stack.reason.as_deref());
    let broken = stack.is_none_or(|stack| stack.phase() == Phase::Broken);
    StackError::Failed {
        stack: name.to_owned(),
        region: account.region.clone(),
        status: stack.map_or("gone", |stack| &stack.status).to_owned(),
        cause: events.failure().or(reason).unwrap_or("CloudFormation gives no reason").to_owned(),
        advice: if broken {
            "remove it with `runner ec2 teardown` before setting it up again"
        } else {
            "it is as it was before"
        },
    }
}
