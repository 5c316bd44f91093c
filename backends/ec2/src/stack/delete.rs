//! Removes the stack, with what is in its bucket, and looks whether anything is left.

use super::create::{check_ours, token};
use super::error::StackError;
use super::events::Events;
use super::look::{Phase, StackView, look};
use super::wait::Wait;
use super::{audit, bucket, users};
use crate::api::{Account, call};
use std::time::Duration;

/// Removing a network takes a minute or two; a large bucket may take longer.
const DELETED_LIMIT: Duration = Duration::from_secs(15 * 60);

/// What EC2 lists may be a little older than what it did.
const NOTHING_LEFT_LIMIT: Duration = Duration::from_secs(60);

/// Removes the stack `name` with everything in its bucket, and makes sure that nothing with its tag is left. A stack
/// that is already gone is fine. `on_progress` gets a line for each step and each resource.
///
/// # Errors
/// If instances or security groups are in the stack's network (the runs are named, and nothing is removed), if the
/// stack is not ours, if something cannot be removed (it is named), or if one of the deadlines `stack settled`,
/// `bucket emptied`, `stack deleted` (15 minutes each) or `nothing left` (1 minute) passes.
pub async fn delete(
    account: &Account,
    name: &str,
    on_progress: &mut dyn FnMut(&str),
) -> Result<(), StackError> {
    delete_within(
        &Limits { deleted: DELETED_LIMIT, nothing_left: NOTHING_LEFT_LIMIT },
        account,
        name,
        on_progress,
    )
    .await
}

/// How long it may take.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) deleted: Duration,
    pub(super) nothing_left: Duration,
}

/// The parts of the stack that have to be looked at before and after; none if it never came so far.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) vpc: Option<String>,
    pub(super) bucket: Option<String>,
    pub(super) instance_profile: Option<String>,
}

pub(super) async fn delete_within(
    limits: &Limits,
    account: &Account,
    name: &str,
    on_progress: &mut dyn FnMut(&str),
) -> Result<(), StackError> {
    let mut parts = Parts::default();
    match look(account, name).await? {
        None => on_progress(&format!("there is no stack {name} in {}", account.region)),
        Some(stack) => {
            check_ours(account, name, &stack)?;
            let stack = finished(account, name, stack, limits.deleted, on_progress).await?;
            parts = parts_of(account, &stack).await?;
            if let Some(vpc) = &parts.vpc {
                users::check_none(account, name, vpc).await?;
            }
            if let Some(name_of_bucket) = &parts.bucket {
                let wait = Wait::new(account, name, "bucket emptied", limits.deleted);
                let removed = bucket::empty(account, name_of_bucket, &wait).await?;
                on_progress(&format!("bucket {name_of_bucket} is empty: {removed} objects removed"));
            }
            remove(account, name, stack, limits.deleted, on_progress).await?;
        }
    }
    let mut wait = Wait::new(account, name, "nothing left", limits.nothing_left);
    audit::nothing_left(account, name, &parts, &mut wait).await?;
    on_progress(&format!("nothing of the stack {name} is left in {}", account.region));
    Ok(())
}

/// The stack, once CloudFormation does nothing else with it than removing it: until then it may get more parts.
async fn finished(
    account: &Account,
    name: &str,
    stack: StackView,
    limit: Duration,
    on_progress: &mut dyn FnMut(&str),
) -> Result<StackView, StackError> {
    if stack.phase() != Phase::Working || stack.status.starts_with("DELETE") {
        return Ok(stack);
    }
    on_progress(&format!("the stack {name} is {}: waiting until that is done", stack.status));
    let mut wait = Wait::new(account, name, "stack settled", limit);
    let mut events = Events::from_now(account, stack.id.clone()).await?;
    Ok(wait.settled(&stack.id, &mut events, on_progress).await?.unwrap_or(stack))
}

/// From the resources and not from the outputs: a stack that failed has none.
async fn parts_of(account: &Account, stack: &StackView) -> Result<Parts, StackError> {
    let request = account.cloudformation.describe_stack_resources().stack_name(&stack.id);
    let described = call("DescribeStackResources", &stack.id, request.send()).await?;
    let mut parts = Parts::default();
    for resource in described.stack_resources() {
        let id = resource.physical_resource_id().filter(|id| !id.is_empty()).map(str::to_owned);
        if resource.resource_status().is_some_and(|status| status.as_str() == "DELETE_COMPLETE") {
            continue;
        }
        match resource.resource_type() {
            Some("AWS::EC2::VPC") => parts.vpc = id,
            Some("AWS::S3::Bucket") => parts.bucket = id,
            Some("AWS::IAM::InstanceProfile") => parts.instance_profile = id,
            Some(_) | None => {}
        }
    }
    Ok(parts)
}

async fn remove(
    account: &Account,
    name: &str,
    stack: StackView,
    limit: Duration,
    on_progress: &mut dyn FnMut(&str),
) -> Result<(), StackError> {
    let mut wait = Wait::new(account, name, "stack deleted", limit);
    let mut events = Events::from_now(account, stack.id.clone()).await?;
    on_progress(&format!("removing the stack {name} in {}", account.region));
    let request =
        account.cloudformation.delete_stack().stack_name(&stack.id).client_request_token(token("delete"));
    call("DeleteStack", &stack.id, request.send()).await?;
    match wait.settled(&stack.id, &mut events, on_progress).await? {
        None => Ok(()),
        Some(stack) => Err(StackError::Failed {
            stack: name.to_owned(),
            region: account.region.clone(),
            cause: events.failure().or(stack.reason.as_deref()).unwrap_or("no reason is given").to_owned(),
            status: stack.status,
            advice: "remove what stands in the way, then run `runner ec2 teardown` again",
        }),
    }
}
