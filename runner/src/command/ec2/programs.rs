//! The programs of the hosts: where they are there, and how they get there.

use super::Session;
use super::local_programs::{Local, LocalDriver};
use super::plan::Planned;
use super::supply::{LocalFile, Machine, Need, Source, Supply, supply};
use crate::command::programs::Collector;
use crate::command::{CommandError, EMBEDDED_CLIENT, EMBEDDED_SERVER};
use crate::run::{DriverPrograms, PlannedDriver};
use backends::drivers::install::COLLECTOR;
use backends::drivers::{COLLECTOR_PROGRAM, DriverName, Package, Role};
use ec2::artifacts::{Artifact, PROGRAM_MODE, Place};
use ec2::build::{BuildOrder, BuiltFile, BuiltProgram};
use ec2::plan::Architecture;
use ec2::steps::WorkerDriver;
use russula_proto::Group;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The worker's own package, and its program.
const WORKER: &str = "runner";

/// Where programs are on the hosts.
const WORKER_ON_HOSTS: &str = "bin/runner";
const COLLECTOR_ON_HOSTS: &str = "bin/collector";

/// Permissions of the scenario on a host.
const SCENARIO_MODE: u32 = 0o600;

/// Where programs and the scenario are on the hosts. It follows from names alone, so that `resume` finds the same.
pub(super) struct OnHosts {
    pub(super) drivers: Vec<WorkerDriver>,
    pub(super) scenario: String,
    pub(super) collector: Option<String>,
}

/// How the hosts get their programs.
pub(super) struct Supplies {
    /// For `run.json`.
    pub(super) drivers: Vec<PlannedDriver>,
    /// What hosts of this run build.
    pub(super) builds: Vec<BuildOrder>,
    /// What hosts of an earlier run have built.
    pub(super) built: Vec<BuiltFile>,
    uploads: Vec<(PathBuf, String)>,
    notes: Vec<String>,
}

impl OnHosts {
    pub(super) fn new(names: &[DriverName], collector: Collector, scenario: &str) -> Self {
        let driver = |name: &DriverName| {
            let [server, client] = Role::ALL.map(|role| program_of(name, role));
            WorkerDriver { name: name.to_string(), server, client }
        };
        Self {
            drivers: names.iter().map(driver).collect(),
            scenario: format!("scenario/{scenario}.json"),
            collector: match collector {
                Collector::Own => None,
                Collector::Stock => Some(COLLECTOR_ON_HOSTS.to_owned()),
            },
        }
    }
}

/// Where a driver's program is on the hosts. The embedded driver is the worker under names that make it the driver.
fn program_of(name: &DriverName, role: Role) -> String {
    match role {
        Role::Server if name.is_embedded() => format!("bin/{EMBEDDED_SERVER}"),
        Role::Client if name.is_embedded() => format!("bin/{EMBEDDED_CLIENT}"),
        Role::Server | Role::Client => format!("bin/{name}-{role}"),
    }
}

impl Local {
    /// Decides how the hosts of `planned` get their programs, and looks for what was built before.
    pub(super) fn supplies(&self, session: &Session, planned: &Planned) -> Result<Supplies, CommandError> {
        let mut supplies =
            Supplies { drivers: vec![], builds: vec![], built: vec![], uploads: vec![], notes: vec![] };
        let worker = self.worker(planned);
        let chosen_worker = supplies.add(&worker, planned)?;
        for driver in &self.drivers {
            let (name, programs) = match driver {
                LocalDriver::Embedded(name) => (name, DriverPrograms::of_worker(&worker, &chosen_worker)),
                LocalDriver::Programs { name, files, source } => {
                    let needs = Role::ALL
                        .map(|role| driver_need(planned, name, role, files.as_ref(), source.as_ref()));
                    let [server, client] = &needs;
                    let chosen = [supplies.add(server, planned)?, supplies.add(client, planned)?];
                    (name, DriverPrograms::of(&needs, &chosen))
                }
            };
            supplies.drivers.push(PlannedDriver { name: name.to_string(), programs });
        }
        if let Some((file, source)) = &self.collector {
            let need = Need {
                what: "the collector".to_owned(),
                names: vec![COLLECTOR_ON_HOSTS.to_owned()],
                machines: planned.machines(&[Group::Server, Group::Client]),
                files: file.iter().cloned().collect(),
                source: source.as_ref().map(|package| of_source(package, COLLECTOR_PROGRAM.to_owned())),
                advice: format!("--driver-source {COLLECTOR}=SOURCE has it built on a host"),
            };
            supplies.add(&need, planned)?;
        }
        supplies.find_built(session, &planned.infrastructure.bucket)?;
        Ok(supplies)
    }

