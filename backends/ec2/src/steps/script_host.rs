//! A host for tests of scripts: a directory, with stand-ins for `aws` and `curl`.

use super::script::{ScriptContext, example, script};
use super::step::Step;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const INSTANCE: &str = "i-0123";

/// `aws s3 cp` between a directory and the host, `aws ssm get-parameter`; each call is written down.
const AWS: &str = r#"#!/bin/bash
set -eu
echo "aws $*" >>"$CALLS"
if [[ -e "$BUCKET_DIR/broken" ]]; then echo 'AccessDenied: not yours' >&2; exit 254; fi
case "$1 $2" in
"ssm get-parameter") echo 'the-secret-key' ;;
"s3 cp")
    args=("${@:3}")
    last="${args[-1]}" from="${args[-2]}"
    recursive=''; [[ " $* " == *' --recursive '* ]] && recursive=-rT
    if [[ "$from" == s3://* ]]; then cp "$BUCKET_DIR/${from#s3://*/}" "$last"
    else mkdir -p "$(dirname "$BUCKET_DIR/${last#s3://*/}")"; cp $recursive "$from" "$BUCKET_DIR/${last#s3://*/}"; fi ;;
*) exit 99 ;;
esac
"#;

/// `curl` of a file; other URLs (the metadata service) do not answer.
const CURL: &str = r#"#!/bin/bash
echo "curl $*" >>"$CALLS"
while (($#)); do
    case "$1" in --output) out="$2"; shift ;; --url) url="$2"; shift ;; esac
    shift
done
[[ "$url" == file:* ]] || exit 7
cp "${url#file:}" "$out" || exit 22
"#;

const RUNNER: &str = r#"#!/bin/bash
if [[ "$1" == --version ]]; then echo 'runner 0.1.0'; exit 0; fi
printf '%s\n' "$@" >"$CALLS.worker"
ulimit -Sn >"$CALLS.files"
"#;

pub(super) const CARGO: &str = r#"#!/bin/bash
echo "cargo $*" >>"$CALLS"
program=build/bin/s2n-netbench-driver-server-tcp
mkdir -p build/bin
printf 'built' >"$program"
chmod +x "$program"
"#;

/// A host, as a directory.
pub(super) struct Host {
    directory: tempfile::TempDir,
    pub(super) context: ScriptContext,
}

impl Host {
    /// With a manifest that names a scenario, a worker that does `worker`, and three hosts of which it is a client.
    pub(super) fn new(worker: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let host = Self { directory, context: example() };
        for (name, text) in [("aws", AWS), ("curl", CURL)] {
            host.write(&format!("shims/{name}"), text);
            fs::set_permissions(host.path(&format!("shims/{name}")), fs::Permissions::from_mode(0o755))
                .unwrap();
        }
        // What its user data has left.
        host.write("netbench/limited", "");
        let files = [
            host.file("scenario/incast.json", "{}", 0o644),
            host.file("bin/runner", &format!("{RUNNER}{worker}\n"), 0o755),
            host.file("bin/client-tcp", "#!/bin/true", 0o755),
            host.file("x86_64/bin/of-x86_64", "x", 0o755),
            host.file("aarch64/bin/of-aarch64", "y", 0o755),
        ];
        let hosts = format!(
            "host i-b server 1 10.0.0.2\nhost i-a server 0 10.0.0.1\nhost {INSTANCE} client 3 {}\n",
            Ipv4Addr::LOCALHOST
        );
        host.write(&format!("bucket/{}", host.context.names.manifest()), &(hosts + &files.join("")));
        host
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A file in the store, and its line of the manifest.
    pub(super) fn file(&self, name: &str, text: &str, mode: u32) -> String {
        self.write(&format!("store/{name}"), text);
        let url = self.path("store").join(name);
        format!("file {:x} {mode:o} {name} file:{}\n", Sha256::digest(text), url.display())
    }

    pub(super) fn command(&self, script: &str) -> Command {
        let mut command = Command::new("bash");
        let path = std::env::var("PATH").unwrap();
        command.arg("-c").arg(script).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("PATH", format!("{}:{path}", self.path("shims").display()));
        command.env("NETBENCH_DIR", self.path("netbench")).env("CALLS", self.path("calls"));
        command.env("BUCKET_DIR", self.path("bucket")).env("AWS_SSM_INSTANCE_ID", INSTANCE);
        command.env_remove("AWS_ENDPOINT_URL").env_remove("AWS_EC2_METADATA_DISABLED");
        command
    }

    pub(super) fn run(&self, step: Step) -> Output {
        self.command(&script(step, &self.context)).output().unwrap()
    }

    pub(super) fn succeed(&self, step: Step) -> String {
        let output = self.run(step);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{step}: {}{}", text(&output.stdout), text(&output.stderr));
        assert!(self.has(&format!("start_{step}")) && self.has(&format!("fin_{step}")), "{step}");
        assert!(!self.has(&format!("fail_{step}")), "{step}");
        text(&output.stdout)
    }

    /// What it says on stderr.
    pub(super) fn fail(&self, step: Step) -> String {
        self.fail_with(step, &script(step, &self.context))
    }

    pub(super) fn fail_with(&self, step: Step, script: &str) -> String {
        let output = self.command(script).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{step}");
        assert!(self.has(&format!("start_{step}")) && self.has(&format!("fail_{step}")), "{step}");
        assert!(!self.has(&format!("fin_{step}")), "{step}");
        String::from_utf8(output.stderr).unwrap()
    }

    pub(super) fn run_path(&self, name: &str) -> PathBuf {
        self.path("netbench").join(self.context.names.run().as_str()).join(name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.run_path(name).exists()
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.run_path(name)).unwrap()
    }

    pub(super) fn calls(&self) -> String {
        fs::read_to_string(self.path("calls")).unwrap_or_default()
    }

    pub(super) fn prepare(&self) {
        for step in [Step::UploadScenarioFile, Step::Configure, Step::PlaceWorker] {
            self.succeed(step);
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let Ok(pid) = fs::read_to_string(self.run_path("worker.pid")) else { return };
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", pid.trim())]).output();
    }
}
