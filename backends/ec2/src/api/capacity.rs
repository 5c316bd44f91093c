//! A zone without room is an answer, and not a fault that passes: AWS says it with status 500, which the SDK would
//! repeat for a minute before another zone gets its chance.

use super::Cause;
use aws_sdk_ec2::config::interceptors::InterceptorContext;
use aws_sdk_ec2::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::operation::run_instances::RunInstancesError;

/// Lets nothing be repeated that another zone or type may help.
#[derive(Debug)]
pub(super) struct CapacityIsAnAnswer;

impl ClassifyRetry for CapacityIsAnAnswer {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = context.output_or_error().and_then(Result::err);
        let error = error.and_then(|error| error.as_operation_error());
        let code = error.and_then(|error| error.downcast_ref::<RunInstancesError>()?.code());
        match code.map(Cause::of) {
            Some(Cause::Capacity) => RetryAction::RetryForbidden,
            Some(_) | None => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "capacity is an answer"
    }
}
