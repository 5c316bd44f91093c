//! Why a run could not be carried out. A driver that fails is no such error: it is a result.

use crate::exit;
use backends::key_file::KeyError;
#[cfg(target_os = "linux")]
use backends::local::LocalError;
#[cfg(feature = "ec2")]
use ec2::{build::BuildError, launch::LaunchError, provision::ProvisionError, steps::StepError};
use std::io;
use std::path::PathBuf;

/// A run could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The directory of the run cannot be made.
    #[error("the directory {} cannot be written: {source}; choose another one with --out", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's word for it.
        source: io::Error,
    },
    /// The scenario file has gone in the meantime.
    #[error("the scenario {} cannot be read any more: {source}", path.display())]
    ReadScenario {
        /// The file.
        path: PathBuf,
        /// The system's word for it.
        source: io::Error,
    },
    /// There is no run that could be taken over.
    #[error("{} is no run that can be resumed: {reason}", path.display())]
    NoRun {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A run is taken over only from a process that is gone.
    #[error("the run in {} is not over: another runner drives it; stop that one first", path.display())]
    StillDriven {
        /// The directory.
        path: PathBuf,
    },
    /// There is no key.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// A file of the run cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's word for it.
        source: io::Error,
    },
    /// This program does not know where it is.
    #[error("cannot find out where this program is, which is needed to start it as a worker: {0}")]
    OwnPath(#[source] io::Error),
    /// There are no hosts.
    #[error("{0}")]
    #[cfg(target_os = "linux")]
    Local(#[from] LocalError),
    /// There are no hosts that are ready.
    #[error("{0}")]
    #[cfg(feature = "ec2")]
    Cloud(#[from] ProvisionError),
    /// Ctrl-C cannot be watched.
    #[error("cannot watch for signals: {0}")]
    Signals(#[source] io::Error),
    /// The control connections cannot be served.
    #[error("the control connections cannot be served: {0}")]
    Control(#[from] io::Error),
}

impl RunError {
    /// See `runner --help`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Directory { .. }
            | Self::ReadScenario { .. }
            | Self::NoRun { .. }
            | Self::Key(_)
            | Self::StillDriven { .. } => exit::INPUT,
            #[cfg(target_os = "linux")]
            Self::Local(LocalError::Cancelled) => exit::INTERRUPTED,
            #[cfg(target_os = "linux")]
            Self::Local(_) => exit::INFRASTRUCTURE,
            #[cfg(feature = "ec2")]
            Self::Cloud(error) => match error {
                ProvisionError::Interrupted => exit::INTERRUPTED,
                ProvisionError::Launch(LaunchError::Deadline { .. })
                | ProvisionError::Build(BuildError::Step(StepError::Deadline { .. }))
                | ProvisionError::Step(StepError::Deadline { .. } | StepError::Unreachable { .. }) => {
                    exit::DEADLINE
                }
                ProvisionError::Launch(_)
                | ProvisionError::Artifacts(_)
                | ProvisionError::Manifest(_)
                | ProvisionError::Step(_)
                | ProvisionError::Build(_)
                | ProvisionError::Lost { .. }
                | ProvisionError::Journal(_) => exit::INFRASTRUCTURE,
            },
            Self::File { .. } | Self::OwnPath(_) | Self::Signals(_) | Self::Control(_) => {
                exit::INFRASTRUCTURE
            }
        }
    }
}
