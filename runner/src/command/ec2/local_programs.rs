//! What there is of the hosts' programs on this machine, and what else each can be built from.

use super::options::Ec2Run;
use super::supply::LocalFile;
use crate::command::programs::{Collector, Found, find_driver};
use crate::command::{CommandError, options};
use crate::run::RunError;
use backends::drivers::install::COLLECTOR;
use backends::drivers::{DriverError, DriverName, Package};
use ec2::artifacts::{Form, form_of};
use ec2::plan::Architecture;
use std::path::PathBuf;

/// What there is on this machine.
pub(super) struct Local {
    pub(super) workers: Vec<LocalFile>,
    pub(super) worker_source: Option<Package>,
    pub(super) drivers: Vec<LocalDriver>,
    /// Its file and its source, if it is used.
    pub(super) collector: Option<(Option<LocalFile>, Option<Package>)>,
}

/// What there is of a driver.
pub(super) enum LocalDriver {
    Embedded(DriverName),
    Programs {
        name: DriverName,
        /// Server and client.
        files: Option<[LocalFile; 2]>,
        source: Option<Package>,
    },
}

impl Ec2Run {
    /// Looks for every program on this machine.
    pub(super) fn local_programs(&self) -> Result<Local, CommandError> {
        let names = self.run.driver_names()?;
        let collector_name: DriverName = COLLECTOR.parse().expect("the collector's name is a legal one");
        let with_collector = matches!(self.programs.collector, Collector::Stock);
        let mut used = names.clone();
        used.extend(with_collector.then(|| collector_name.clone()));
        options::check_sources(&self.driver_source, &used)?;
        let drivers = names.into_iter().map(|name| self.local_driver(name)).collect::<Result<_, _>>()?;
        let collector = with_collector.then(|| self.local_collector(&collector_name)).transpose()?;
        Ok(Local { workers: self.workers()?, worker_source: self.worker_source.clone(), drivers, collector })
    }

    fn source_of(&self, name: &DriverName) -> Option<Package> {
        let given = self.driver_source.iter().find(|source| source.driver == *name);
        given.map(|source| source.package.clone())
    }

    fn local_driver(&self, name: DriverName) -> Result<LocalDriver, CommandError> {
        if let Some(source) = self.source_of(&name) {
            // What is here may be another version.
            return Ok(LocalDriver::Programs { name, files: None, source: Some(source) });
        }
        let source = Package::stock(&name);
        let paths = || options::driver_paths(self.programs.driver_dir.clone());
        match find_driver(paths, &name) {
            Ok(Found::Embedded(name)) => Ok(LocalDriver::Embedded(name)),
            Ok(Found::Programs { name, server, client }) => {
                Ok(LocalDriver::Programs { name, files: Some([server, client].map(look_at)), source })
            }
            Err(CommandError::Drivers(DriverError::Unknown { .. })) if source.is_some() => {
                Ok(LocalDriver::Programs { name, files: None, source })
            }
            Err(CommandError::Drivers(error @ DriverError::Unknown { .. })) => {
                let advice = format!("to have it built on a host: --driver-source {name}=SOURCE");
                Err(CommandError::Input(format!("{error}; {advice}")))
            }
            Err(error) => Err(error),
        }
    }

    fn local_collector(
        &self,
        name: &DriverName,
    ) -> Result<(Option<LocalFile>, Option<Package>), CommandError> {
        if let Some(source) = self.source_of(name) {
            return Ok((None, Some(source)));
        }
        let found = options::driver_paths(self.programs.driver_dir.clone())?.find_collector();
        let file = match found {
            Ok(path) => Some(look_at(path)),
            Err(DriverError::NoCollector) => None,
            Err(error) => return Err(error.into()),
        };
        Ok((file, Package::stock(name)))
    }

    /// The workers that were given, and this program for an architecture for which none was.
    fn workers(&self) -> Result<Vec<LocalFile>, CommandError> {
        let bad = |error: String| CommandError::Input(format!("--worker: {error}"));
        let mut workers: Vec<LocalFile> = Vec::new();
        for path in &self.worker {
            let form = form_of(path).map_err(|error| bad(error.to_string()))?;
            let kind = kind_of(&form);
            if let Some(other) =
                workers.iter().find(|other| other.form.as_ref().is_ok_and(|it| kind_of(it) == kind))
            {
                let (one, two) = (other.path.display(), path.display());
                let kind = kind.map_or("scripts".to_owned(), |architecture| format!("for {architecture}"));
                return Err(bad(format!("{one} and {two} are both {kind}, one is needed")));
            }
            workers.push(LocalFile { path: path.clone(), form: Ok(form) });
        }
        let own = look_at(std::env::current_exe().map_err(RunError::OwnPath)?);
        let replaces = |given: &LocalFile| match (&given.form, &own.form) {
            (Ok(given), Ok(own)) => kind_of(given).is_none() || kind_of(given) == kind_of(own),
            (Ok(_), Err(_)) | (Err(_), _) => false,
        };
        if !workers.iter().any(replaces) {
            workers.push(own);
        }
        Ok(workers)
    }
}

fn look_at(path: PathBuf) -> LocalFile {
    let form = form_of(&path).map_err(|unfit| unfit.to_string());
    LocalFile { path, form }
}

/// The architecture of code; `None` for a script.
fn kind_of(form: &Form) -> Option<Architecture> {
    match form {
        Form::Script => None,
        Form::Code(program) => Some(program.architecture),
    }
}
