//! What the orchestrator's command line is made of.

pub mod causes;
pub mod command;
pub mod conditions;
pub mod exit;
pub mod facts;
mod files;
pub mod hosts;
pub mod report;
pub mod run;
pub mod summary;
pub mod table;
pub mod totals;
pub mod units;
