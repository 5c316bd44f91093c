//! The account that a verb works with, and what drives the calls to it.

use super::options::AccountArgs;
use crate::command::CommandError;
use crate::exit;
use crate::run::{Interrupts, RunError};
use ec2::api::{Account, AccountOptions, Caller};
use ec2::patience::out_of_patience;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};

/// An account with who is asking, and the runtime of its connections.
pub(super) struct Session {
    /// It has a thread of its own, so that connections live on between two calls.
    pub(super) runtime: Arc<Runtime>,
    pub(super) account: Account,
    pub(super) caller: Caller,
}

impl Session {
    /// Finds the account, and asks it who we are.
    pub(super) fn open(args: &AccountArgs) -> Result<Self, CommandError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = Arc::new(runtime.map_err(RunError::Control)?);
        let options = AccountOptions {
            region: args.region.clone(),
            profile: args.profile.clone(),
            poll_interval: args.poll_interval,
        };
        let (account, caller) = runtime.block_on(async {
            let account = Account::connect(&options).await?;
            let caller = account.caller().await?;
            Ok::<_, ec2::api::AccountError>((account, caller))
        })?;
        tracing::info!("account {} in {} as {}", caller.account, account.region, caller.arn);
        Ok(Self { runtime, account, caller })
    }

    /// What comes of `work`; nothing if the user presses Ctrl-C first. It is then in the middle of something.
    pub(super) fn unless_interrupted<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<Option<T>, CommandError> {
        let interrupts = Interrupts::new().map_err(RunError::Signals)?;
        let patience = interrupts.patience().map_err(RunError::Signals)?;
        Ok(self.runtime.block_on(async {
            tokio::select! {
                done = work => Some(done),
                () = out_of_patience(Some(&patience), 1, "") => None,
            }
        }))
    }
}

/// The exit code of what was interrupted, whose user is told `how` to go on.
pub(super) fn interrupted(how: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "interrupted: {how}");
    ExitCode::from(exit::INTERRUPTED)
}
