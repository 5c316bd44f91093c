//! `runner ec2`: a scenario on hosts in the cloud, and what is around that.

mod account;
mod config;
mod destroy;
mod local_programs;
mod options;
mod plan;
mod programs;
mod publish;
mod run;
mod stack;
mod supply;

pub(in crate::command) use config::expand;

use super::{CommandError, Verb};
use crate::run::{Beginning, RunDirectory, RunError};
use account::Session;
use backends::scenario::Scenario;
use clap::{Args, Subcommand};
use options::{Ec2Run, PlaceArgs};
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `runner ec2`; what it does is told to the user at its verb.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Ec2 {
    #[command(subcommand)]
    verb: Option<Ec2Verb>,

    #[command(flatten)]
    place: PlaceArgs,

    #[command(flatten)]
    run: Ec2Run,
}

#[derive(Debug, Subcommand)]
enum Ec2Verb {
    /// Create what runs need, once for an account and region
    Setup(stack::Setup),
    /// Remove what `setup` created, with everything that runs have left in the bucket
    Teardown(stack::Teardown),
    /// Remove everything of one run, wherever it was begun
    Destroy(destroy::Destroy),
    /// List the runs of which something exists
    List(destroy::List),
    /// Remove everything of runs whose time limit has passed
    Gc(destroy::Collect),
}

impl Ec2 {
    pub(super) fn run(self, verbose: bool) -> Result<ExitCode, CommandError> {
        match self.verb {
            None => self.run.run(&self.place, verbose),
            Some(Ec2Verb::Setup(setup)) => setup.run(),
            Some(Ec2Verb::Teardown(teardown)) => teardown.run(),
            Some(Ec2Verb::Destroy(destroy)) => destroy.run(),
            Some(Ec2Verb::List(list)) => list.run(),
            Some(Ec2Verb::Gc(collect)) => collect.run(),
        }
    }

    /// The file that options are to be taken from.
    pub(super) fn config(verb: &Verb) -> Option<&std::path::Path> {
        let Verb::Ec2(ec2) = verb else { return None };
        ec2.verb.is_none().then_some(ec2.run.config.as_deref()).flatten()
    }
}

/// The options of a run, as `run.json` has them.
#[derive(serde::Deserialize)]
pub(super) struct Recorded {
    place: PlaceArgs,
    ec2: Ec2Run,
}

impl Recorded {
    /// Takes the run in `directory` over.
    pub(super) fn resume(
        mut self,
        directory: &RunDirectory,
        scenario: (PathBuf, Scenario),
        beginning: Result<Beginning, RunError>,
        (json, verbose): (bool, bool),
    ) -> Result<ExitCode, CommandError> {
        self.ec2.run.json |= json;
        self.ec2.resume(&self.place, directory, scenario, beginning, verbose)
    }
}
