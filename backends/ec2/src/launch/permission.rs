//! Whether the caller may launch what is planned, without launching anything.

use super::Settings;
use super::request::{Order, attempts};
use crate::api::{Account, ApiError, Cause, call};
use crate::infrastructure::Infrastructure;
use crate::names::RunNames;
use crate::plan::LaunchPlan;
use crate::tags::Tags;

/// Asks for every kind of the plan whether it could be launched, by the request that launches it: rules of an account
/// may be about anything in it, tags and volumes too.
///
/// # Errors
/// What the service would refuse.
pub async fn may_launch(
    account: &Account,
    infrastructure: &Infrastructure,
    (names, tags): (&RunNames, &Tags),
    plan: &LaunchPlan,
    settings: &Settings,
) -> Result<(), ApiError> {
    let order = Order { account, infrastructure, names, tags, plan, settings };
    for kind in &plan.kinds {
        let mut refused = None;
        for attempt in attempts(plan, kind) {
            let what = format!("{} in {} (dry run)", kind.describe(), attempt.subnet.zone);
            let request = order.request(kind, &attempt, None);
            refused = match call("RunInstances", &what, request.send()).await {
                // What launches nothing is not refused by a service that does not know dry runs.
                Ok(_) => None,
                Err(error) if error.cause == Cause::DryRun => None,
                // The launch goes on as well.
                Err(error) if attempt.is_worth_another(&error) => Some(error),
                Err(error) => return Err(error),
            };
            if refused.is_none() {
                break;
            }
        }
        refused.map_or(Ok(()), Err)?;
    }
    Ok(())
}
