//! The steps of a run on its hosts: what each needs, how long it may take, and where it runs.

use crate::api::Deadline;
use std::fmt;
use std::time::Duration;

/// A step, by its name in the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Fetches the manifest and the scenario file that it names.
    UploadScenarioFile,
    /// Checks that the host ends by itself in time, and has what the other steps use.
    Configure,
    /// Builds programs from source with cargo and puts them into the bucket by their digest, for other hosts of the
    /// same kind. Only for what could not be brought along.
    BuildDriver,
    /// Fetches the worker and the drivers that the manifest names, and sees that the worker runs on this host.
    PlaceWorker,
    /// Fetches the key of the run, starts the worker in the background, waits until it listens, and takes the host's
    /// facts (`out/facts/before.tsv`): kernel, instance, processor, sysctls of the network, counters of the primary
    /// interface. Downloads and builds are over by then, so that the counters tell of the repetitions.
    RunWorker,
    /// Takes the host's facts again (`out/facts/after.tsv`), and uploads results, logs and facts. Stops nothing.
    UploadNetbenchRawData,
}

/// Where a step runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// On each host of the run.
    EveryHost,
    /// On one host of each kind (architecture and image), whose result the others use.
    OneHostOfAKind,
}

impl Step {
    /// Every step, in an order in which they can run.
    pub const ALL: [Self; 6] = [
        Self::UploadScenarioFile,
        Self::Configure,
        Self::BuildDriver,
        Self::PlaceWorker,
        Self::RunWorker,
        Self::UploadNetbenchRawData,
    ];

    /// Its name, on the screen and in its markers `start_<name>`, `fin_<name>` and `fail_<name>`.
    pub fn name(self) -> &'static str {
        match self {
            Self::UploadScenarioFile => "upload_scenario_file",
            Self::Configure => "configure",
            Self::BuildDriver => "build_driver",
            Self::PlaceWorker => "place_worker",
            Self::RunWorker => "run_worker",
            Self::UploadNetbenchRawData => "upload_netbench_raw_data",
        }
    }

    /// What must have succeeded on the same host. `PlaceWorker` does not name `BuildDriver`, which runs on other hosts
    /// and hands its programs over through the manifest.
    pub fn dependencies(self) -> &'static [Self] {
        match self {
            Self::UploadScenarioFile | Self::Configure => &[],
            Self::BuildDriver => &[Self::Configure],
            Self::PlaceWorker => &[Self::UploadScenarioFile, Self::Configure],
            Self::RunWorker => &[Self::UploadScenarioFile, Self::PlaceWorker],
            Self::UploadNetbenchRawData => &[Self::UploadScenarioFile, Self::Configure],
        }
    }

    /// How long it may take on the slowest host, from when all hosts have done what it needs.
    pub fn deadline(self) -> Deadline {
        let (name, minutes) = match self {
            Self::UploadScenarioFile => ("step upload_scenario_file", 3),
            Self::Configure => ("step configure", 3),
            Self::BuildDriver => ("step build_driver", 45),
            Self::PlaceWorker => ("step place_worker", 10),
            Self::RunWorker => ("step run_worker", 3),
            Self::UploadNetbenchRawData => ("step upload_netbench_raw_data", 10),
        };
        Deadline { name, limit: Duration::from_secs(minutes * 60) }
    }

    /// Whether it saves what hosts have. Each host then saves what it can, whatever becomes of other hosts and of its
    /// own disk, and does so each time that it is asked: there may be more by then.
    pub(super) fn saves_results(self) -> bool {
        match self {
            Self::UploadNetbenchRawData => true,
            Self::UploadScenarioFile
            | Self::Configure
            | Self::BuildDriver
            | Self::PlaceWorker
            | Self::RunWorker => false,
        }
    }

    /// Where it runs.
    pub fn reach(self) -> Reach {
        match self {
            Self::BuildDriver => Reach::OneHostOfAKind,
            Self::UploadScenarioFile
            | Self::Configure
            | Self::PlaceWorker
            | Self::RunWorker
            | Self::UploadNetbenchRawData => Reach::EveryHost,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_steps() {
        let rows: Vec<String> = Step::ALL
            .map(|step| {
                let needs: Vec<_> = step.dependencies().iter().map(|step| step.name()).collect();
                let deadline = step.deadline();
                assert_eq!(deadline.name, format!("step {step}"));
                format!("{step} <- [{}], {} s, {:?}", needs.join(" "), deadline.limit.as_secs(), step.reach())
            })
            .into();
        assert_eq!(
            rows,
            [
                "upload_scenario_file <- [], 180 s, EveryHost",
                "configure <- [], 180 s, EveryHost",
                "build_driver <- [configure], 2700 s, OneHostOfAKind",
                "place_worker <- [upload_scenario_file configure], 600 s, EveryHost",
                "run_worker <- [upload_scenario_file place_worker], 180 s, EveryHost",
                "upload_netbench_raw_data <- [upload_scenario_file configure], 600 s, EveryHost",
            ]
        );
    }

    #[test]
    fn a_step_comes_after_what_it_needs() {
        for (place, step) in Step::ALL.iter().enumerate() {
            assert!(step.dependencies().iter().all(|needed| Step::ALL[..place].contains(needed)), "{step}");
        }
    }
}
