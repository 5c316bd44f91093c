//! Programs that no local file can be, built from source on one host of each kind and shared through the bucket.
//!
//! ```text
//! artifacts/built/<source>/<machine>/<program>   the digest of the program
//! artifacts/<digest>                             the program
//! ```
//!
//! `<source>` is a digest of the pinned package, how it is built, and the image of the host. What one run has built, the
//! next one finds there, until it expires as all artifacts do.

use crate::api::Account;
use crate::artifacts::{self, ArtifactError, Digest, ManifestFile, PROGRAM_MODE, Signer};
use crate::hosts::CloudHost;
use crate::infrastructure::Infrastructure;
use crate::names::ARTIFACTS;
use crate::plan::{Architecture, LaunchPlan};
use crate::stack::RUNS_KEPT_DAYS;
use crate::steps::{self, Build, ScriptContext, Step, StepError};
use backends::drivers::Package;
use futures_util::future::try_join_all;
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// What is older is built anew: it could expire before all hosts have fetched it.
const USABLE: Duration = Duration::from_secs((RUNS_KEPT_DAYS as u64 - 2) * 24 * 3600);

/// A digest and a line feed.
const DIGEST_BYTES_MAX: usize = 65;

/// A package that is to be built for the hosts of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildOrder {
    /// Their architecture.
    pub architecture: Architecture,
    /// Their image.
    pub image: String,
    /// What is built.
    pub package: Package,
    /// Whether it is built with the features that it has by default.
    pub default_features: bool,
    /// Its programs that are wanted.
    pub programs: Vec<BuiltProgram>,
}

/// A program that is to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltProgram {
    /// Its name in the package.
    pub program: String,
    /// Its paths below the run's directory on the hosts.
    pub names: Vec<String>,
}

/// A program that was built, in the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltFile {
    /// Of its bytes.
    pub digest: Digest,
    /// Its path as the manifest has it: after the name of the machine that it is for.
    pub name: String,
}

/// Programs cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// It failed on the host.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The bucket does not say what was built.
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
    /// The step succeeded, and the bucket has nothing.
    #[error(
        "{package} was built for {architecture}, but the bucket does not have its programs: was it emptied?"
    )]
    Gone {
        /// What was built.
        package: Package,
        /// For what.
        architecture: Architecture,
    },
    /// There is nowhere to build.
    #[error("{package} is to be built for {architecture}, and no host of the run is of that kind")]
    NoHost {
        /// What is to be built.
        package: Package,
        /// For what.
        architecture: Architecture,
    },
}

impl BuildOrder {
    /// Below which the digests of its programs are.
    fn place(&self) -> String {
        let Self { package, default_features, image, .. } = self;
        let source = Sha256::digest(format!("{package}\n{default_features}\n{image}\n"));
        format!("{ARTIFACTS}built/{source:x}/")
    }

    fn step(&self) -> Build {
        Build {
            package: self.package.clone(),
            default_features: self.default_features,
            programs: self.programs.iter().map(|program| program.program.clone()).collect(),
            place: self.place(),
        }
    }

    /// What the bucket has of it: all of its programs, or `None`.
    ///
    /// # Errors
    /// If the service refuses.
    pub async fn find(
        &self,
        account: &Account,
        bucket: &str,
    ) -> Result<Option<Vec<BuiltFile>>, ArtifactError> {
        let machine = self.architecture.machine();
        let mut files = Vec::new();
        for BuiltProgram { program, names } in &self.programs {
            let key = format!("{}{machine}/{program}", self.place());
            let text = artifacts::read_text(account, bucket, &key, DIGEST_BYTES_MAX).await?;
            let digest = text.and_then(|text| text.trim_end().parse::<Digest>().ok());
            let Some(digest) = digest else { return Ok(None) };
            let age = artifacts::age(account, bucket, &digest.key()).await?;
            if age.is_none_or(|age| age > USABLE) {
                return Ok(None);
            }
            let file = |name: &String| BuiltFile { digest, name: format!("{machine}/{name}") };
            files.extend(names.iter().map(file));
        }
        Ok(Some(files))
    }
}

impl BuiltFile {
    /// Its line of the manifest, with a link that lasts for `ttl`.
    ///
    /// # Errors
    /// If there can be no such link.
    pub async fn in_manifest(
        &self,
        signer: &Signer,
        bucket: &str,
        ttl: Duration,
    ) -> Result<ManifestFile, ArtifactError> {
        let Self { digest, name } = self.clone();
        let url = signer.link(bucket, &digest.key(), ttl).await?.url;
        Ok(ManifestFile { digest, mode: PROGRAM_MODE, name, url })
    }
}

