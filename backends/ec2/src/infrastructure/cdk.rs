//! The infrastructure of the original orchestrator, as its CDK project writes it into `cdk_config.json`.
//!
//! The file is what `cdk deploy --outputs-file` writes: an object with one field for each stack, whose value has one
//! field for each output. These outputs are read, others are left alone:
//!
//! ```text
//! outputNetbenchInfraPrimaryProdRegion   the region
//! outputNetbenchRunnerPrivateSrcBucket   the private bucket
//! outputNetbenchRunnerInstanceProfile    name of the instance profile
//! outputNetbenchRunnerLogGroup           name of the log group; may be missing
//! outputNetbenchSubnetTagKey             the tag that finds the subnets:
//! outputNetbenchSubnetTagValue           its key and its value
//! ```
//!
//! The bucket for public logs is not used: nothing that a run makes is public.

use super::{Infrastructure, InfrastructureError, check, subnets};
use crate::api::Account;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

const REGION: &str = "outputNetbenchInfraPrimaryProdRegion";
const BUCKET: &str = "outputNetbenchRunnerPrivateSrcBucket";
const INSTANCE_PROFILE: &str = "outputNetbenchRunnerInstanceProfile";
const LOG_GROUP: &str = "outputNetbenchRunnerLogGroup";
const SUBNET_TAG_KEY: &str = "outputNetbenchSubnetTagKey";
const SUBNET_TAG_VALUE: &str = "outputNetbenchSubnetTagValue";

/// What such a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CdkConfig {
    /// The file.
    pub path: PathBuf,
    /// The region of all of it.
    pub region: String,
    /// The private bucket.
    pub bucket: String,
    /// Name of the instance profile.
    pub instance_profile: String,
    /// Name of the log group.
    pub log_group: Option<String>,
    /// Key and value of the tag of the subnets.
    pub subnet_tag: (String, String),
}

/// Such a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CdkError {
    /// It cannot be read.
    #[error("the CDK outputs in {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not JSON.
    #[error("{} is not JSON, which `cdk deploy --outputs-file` writes", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it is not.
        #[source]
        source: serde_json::Error,
    },
    /// It is JSON of something else.
    #[error("{} is not the CDK output of netbench: {what}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// What was expected, and what is there.
        what: String,
    },
}

/// Reads the file of the original's CDK project.
///
/// # Errors
/// If it cannot be read, or lacks something that runs need.
pub fn from_cdk_config(path: &Path) -> Result<CdkConfig, CdkError> {
    let text = std::fs::read(path).map_err(|source| CdkError::Read { path: path.to_owned(), source })?;
    let file: Value =
        serde_json::from_slice(&text).map_err(|source| CdkError::Json { path: path.to_owned(), source })?;
    parse(path, &file).map_err(|what| CdkError::Shape { path: path.to_owned(), what })
}

impl CdkConfig {
    /// Finds the subnets, and looks whether the rest is there.
    ///
    /// # Errors
    /// If the account's region is another one, or something is missing.
    pub async fn find(&self, account: &Account) -> Result<Infrastructure, InfrastructureError> {
        if self.region != account.region {
            return Err(InfrastructureError::OtherRegion {
                path: self.path.display().to_string(),
                expected: self.region.clone(),
                region: account.region.clone(),
            });
        }
        let (key, value) = &self.subnet_tag;
        let found = subnets::by_tag(account, key, value, None).await?;
        let infrastructure = Infrastructure {
            vpc: found.vpc,
            subnets: found.subnets,
            bucket: self.bucket.clone(),
            instance_profile: self.instance_profile.clone(),
            log_group: self.log_group.clone(),
        };
        check::answers(account, &infrastructure).await?;
        Ok(infrastructure)
    }
}

fn parse(path: &Path, file: &Value) -> Result<CdkConfig, String> {
    let (stack, outputs) = netbench_stack(file)?;
    let text = |key: &str| match outputs.get(key) {
        None => Err(format!("the stack {stack} has no output {key}")),
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(other) => Err(format!("the output {key} of the stack {stack} must be a text, not {other}")),
    };
    Ok(CdkConfig {
        path: path.to_owned(),
        region: text(REGION)?,
        bucket: text(BUCKET)?,
        instance_profile: text(INSTANCE_PROFILE)?,
        log_group: outputs.contains_key(LOG_GROUP).then(|| text(LOG_GROUP)).transpose()?,
        subnet_tag: (text(SUBNET_TAG_KEY)?, text(SUBNET_TAG_VALUE)?),
    })
}

