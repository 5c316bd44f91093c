//! The creation of what a run needs, each thing written to the journal before.

mod image;
mod instances;
mod key;
mod network;
mod permission;
mod request;
mod user_data;

use crate::api::{Account, ApiError, Cause, DeadlinePassed, Pace};
use crate::hosts::CloudHost;
use crate::infrastructure::Infrastructure;
use crate::journal::{Journal, JournalError};
use crate::names::RunNames;
use crate::plan::{Architecture, Kind, LaunchPlan};
use crate::tags::Tags;
use russula_proto::Key;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

pub use image::{Image, RootDevice};
pub use key::read_key;
pub use network::open_control_port;
pub use permission::may_launch;
pub use request::ROOT_GIB;

/// The port on which workers listen for the coordinator.
pub const CONTROL_PORT: u16 = 9000;

/// What a launch needs to know beside the plan.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The image for each architecture of the plan.
    pub images: BTreeMap<Architecture, String>,
    /// The root volumes of these images; an image that boots from no volume has none.
    pub roots: BTreeMap<Architecture, RootDevice>,
    /// Who may log in, if anybody.
    pub key_pair: Option<String>,
    /// From where the control port can be reached, as CIDR blocks.
    pub control_cidrs: Vec<String>,
    /// From where ssh can be reached, as CIDR blocks; none keeps it closed.
    pub ssh_cidrs: Vec<String>,
}

/// Everything that is needed to create something for a run.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// The account in which it is created.
    pub account: &'a Account,
    /// The network, the bucket and the instance profile that it uses.
    pub infrastructure: &'a Infrastructure,
    /// The names of what it creates.
    pub names: &'a RunNames,
    /// The tags that all of it bears.
    pub tags: &'a Tags,
    /// The hosts.
    pub plan: &'a LaunchPlan,
    /// Their images, and who may reach them.
    pub settings: &'a Settings,
    /// Where each thing is written down before it is created.
    pub journal: &'a Journal,
}

/// Hosts that were launched and may not run yet.
#[derive(Debug)]
pub struct Launched(Vec<instances::LaunchedHost>);

/// Why there are no hosts.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The service says no.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// What is about to be created cannot be written down.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// No allowed zone has room.
    #[error(
        "there is no room for {what}: {}; allow other zones, take another instance type, or come back later",
        tried.join("; ")
    )]
    NoCapacity {
        /// What was to be launched.
        what: String,
        /// Each attempt with its answer.
        tried: Vec<String>,
    },
    /// Nobody wants them any more.
    #[error("given up before {what} was launched")]
    GivenUp {
        /// What was to be launched.
        what: String,
    },
    /// A host came to nothing before it was used.
    #[error("the {group} {instance} is {state} instead of running: {reason}")]
    Died {
        /// Its group.
        group: String,
        /// Its id.
        instance: String,
        /// The state it is in.
        state: String,
        /// The service's word for it.
        reason: String,
    },
    /// It took too long.
    #[error("{source}: {} of {expected} hosts are ready; {}", running, waiting.join("; "))]
    Deadline {
        /// Which deadline.
        source: DeadlinePassed,
        /// How many run and have their addresses.
        running: usize,
        /// How many are to.
        expected: usize,
        /// What each of the others lacks, at last what can be done about it.
        waiting: Vec<String>,
    },
}

/// For what was created a moment ago to be known everywhere
/// (<https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html>).
const SEEN_LIMIT: Duration = Duration::from_secs(60);

/// Makes a call that names what was just created, again as long as the service has not heard of it.
async fn once_seen<T>(account: &Account, call: impl AsyncFn() -> Result<T, ApiError>) -> Result<T, ApiError> {
    let mut pace = Pace::new("creation seen", SEEN_LIMIT, account.poll_interval);
    loop {
        match call().await {
            Err(error) if error.cause == Cause::NotFound && pace.wait().await.is_ok() => {
                tracing::info!("{error}; it may not be known yet");
            }
            answer => return answer,
        }
    }
}

impl Launch<'_> {
    /// Creates everything, or what is under way when it `is_given_up`; `say` is told what is done.
    ///
    /// Whatever it returns, every call has had its answer, and what was created is found by its tags. Who drops it
    /// before knows neither.
    ///
    /// # Errors
    /// The first thing that went wrong.
    pub async fn create(
        &self,
        key: &Key,
        is_given_up: &Cell<bool>,
        say: &mut dyn FnMut(&str),
    ) -> Result<Launched, LaunchError> {
        say("creating the security group and the key parameter");
        let (group, key) = tokio::join!(self.create_security_group(), self.put_key(key));
        let (group, ()) = (group?, key?);
        let mut launches = Vec::new();
        for (nth, kind) in self.plan.kinds.iter().enumerate().filter(|_| !is_given_up.get()) {
            say(&format!("launching {}", kind.describe()));
            launches.push(self.launch_kind(nth, kind, &group, is_given_up));
        }
        let launched = instances::all_of(launches).await?;
        if let Some(warning) = instances::apart(&self.plan.kinds, &launched) {
            say(&warning);
        }
        Ok(Launched(launched))
    }

    /// Waits until all hosts run.
    ///
    /// # Errors
    /// If one came to nothing, or it takes too long.
    pub async fn wait(
        &self,
        launched: Launched,
        say: &mut dyn FnMut(&str),
    ) -> Result<Vec<CloudHost>, LaunchError> {
        say(&format!("waiting for {} hosts to run", self.plan.hosts()));
        self.wait_until_running(launched.0).await
    }

    /// How errors and the journal name a launch.
    fn describe(&self, kind: &Kind, zone: &str) -> String {
        format!("{} in {zone}", kind.describe())
    }
}
