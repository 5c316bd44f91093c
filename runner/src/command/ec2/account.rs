//! The account that a verb works with, and what drives the calls to it.

use super::options::AccountArgs;
use crate::command::CommandError;
use ec2::api::{Account, AccountOptions, Caller};
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
        let runtime = Arc::new(runtime.map_err(crate::run::RunError::Control)?);
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
}
