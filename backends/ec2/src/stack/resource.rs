//! One resource of the template, and the few functions of CloudFormation that it uses.

use super::template::tag;
use serde_json::{Value, json};

/// One resource.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    /// Its name within the template.
    pub(super) id: String,
    /// Its type.
    pub(super) kind: &'static str,
    /// What it is, for people.
    pub(super) what: String,
    properties: Value,
    tagged: bool,
    depends_on: Option<&'static str>,
}

impl Resource {
    /// A resource that bears the tag of the stack; `properties` is an object.
    pub(super) fn tagged(id: impl Into<String>, kind: &'static str, what: String, properties: Value) -> Self {
        Self { id: id.into(), kind, what, properties, tagged: true, depends_on: None }
    }

    /// A resource of a type that knows no tags.
    pub(super) fn untagged(
        id: impl Into<String>,
        kind: &'static str,
        what: String,
        properties: Value,
    ) -> Self {
        Self { id: id.into(), kind, what, properties, tagged: false, depends_on: None }
    }

    /// The resource, created only after `other` where no reference says so.
    pub(super) fn after(self, other: &'static str) -> Self {
        Self { depends_on: Some(other), ..self }
    }

    /// The resource as it stands in the template of the stack `name`.
    pub(super) fn into_json(self, name: &str) -> Value {
        let mut properties = self.properties;
        if self.tagged {
            let shown = json!({ "Key": "Name", "Value": format!("{name}-{}", self.id) });
            properties["Tags"] = json!([tag(name), shown]);
        }
        let mut resource = json!({ "Type": self.kind, "Properties": properties });
        if let Some(other) = self.depends_on {
            resource["DependsOn"] = json!(other);
        }
        resource
    }
}

/// The id of another resource.
pub(super) fn reference(id: &str) -> Value {
    json!({ "Ref": id })
}

/// An attribute of another resource.
pub(super) fn attribute(id: &str, attribute: &str) -> Value {
    json!({ "Fn::GetAtt": [id, attribute] })
}

/// A text with `${...}` replaced by CloudFormation.
pub(super) fn substitute(text: &str) -> Value {
    json!({ "Fn::Sub": text })
}