/// Builds what `orders` name, on the first host of each kind and at the same time; `say` is told what is built where.
///
/// # Errors
/// The first thing that went wrong.
pub async fn build(
    (account, infrastructure): (&Account, &Infrastructure),
    context: &ScriptContext,
    orders: &[BuildOrder],
    (plan, hosts): (&LaunchPlan, &[CloudHost]),
    say: &mut dyn FnMut(&str),
) -> Result<Vec<BuiltFile>, BuildError> {
    let mut works = Vec::new();
    for architecture in [Architecture::X86_64, Architecture::Arm64] {
        let orders: Vec<&BuildOrder> = orders.iter().filter(|one| one.architecture == architecture).collect();
        let Some(first) = orders.first() else { continue };
        let is_of_kind = |host: &&CloudHost| {
            plan.kind_of(host.group, host.index).is_some_and(|kind| kind.architecture == architecture)
        };
        let host = hosts.iter().find(is_of_kind);
        let host = host.ok_or_else(|| BuildError::NoHost { package: first.package.clone(), architecture })?;
        let packages: Vec<String> = orders.iter().map(|order| order.package.to_string()).collect();
        let (group, index) = (host.group, host.index);
        say(&format!(
            "step {} on {group} {index} ({architecture}): {}",
            Step::BuildDriver,
            packages.join(", ")
        ));
        works.push(build_on(account, infrastructure, context, orders, host));
    }
    Ok(try_join_all(works).await?.concat())
}

async fn build_on(
    account: &Account,
    infrastructure: &Infrastructure,
    context: &ScriptContext,
    orders: Vec<&BuildOrder>,
    host: &CloudHost,
) -> Result<Vec<BuiltFile>, BuildError> {
    let builds: Vec<Build> = orders.iter().map(|order| order.step()).collect();
    steps::run_build(account, infrastructure, context, &builds, host).await?;
    let mut files = Vec::new();
    for order in orders {
        let found = order.find(account, &infrastructure.bucket).await?;
        let (package, architecture) = (&order.package, order.architecture);
        files.extend(found.ok_or_else(|| BuildError::Gone { package: package.clone(), architecture })?);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::fake_service::{FakeService, Reply, Request};

    fn order() -> BuildOrder {
        let program = |program: &str, names: &[&str]| BuiltProgram {
            program: program.into(),
            names: names.iter().map(|name| (*name).into()).collect(),
        };
        BuildOrder {
            architecture: Architecture::Arm64,
            image: "ami-1".into(),
            package: "registry:driver@1.0.0".parse().unwrap(),
            default_features: true,
            programs: vec![program("one", &["bin/one", "bin/same"]), program("two", &["bin/two"])],
        }
    }

    #[test]
    fn another_source_another_image_and_another_way_of_building_are_another_place() {
        let one = order();
        let others = [
            BuildOrder { package: "registry:driver@1.0.1".parse().unwrap(), ..order() },
            BuildOrder { image: "ami-2".into(), ..order() },
            BuildOrder { default_features: false, ..order() },
        ];
        assert!(others.iter().all(|other| other.place() != one.place()));
        assert_eq!(BuildOrder { programs: vec![], ..order() }.place(), one.place());
        // What the hosts may write to, and what expires.
        assert!(one.place().starts_with("artifacts/") && one.place().ends_with('/'));
    }

    /// A bucket with the digests `digests` of the two programs, whose bytes were put there at `since`.
    fn bucket(digests: [Option<String>; 2], since: &'static str) -> FakeService {
        FakeService::start(move |request: &Request| {
            let target = request.target.split('?').next().unwrap_or_default();
            if request.operation == "HEAD" {
                let headers = vec![("content-length", "1".to_owned()), ("last-modified", since.to_owned())];
                return Reply::Of(200, headers, String::new());
            }
            assert!(
                target.starts_with("/the-bucket/artifacts/built/") && target.contains("/aarch64/"),
                "{target}"
            );
            match &digests[usize::from(target.ends_with("/two"))] {
                Some(digest) => Reply::Of(200, vec![], digest.clone()),
                None => Reply::xml(404, "<Error><Code>NoSuchKey</Code></Error>"),
            }
        })
    }

    #[tokio::test]
    async fn what_was_built_is_found_when_all_of_it_is_there_and_will_stay() {
        const NEW: &str = "Fri, 01 Jan 2100 00:00:00 GMT";
        const OLD: &str = "Thu, 01 Jan 1970 00:00:00 GMT";
        let [one, two] = ["0a", "0b"].map(|digits| digits.repeat(32));
        let both = [Some(format!("{one}\n")), Some(format!("{two}\n"))];
        for (digests, since, is_found) in [
            (both.clone(), NEW, true),
            (both.clone(), OLD, false),
            ([both[0].clone(), None], NEW, false),
            ([None, None], NEW, false),
            ([both[0].clone(), Some("../".repeat(20))], NEW, false),
        ] {
            let service = bucket(digests.clone(), since);
            let found = order().find(&service.account(), "the-bucket").await.unwrap();
            let names = |files: Vec<BuiltFile>| {
                files.into_iter().map(|file| (file.name, file.digest.to_string())).collect()
            };
            let expected: Vec<(String, String)> = vec![
                ("aarch64/bin/one".into(), one.clone()),
                ("aarch64/bin/same".into(), one.clone()),
                ("aarch64/bin/two".into(), two.clone()),
            ];
            assert_eq!(found.map(names), is_found.then_some(expected), "{digests:?} {since}");
        }
    }
}
