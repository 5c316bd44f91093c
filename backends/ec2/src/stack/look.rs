//! Where a stack stands.

use crate::api::{Account, ApiError, call};
use crate::names::TAG_STACK;
use aws_sdk_cloudformation::types::Stack;
use std::collections::BTreeMap;

/// A stack as it is now.
#[derive(Clone, Debug)]
pub(crate) struct StackView {
    /// Its ARN, which is never given again, unlike its name.
    pub(crate) id: String,
    /// Its state, as CloudFormation calls it.
    pub(crate) status: String,
    /// Why it is in that state, if CloudFormation says.
    pub(crate) reason: Option<String>,
    /// Its outputs.
    pub(crate) outputs: BTreeMap<String, String>,
    /// The value of its tag `netbench-stack`.
    pub(crate) tag: Option<String>,
}

/// What can be done with a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Runs may use it, and it may be updated.
    Usable,
    /// CloudFormation is at work.
    Working,
    /// It is gone.
    Gone,
    /// It can only be removed.
    Broken,
}

/// The stack with this name or id; `None` if there is none, or it is gone.
pub(crate) async fn look(account: &Account, name_or_id: &str) -> Result<Option<StackView>, ApiError> {
    let what = format!("stack {name_or_id} in {}", account.region);
    let request = account.cloudformation.describe_stacks().stack_name(name_or_id);
    let described = match call("DescribeStacks", &what, request.send()).await {
        Ok(described) => described,
        Err(error) if says_absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let stack = described.stacks.and_then(|stacks| stacks.into_iter().next());
    let view =
        stack.map(StackView::of).ok_or_else(|| ApiError::incomplete("DescribeStacks", &what, "stack"))?;
    Ok(Some(view).filter(|view| view.phase() != Phase::Gone))
}

/// CloudFormation has no code of its own for a stack that is not there.
fn says_absent(error: &ApiError) -> bool {
    error.code.as_deref() == Some("ValidationError") && error.to_string().contains("does not exist")
}

impl StackView {
    fn of(stack: Stack) -> Self {
        let status = stack.stack_status().map_or("of unknown state", |status| status.as_str()).to_owned();
        let tag = stack.tags().iter().find(|tag| tag.key() == Some(TAG_STACK)).and_then(|tag| tag.value());
        let pairs =
            stack.outputs().iter().filter_map(|output| output.output_key().zip(output.output_value()));
        Self {
            id: stack.stack_id().or(stack.stack_name()).unwrap_or_default().to_owned(),
            reason: stack.stack_status_reason().map(str::to_owned),
            outputs: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            tag: tag.map(str::to_owned),
            status,
        }
    }

    /// Whether runs may use it.
    pub(crate) fn is_usable(&self) -> bool {
        self.phase() == Phase::Usable
    }

    /// What can be done with it.
    pub(crate) fn phase(&self) -> Phase {
        match self.status.as_str() {
            "CREATE_COMPLETE"
            | "UPDATE_COMPLETE"
            | "UPDATE_ROLLBACK_COMPLETE"
            | "IMPORT_COMPLETE"
            | "IMPORT_ROLLBACK_COMPLETE" => Phase::Usable,
            "DELETE_COMPLETE" => Phase::Gone,
            // It waits for somebody to execute a change set.
            "REVIEW_IN_PROGRESS" => Phase::Broken,
            status if status.ends_with("_IN_PROGRESS") => Phase::Working,
            _ => Phase::Broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_sorted_by_what_can_be_done() {
        let phase = |status: &str| {
            let status = status.to_owned();
            StackView { id: String::new(), status, reason: None, outputs: BTreeMap::new(), tag: None }.phase()
        };
        assert_eq!(phase("UPDATE_ROLLBACK_COMPLETE"), Phase::Usable);
        assert_eq!(phase("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"), Phase::Working);
        assert_eq!(phase("REVIEW_IN_PROGRESS"), Phase::Broken);
        assert_eq!(phase("ROLLBACK_COMPLETE"), Phase::Broken);
        assert_eq!(phase("DELETE_FAILED"), Phase::Broken);
        assert_eq!(phase("DELETE_COMPLETE"), Phase::Gone);
    }
}
