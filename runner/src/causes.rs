//! Errors as one line for the user.

use std::error::Error;

/// An error with its causes, apart from those that its message tells already.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    enum Example {
        #[error("no report")]
        Silent(#[source] io::Error),
        #[error("no report: {0}")]
        Telling(#[source] io::Error),
    }

    #[test]
    fn every_cause_is_told_once() {
        for example in [Example::Silent, Example::Telling] {
            assert_eq!(with_causes(&example(io::Error::other("disk full"))), "no report: disk full");
        }
    }
}
