//! What a host does when it comes up, before anything else runs on it.

use std::time::Duration;

/// A script that limits how long the host lives, whatever becomes of everything else: the instance's own shutdown
/// terminates it. Source: `shutdown(8)`, and `InstanceInitiatedShutdownBehavior` of `RunInstances`.
pub(super) fn script(ttl: Duration) -> String {
    let minutes = ttl.as_secs().div_ceil(60).max(1);
    format!("#!/bin/bash\nshutdown -h +{minutes} 'the time limit of this netbench host'\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_limit_is_armed_first_and_is_not_shorter_than_asked() {
        let script = script(Duration::from_secs(3601));
        assert_eq!(script.lines().nth(1), Some("shutdown -h +61 'the time limit of this netbench host'"));
    }
}