    fn worker(&self, planned: &Planned) -> Need {
        let mut names = vec![WORKER_ON_HOSTS.to_owned()];
        for driver in &self.drivers {
            match driver {
                LocalDriver::Embedded(name) => names.extend(Role::ALL.map(|role| program_of(name, role))),
                LocalDriver::Programs { .. } => {}
            }
        }
        let source = self.worker_source.as_ref().map(|package| Source {
            package: package.clone(),
            // What only the orchestrator needs takes most of the time.
            default_features: false,
            program: WORKER.to_owned(),
        });
        let advice = "give one that fits (--worker FILE), or say what it can be built from on a host \
                      (--worker-source git:URL@COMMIT)";
        Need {
            what: "the worker".to_owned(),
            names,
            machines: planned.machines(&[Group::Server, Group::Client]),
            files: self.workers.clone(),
            source,
            advice: advice.to_owned(),
        }
    }
}

fn driver_need(
    planned: &Planned,
    name: &DriverName,
    role: Role,
    files: Option<&[LocalFile; 2]>,
    source: Option<&Package>,
) -> Need {
    let (group, file) = match role {
        Role::Server => (Group::Server, files.map(|[server, _]| server.clone())),
        Role::Client => (Group::Client, files.map(|[_, client]| client.clone())),
    };
    Need {
        what: format!("the {role} of driver {name}"),
        names: vec![program_of(name, role)],
        machines: planned.machines(&[group]),
        files: file.into_iter().collect(),
        source: source.map(|package| of_source(package, role.program(name))),
        advice: format!(
            "give one that fits (--driver-dir), or say what it can be built from on a host (--driver-source \
             {name}=SOURCE)"
        ),
    }
}

fn of_source(package: &Package, program: String) -> Source {
    Source { package: package.clone(), default_features: true, program }
}

impl DriverPrograms {
    /// What `run.json` says of the embedded driver, which is the worker.
    fn of_worker(need: &Need, chosen: &[Supply]) -> Self {
        if chosen.iter().any(|supply| matches!(supply, Supply::Build { .. })) {
            return Self::Supplied { supplies: chosen.iter().map(|supply| describe(need, supply)).collect() };
        }
        Self::BuiltIn { builtin: env!("CARGO_PKG_VERSION") }
    }

    /// What `run.json` says of the server and the client of a driver.
    fn of(needs: &[Need; 2], chosen: &[Vec<Supply>; 2]) -> Self {
        if let [
            [Supply::Upload { file: server, only: None }],
            [Supply::Upload { file: client, only: None }],
        ] = [chosen[0].as_slice(), chosen[1].as_slice()]
        {
            return Self::Files { server: server.clone(), client: client.clone() };
        }
        let each = needs.iter().zip(chosen);
        let supplies = each.flat_map(|(need, chosen)| chosen.iter().map(|supply| describe(need, supply)));
        Self::Supplied { supplies: supplies.collect() }
    }
}

fn describe(need: &Need, supply: &Supply) -> String {
    let what = &need.what;
    match supply {
        Supply::Upload { file, only: None } => format!("upload {what}: {}", file.display()),
        Supply::Upload { file, only: Some(architecture) } => {
            format!("upload {what} for {architecture}: {}", file.display())
        }
        Supply::Build { architecture, source } => {
            format!("build {what} for {architecture}: {}", source.package)
        }
    }
}

