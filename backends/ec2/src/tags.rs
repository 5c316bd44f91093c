//! The tags of a run, in the form of each service.

use crate::names::{TAG_BUCKET, TAG_CREATED, TAG_EXPIRES, TAG_GROUP, TAG_OWNER, TAG_RUN, TAG_VERSION};
use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
use russula_proto::Group;

/// What everything of a run says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tags {
    /// The run.
    pub run: String,
    /// Who began it.
    pub owner: String,
    /// When, RFC 3339 in UTC.
    pub created: String,
    /// When it may be removed by anybody, RFC 3339 in UTC.
    pub expires: String,
    /// By which version.
    pub version: String,
    /// Where the files of the run lie.
    pub bucket: String,
}

/// Longest value of a tag.
const VALUE_MAX: usize = 256;

/// A name as the value of a tag, which not all letters of an ARN may be in
/// (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_Tag.html>).
pub fn value_of(name: &str) -> String {
    let may_be = |letter: &char| letter.is_alphanumeric() || " _.:/=+-@".contains(*letter);
    name.chars().map(|letter| if may_be(&letter) { letter } else { '_' }).take(VALUE_MAX).collect()
}

impl Tags {
    /// Keys and values.
    pub fn pairs(&self) -> [(&'static str, &str); 6] {
        [
            (TAG_RUN, &self.run),
            (TAG_OWNER, &self.owner),
            (TAG_CREATED, &self.created),
            (TAG_EXPIRES, &self.expires),
            (TAG_VERSION, &self.version),
            (TAG_BUCKET, &self.bucket),
        ]
    }

    /// For something that EC2 creates.
    pub(crate) fn of(&self, kind: ResourceType, name: &str) -> TagSpecification {
        let tags = self.pairs().map(|(key, value)| tag(key, value));
        TagSpecification::builder()
            .resource_type(kind)
            .set_tags(Some(tags.into()))
            .tags(tag("Name", name))
            .build()
    }

    /// For an instance, or what comes into being with it.
    pub(crate) fn of_host(&self, kind: ResourceType, name: &str, group: Group) -> TagSpecification {
        let all = self.of(kind.clone(), name);
        let tags = all.tags().iter().cloned().chain([tag(TAG_GROUP, group.name())]).collect();
        TagSpecification::builder().resource_type(kind).set_tags(Some(tags)).build()
    }

    /// For a parameter.
    pub(crate) fn of_parameter(&self) -> Vec<aws_sdk_ssm::types::Tag> {
        let tag = |(key, value): (&str, &str)| {
            aws_sdk_ssm::types::Tag::builder().key(key).value(value).build().expect("key and value are set")
        };
        self.pairs().map(tag).into()
    }
}

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_value_that_every_service_takes() {
        assert_eq!(
            value_of("arn:aws:sts::1:assumed-role/a+b/me@home"),
            "arn:aws:sts::1:assumed-role/a+b/me@home"
        );
        assert_eq!(value_of("user/a,b\n"), "user/a_b_");
        assert_eq!(value_of(&"x".repeat(300)).len(), VALUE_MAX);
    }
}
