//! The tags of a run, in the form of each service.

use crate::names::{TAG_CREATED, TAG_EXPIRES, TAG_GROUP, TAG_OWNER, TAG_RUN, TAG_VERSION};
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
}

impl Tags {
    /// Keys and values.
    pub fn pairs(&self) -> [(&'static str, &str); 5] {
        [
            (TAG_RUN, &self.run),
            (TAG_OWNER, &self.owner),
            (TAG_CREATED, &self.created),
            (TAG_EXPIRES, &self.expires),
            (TAG_VERSION, &self.version),
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
