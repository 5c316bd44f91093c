//! Hosts of a netbench run on EC2: launched, prepared through SSM, collected from through S3, and given back.
//!
//! ```text
//! api             the clients of one account and region; every call has a deadline, and an error that names it
//! stack           what an account needs before it can have runs: made once, by CloudFormation
//! infrastructure  the same, found again
//! plan            what a run will create: a pure function
//! lookup          what a plan has to know about the account
//! journal         what a run has created, written down before
//! launch          the creation
//! artifacts       files to the hosts and back, by digest through the bucket
//! build           programs from source, where no local file runs
//! steps           what hosts do to get ready, sent through SSM and watched
//! inventory       what exists of a run, found by tag
//! provision       the way from a plan to hosts on which a worker listens
//! cloud           the hosts as the run sees them
//! teardown        giving it all back, and the audit
//! publish         a status page and the copy of the report, for whoever has a link
//! public_address  who may reach the hosts
//! patience        the user's signals, while nobody else listens
//! names, tags     what the things of a run are called
//! ```
//!
//! Everything that a run creates is written to its journal before it is created, and is found again by the run's tags
//! or name, from any machine. Only `runner` depends on this crate, behind its feature `ec2`.

pub mod api;
pub mod artifacts;
pub mod build;
pub mod cloud;
pub mod hosts;
pub mod infrastructure;
pub mod inventory;
pub mod journal;
pub mod launch;
pub mod lookup;
pub mod names;
pub mod patience;
pub mod plan;
pub mod provision;
pub mod public_address;
pub mod publish;
pub mod stack;
pub mod steps;
pub mod tags;
pub mod teardown;
mod watch;
