//! What the system allows this process.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit on open files as far as this user may: each host takes a few of them.
pub fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        // Few hosts do with what there is; for many, what needs a file says so.
        tracing::debug!("the limit on open files stays: {error}");
    }
}