/// The one stack with outputs of ours; the original names it `NetbenchInfraPrimaryProd`, or after a developer.
fn netbench_stack(file: &Value) -> Result<(&str, &Map<String, Value>), String> {
    let stacks = file.as_object().ok_or("an object with one field for each stack is expected")?;
    let with_outputs =
        stacks.iter().filter_map(|(name, outputs)| Some((name.as_str(), outputs.as_object()?)));
    let ours: Vec<_> = with_outputs
        .filter(|(_, outputs)| outputs.keys().any(|key| key.starts_with("outputNetbench")))
        .collect();
    match ours[..] {
        [one] => Ok(one),
        [] => {
            let names: Vec<_> = stacks.keys().map(String::as_str).collect();
            Err(format!(
                "no stack in it has outputs that begin with outputNetbench (it has [{}])",
                names.join(", ")
            ))
        }
        [..] => {
            let names: Vec<_> = ours.iter().map(|(name, _)| *name).collect();
            Err(format!("several stacks of netbench are in it ({}): one is expected", names.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::error::Error;

    fn outputs() -> Value {
        json!({
            "outputNetbenchRunnerLogGroup": "runner-logs",
            "outputNetbenchCloudfrontDistribution": "https://example.cloudfront.net",
            "outputNetbenchInfraPrimaryProdRegion": "us-west-2",
            "outputNetbenchRunnerPrivateSrcBucket": "private-source",
            "outputNetbenchRunnerPublicLogsBucket": "public-logs",
            "outputNetbenchSubnetTagKey": "subnet-name",
            "outputNetbenchSubnetTagValue": "for-runners",
            "outputNetbenchRunnerInstanceProfile": "runner-profile",
        })
    }

    fn read(file: &Value) -> Result<CdkConfig, CdkError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cdk_config.json");
        std::fs::write(&path, file.to_string()).unwrap();
        from_cdk_config(&path)
    }

    #[test]
    fn the_file_of_the_original_is_understood() {
        let file = json!({ "OtherStack": { "Output": "1" }, "NetbenchInfraPrimaryProd": outputs() });
        let config = read(&file).unwrap();
        assert_eq!(config.region, "us-west-2");
        assert_eq!(config.bucket, "private-source");
        assert_eq!(config.instance_profile, "runner-profile");
        assert_eq!(config.log_group.as_deref(), Some("runner-logs"));
        assert_eq!(config.subnet_tag, ("subnet-name".into(), "for-runners".into()));
    }

    #[test]
    fn a_file_without_a_log_group_is_understood() {
        let mut outputs = outputs();
        outputs.as_object_mut().unwrap().remove(LOG_GROUP);
        assert_eq!(read(&json!({ "NetbenchInfraDev-me": outputs })).unwrap().log_group, None);
    }

    #[test]
    fn unknown_shapes_say_what_is_wrong() {
        let mut lacking = outputs();
        lacking.as_object_mut().unwrap().remove(BUCKET);
        let mut number = outputs();
        number[REGION] = json!(7);
        for (file, expected) in [
            (json!([1]), "one field for each stack"),
            (json!({ "Mine": { "VpcId": "vpc-1" } }), "it has [Mine]"),
            (json!({ "A": outputs(), "B": outputs() }), "several stacks of netbench are in it (A, B)"),
            (json!({ "A": lacking }), "the stack A has no output outputNetbenchRunnerPrivateSrcBucket"),
            (
                json!({ "A": number }),
                "the output outputNetbenchInfraPrimaryProdRegion of the stack A must be a text",
            ),
        ] {
            let text = read(&file).unwrap_err().to_string();
            assert!(text.contains(expected) && text.contains("cdk_config.json"), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_no_json_or_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cdk_config.json");
        let missing = from_cdk_config(&path).unwrap_err();
        assert!(matches!(&missing, CdkError::Read { .. }) && missing.source().is_some());
        std::fs::write(&path, "NetbenchInfraPrimaryProd:\n").unwrap();
        let error = from_cdk_config(&path).unwrap_err();
        assert!(
            matches!(&error, CdkError::Json { .. }) && error.to_string().contains("cdk_config.json"),
            "{error}"
        );
    }
}
