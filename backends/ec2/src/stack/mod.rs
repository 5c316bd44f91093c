//! The CloudFormation stack that runs need: created once per account and region, and shared by all runs.
//!
//! ```text
//! template   what is in it, as a pure function of the zones, and the plan that is shown before anybody is asked
//! create     creates it, or brings it up to date
//! delete     removes it, with what is in its bucket, and looks whether anything is left
//! ```

mod audit;
mod bucket;
#[cfg(test)]
pub(crate) mod canned;
mod create;
mod delete;
mod error;
mod events;
mod look;
mod network;
mod resource;
mod rights;
mod storage;
mod template;
#[cfg(test)]
mod tests;
mod users;
mod wait;

pub use create::create;
pub use delete::delete;
pub use error::StackError;
pub(crate) use look::{StackView, look};
pub(crate) use storage::RUNS_KEPT_DAYS;
pub use template::{
    OUTPUT_BUCKET, OUTPUT_INSTANCE_PROFILE, OUTPUT_LOG_GROUP, OUTPUT_VPC, Planned, TemplateError, plan,
    template,
};