impl Supplies {
    /// Adds what hosts need; says how they get it.
    fn add(&mut self, need: &Need, planned: &Planned) -> Result<Vec<Supply>, CommandError> {
        let chosen = supply(need).map_err(|error| CommandError::Input(error.to_string()))?;
        for supply in &chosen {
            self.notes.push(describe(need, supply));
            match supply {
                Supply::Upload { file, only } => {
                    let name = |name: &String| match only {
                        Some(architecture) => format!("{}/{name}", architecture.machine()),
                        None => name.clone(),
                    };
                    self.uploads.extend(need.names.iter().map(|it| (file.clone(), name(it))));
                }
                Supply::Build { architecture, source } => {
                    let image = planned.settings.images.get(architecture);
                    let image = image.expect("every architecture of a plan has its image");
                    self.order(*architecture, image, source, &need.names);
                }
            }
        }
        Ok(chosen)
    }

    /// Programs of one package are built together.
    fn order(&mut self, architecture: Architecture, image: &str, source: &Source, names: &[String]) {
        let Source { package, default_features, program } = source.clone();
        let program = BuiltProgram { program, names: names.to_vec() };
        let same = self.builds.iter_mut().find(|order| {
            order.architecture == architecture
                && order.package == package
                && order.default_features == default_features
        });
        match same {
            Some(order) => order.programs.push(program),
            None => self.builds.push(BuildOrder {
                architecture,
                image: image.to_owned(),
                package,
                default_features,
                programs: vec![program],
            }),
        }
    }

    /// Takes what the bucket has out of what is to be built.
    fn find_built(&mut self, session: &Session, bucket: &str) -> Result<(), CommandError> {
        for order in std::mem::take(&mut self.builds) {
            let found = session.runtime.block_on(order.find(&session.account, bucket));
            let (package, architecture) = (&order.package, order.architecture);
            match found? {
                Some(files) => {
                    self.notes.push(format!(
                        "{package} was built for {architecture} before, and is not built again"
                    ));
                    self.built.extend(files);
                }
                None => {
                    self.notes.push(format!("step build_driver on the first {architecture} host: {package}"));
                    self.builds.push(order);
                }
            }
        }
        Ok(())
    }

    /// The files that are uploaded, with the scenario.
    pub(super) fn artifacts(
        &self,
        scenario_file: &Path,
        on_hosts: &OnHosts,
    ) -> Result<Vec<Artifact>, CommandError> {
        let of_file = |path: &Path, name: &str, mode, place| {
            Artifact::of_file(path, name, mode, place).map_err(|error| CommandError::Input(error.to_string()))
        };
        let mut artifacts = vec![of_file(scenario_file, &on_hosts.scenario, SCENARIO_MODE, Place::Scenario)?];
        for (path, name) in &self.uploads {
            // The same file under another name is not read again.
            let known = artifacts.iter().find(|known| known.path == *path && known.place == Place::Shared);
            let artifact = match known {
                Some(known) => Artifact { name: name.clone(), ..known.clone() },
                None => of_file(path, name, PROGRAM_MODE, Place::Shared)?,
            };
            artifacts.push(artifact);
        }
        Ok(artifacts)
    }

    /// In words, for `--dry-run`.
    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        for note in &self.notes {
            let _ = writeln!(text, "{note}");
        }
        text
    }
}

impl Planned {
    /// The kinds of hosts of `groups`, each once.
    fn machines(&self, groups: &[Group]) -> Vec<Machine> {
        let kinds = self.plan.kinds.iter().filter(|kind| groups.contains(&kind.group));
        let mut machines: Vec<Machine> = kinds
            .map(|kind| Machine { architecture: kind.architecture, glibc: self.glibc(kind.architecture) })
            .collect();
        machines.sort();
        machines.dedup();
        machines
    }
}
