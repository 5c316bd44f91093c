//! `runner ec2 setup` and `teardown`: what runs need, once for an account and region.

use super::account::{Session, interrupted};
use super::options::AccountArgs;
use crate::command::CommandError;
use crate::exit;
use clap::Args;
use ec2::{infrastructure, stack};
use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

/// Options of `runner ec2 setup`.
///
/// Creates a network with a public subnet in each zone, a private bucket, a role for the hosts and a log group, as one
/// CloudFormation stack. It may be repeated.
#[derive(Debug, Args)]
pub(super) struct Setup {
    #[command(flatten)]
    account: AccountArgs,

    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Options of `runner ec2 teardown`.
#[derive(Debug, Args)]
pub(super) struct Teardown {
    #[command(flatten)]
    account: AccountArgs,

    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Setup {
    pub(super) fn run(self) -> Result<ExitCode, CommandError> {
        let session = Session::open(&self.account)?;
        let name = &self.account.stack;
        let zones = session.runtime.block_on(infrastructure::zones(&session.account))?;
        let mut stderr = std::io::stderr();
        let (account, region) = (&session.caller.account, &session.account.region);
        let _ = writeln!(stderr, "The stack {name} in account {account}, region {region}, will consist of:");
        for planned in stack::plan(&zones, name).map_err(stack::StackError::from)? {
            let _ = writeln!(stderr, "  {:<38} {}", planned.kind, planned.what);
        }
        if !self.yes && !is_confirmed("Create or update it?")? {
            return Ok(ExitCode::from(exit::INPUT));
        }
        let mut say = say;
        let work = stack::create(&session.account, name, &zones, &mut say);
        let Some(created) = session.unless_interrupted(work)? else {
            let options = self.account.options(region);
            return Ok(interrupted(&format!(
                "the service may go on; `runner ec2 setup{options}` waits for it, `runner ec2 teardown{options}` removes it"
            )));
        };
        let created = created?;
        println!("bucket:           {}", created.bucket);
        println!("instance profile: {}", created.instance_profile);
        let zones: Vec<&str> = created.subnets.iter().map(|subnet| subnet.zone.as_str()).collect();
        println!("zones:            {}", zones.join(" "));
        Ok(ExitCode::SUCCESS)
    }
}

impl Teardown {
    pub(super) fn run(self) -> Result<ExitCode, CommandError> {
        let session = Session::open(&self.account)?;
        let name = &self.account.stack;
        let question = format!(
            "Remove the stack {name} of account {} in {}, with every file in its bucket?",
            session.caller.account, session.account.region
        );
        if !self.yes && !is_confirmed(&question)? {
            return Ok(ExitCode::from(exit::INPUT));
        }
        let mut say = say;
        let Some(deleted) = session.unless_interrupted(stack::delete(&session.account, name, &mut say))?
        else {
            return Ok(interrupted("`runner ec2 teardown` goes on from here"));
        };
        deleted?;
        println!("the stack {name} is gone");
        Ok(ExitCode::SUCCESS)
    }
}

fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

/// The user's word. Who cannot be asked has not agreed.
fn is_confirmed(question: &str) -> Result<bool, CommandError> {
    if !std::io::stdin().is_terminal() {
        return Err(CommandError::Input(format!("{question} Nobody can be asked: give --yes")));
    }
    let mut stderr = std::io::stderr();
    let _ = write!(stderr, "{question} [y/N] ");
    let _ = stderr.flush();
    let mut answer = String::new();
    // Without an answer it is no.
    let _ = std::io::stdin().lock().read_line(&mut answer);
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
