//! What a host does when it comes up, before anything else runs on it.

use std::time::Duration;

/// The unit whose timer ends a host that has booted again.
const UNIT: &str = "netbench-limit";

/// A script that limits how long the host lives, whatever becomes of everything else: the instance's own shutdown
/// terminates it. Source: `shutdown(8)`, and `InstanceInitiatedShutdownBehavior` of `RunInstances`.
///
/// A marker beside the directories of runs says that it is armed, for which the step `configure` looks: no program is
/// placed on a host that may live for ever.
///
/// `shutdown` is forgotten when the host boots again, and user data runs at the first boot only. So there is a timer as
/// well, for the moment `expires` (RFC 3339 in UTC); one that was missed while the host was down fires at its boot
/// (`Persistent=` of `systemd.timer(5)`). Nothing in the script depends on when it is made: the same token has to mean
/// the same request.
pub(super) fn script(ttl: Duration, expires: &str) -> String {
    let minutes = ttl.as_secs().div_ceil(60).max(1);
    let limit = format!(
        "#!/bin/bash\nshutdown -h +{minutes} 'the time limit of this netbench host' && \
         mkdir -p \"${{NETBENCH_DIR:-/var/lib/netbench}}\" && \
         touch \"${{NETBENCH_DIR:-/var/lib/netbench}}/limited\"\n"
    );
    match calendar(expires) {
        Some(moment) => limit + &timer(&moment),
        None => limit,
    }
}

/// The part of the script that makes the timer. A host without systemd goes on without it.
fn timer(moment: &str) -> String {
    format!(
        r#"# Where the units lie; another place is for tests.
units=${{NETBENCH_UNITS:-/etc/systemd/system}}
if systemctl show --property=Version >/dev/null 2>&1; then
    {{
        cat >"$units/{UNIT}.service" <<'END' &&
[Unit]
Description=the time limit of this netbench host

[Service]
Type=oneshot
ExecStart=/usr/bin/systemctl poweroff
END
        cat >"$units/{UNIT}.timer" <<'END' &&
[Unit]
Description=the time limit of this netbench host

[Timer]
OnCalendar={moment}
AccuracySec=1s
Persistent=true

[Install]
WantedBy=timers.target
END
        systemctl daemon-reload &&
        systemctl enable --now {UNIT}.timer
    }} || echo 'the time limit of this netbench host ends with its next boot' >&2
fi
exit 0
"#
    )
}

/// A moment as `systemd.time(7)` has it, in whole seconds; none if `expires` is no moment in UTC.
fn calendar(expires: &str) -> Option<String> {
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    let text = expires.strip_suffix('Z')?.get(..SHAPE.len())?;
    let fits = |(letter, shape): (u8, &u8)| match shape {
        b'd' => letter.is_ascii_digit(),
        other => letter == *other,
    };
    text.bytes().zip(SHAPE).all(fits).then(|| format!("{} UTC", text.replace('T', " ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::process::Command;

    const EXPIRES: &str = "2026-11-22T22:55:00.123456789Z";

    #[test]
    fn the_time_limit_is_armed_first_and_is_not_shorter_than_asked() {
        let script = script(Duration::from_secs(3601), EXPIRES);
        let armed = script.lines().nth(1).unwrap();
        assert!(armed.starts_with("shutdown -h +61 'the time limit of this netbench host' && "), "{armed}");
    }

    #[test]
    fn only_a_moment_in_utc_comes_into_the_script() {
        assert_eq!(calendar(EXPIRES).as_deref(), Some("2026-11-22 22:55:00 UTC"));
        assert_eq!(calendar("2026-11-22T22:55:00Z").as_deref(), Some("2026-11-22 22:55:00 UTC"));
        for bad in ["", "2026-11-22T22:55:00+01:00", "2026-11-22", "$(poweroff)-22T22:55:00Z", "éééééééééééZ"]
        {
            assert_eq!(calendar(bad), None, "{bad}");
            assert_eq!(script(Duration::from_secs(60), bad).lines().count(), 2, "{bad}");
        }
    }

    /// Runs the script on a host whose `systemctl` is `systemctl`; returns what it called and said.
    fn run(directory: &Path, systemctl: &str) -> (String, String) {
        let program = |name: &str, text: &str| {
            let path = directory.join(name);
            std::fs::write(&path, format!("#!/bin/bash\n{text}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        program("shutdown", r#"echo "shutdown $2" >>"$CALLS""#);
        program("systemctl", systemctl);
        let path = std::env::var("PATH").unwrap();
        assert!(!directory.join("netbench/limited").exists());
        let output = Command::new("bash")
            .args(["-c", &script(Duration::from_secs(600), EXPIRES)])
            .env("PATH", format!("{}:{path}", directory.display()))
            .env("CALLS", directory.join("calls"))
            .env("NETBENCH_UNITS", directory.join("units"))
            .env("NETBENCH_DIR", directory.join("netbench"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(directory.join("netbench/limited").exists());
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (std::fs::read_to_string(directory.join("calls")).unwrap(), said)
    }

    #[test]
    fn a_host_that_boots_again_has_a_timer() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("units")).unwrap();
        let (calls, said) = run(directory.path(), r#"echo "systemctl $*" >>"$CALLS""#);
        let expected = [
            "shutdown +10",
            "systemctl show --property=Version",
            "systemctl daemon-reload",
            "systemctl enable --now netbench-limit.timer",
        ];
        assert_eq!(calls.lines().collect::<Vec<_>>(), expected);
        assert_eq!(said, "");
        let unit = |name: &str| std::fs::read_to_string(directory.path().join("units").join(name)).unwrap();
        let timer = unit("netbench-limit.timer");
        for line in ["OnCalendar=2026-11-22 22:55:00 UTC", "Persistent=true", "WantedBy=timers.target"] {
            assert!(timer.lines().any(|one| one == line), "{line} in {timer}");
        }
        let service = unit("netbench-limit.service");
        assert!(service.lines().any(|line| line == "ExecStart=/usr/bin/systemctl poweroff"), "{service}");
    }

    #[test]
    fn a_host_without_systemd_keeps_its_limit_and_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let (calls, said) = run(directory.path(), "exit 1");
        assert_eq!((calls.as_str(), said.as_str()), ("shutdown +10\n", ""));
    }

    #[test]
    fn a_timer_that_cannot_be_made_is_told_and_undoes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        // There is no directory for the units.
        let (calls, said) = run(directory.path(), "exit 0");
        assert_eq!(calls, "shutdown +10\n");
        assert!(said.contains("ends with its next boot"), "{said}");
    }
}
