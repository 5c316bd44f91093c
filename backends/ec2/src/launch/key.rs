//! The key of the run, where its hosts and whoever resumes it find it: an encrypted parameter.

use super::{Launch, LaunchError};
use crate::api::{Account, ApiError, Cause, call};
use crate::journal::ResourceKind;
use crate::names::RunNames;
use aws_sdk_ssm::types::ParameterType;
use backends::key_file;
use russula_proto::Key;

impl Launch<'_> {
    /// Puts the key where its hosts find it.
    pub(super) async fn put_key(&self, key: &Key) -> Result<(), LaunchError> {
        let name = self.names.key_parameter();
        self.journal.intend(ResourceKind::Parameter, &name)?;
        let request = self.account.ssm.put_parameter();
        let request = request
            .name(&name)
            .r#type(ParameterType::SecureString)
            .value(text_of(key))
            .set_tags(Some(self.tags.of_parameter()));
        match call("PutParameter", &name, request.send()).await {
            Ok(_) => {}
            // The answer to an earlier attempt was lost. Nobody else knows the name of this run.
            Err(error) if error.cause == Cause::Exists => {}
            Err(error) => return Err(error.into()),
        }
        self.journal.created(ResourceKind::Parameter, &name, &[])?;
        Ok(())
    }
}

/// The key of a run that goes on.
///
/// # Errors
/// If it cannot be read, or is none.
pub async fn read_key(account: &Account, names: &RunNames) -> Result<Key, ApiError> {
    let (operation, name) = ("GetParameter", names.key_parameter());
    let request = account.ssm.get_parameter().name(&name).with_decryption(true);
    let parameter = call(operation, &name, request.send()).await?;
    let text = parameter.parameter().and_then(|parameter| parameter.value()).unwrap_or_default();
    let key = key_file::read_from(&mut format!("{text}\n").as_bytes());
    key.map_err(|_| ApiError::incomplete(operation, &name, "key in it"))
}

/// The key as a key file has it, but for the end of the line, which the hosts' `aws` adds.
fn text_of(key: &Key) -> String {
    let mut text = Vec::new();
    key_file::write_to(&mut text, key).expect("a vector takes everything");
    String::from_utf8(text).expect("a key file is text").trim_end().to_owned()
}
