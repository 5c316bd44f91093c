//! What cannot work is refused with exit code 2 before anything is created.

use crate::bench::{Bench, scenario_file, told};

#[test]
fn what_does_not_fit_is_refused_before_anything_is_created() {
    let bench = Bench::new();
    let (tiny, image) = (scenario_file("tiny"), bench.image());
    let base = ["ec2", "--scenario", &tiny, "--allow-cidr", "127.0.0.1/32", "--ami", &image];
    let config = bench.path("run.toml");
    std::fs::write(&config, "instance-typ = 'x'\n").expect("written");
    let config = config.to_str().expect("a path of text");
    for (more, expected) in [
        (
            vec!["--server-az", "us-east-1a,us-east-1b"],
            "--server-az names 2 zones and the scenario has 1 server",
        ),
        (vec!["--client-az", "eu-central-1a"], "--client-az eu-central-1a: there is no subnet in this zone"),
        (vec!["--instance-type", "x9.huge"], "there is no instance type x9.huge"),
        (vec!["--key-pair", "nobodys"], "--key-pair nobodys: there is no such key pair"),
        (vec!["--ami", "ami-00000000000000000"], "ami-00000000000000000"),
        (vec!["--stack", "other"], "runner ec2 setup"),
        (vec!["--region", "eu-west-1"], "eu-west-1"),
        (vec!["--region", "us-nowhere-9"], "us-nowhere-9"),
        (vec!["--driver-port", "9000"], "--driver-port 9000: drivers would have ports 9000 to 9000"),
        (vec!["--cdk-config-file", "nowhere.json"], "nowhere.json cannot be read"),
        (vec!["--config", config], "there is no option \"instance-typ\""),
        (vec!["--ttl", "1m"], "expected a duration from 10m"),
    ] {
        let mut args = base.to_vec();
        if more[0] == "--ami" {
            args.truncate(5);
        }
        args.extend(&more);
        if !more.contains(&"--instance-type") {
            args.extend(["--instance-type", "c6i.large"]);
        }
        let output = bench.expect(2, &args);
        assert!(told(&output).contains(expected), "{more:?}: {}", told(&output));
    }
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
    assert!(!bench.path("runs").exists(), "there is no run");
}

#[test]
fn an_account_that_is_not_there_is_named() {
    let bench = Bench::empty();
    let tiny = scenario_file("tiny");
    let output = bench.expect(2, &["ec2", "--scenario", &tiny, "--allow-cidr", "127.0.0.1/32"]);
    assert!(told(&output).contains("runner ec2 setup"), "{}", told(&output));
    let no_region = bench.command(&["ec2", "list"]).env_remove("AWS_REGION").output().expect("it starts");
    assert_eq!(no_region.status.code(), Some(2), "{}", told(&no_region));
    assert!(told(&no_region).contains("no region is set"), "{}", told(&no_region));
    let no_scenario = bench.expect(2, &["ec2", "--dry-run"]);
    assert!(told(&no_scenario).contains("give --scenario FILE"), "{}", told(&no_scenario));
    // As where a name of a region is mistyped, nobody answers.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let mut nowhere = bench.command(&["ec2", "list", "--region", "us-nowhere-9"]);
    let nowhere = nowhere.env("AWS_ENDPOINT_URL", format!("http://{closed}")).output().expect("it starts");
    assert_eq!(nowhere.status.code(), Some(2), "{}", told(&nowhere));
    assert!(told(&nowhere).contains("no answer from AWS for the region us-nowhere-9"), "{}", told(&nowhere));
    let nobody = bench
        .command(&["ec2", "list"])
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .expect("it starts");
    assert_eq!(nobody.status.code(), Some(2), "{}", told(&nobody));
    assert!(told(&nobody).contains("credentials"), "{}", told(&nobody));
}

/// Somebody has removed a part of the stack by hand.
#[test]
fn infrastructure_that_is_not_whole_is_refused() {
    let bench = Bench::new();
    let (tiny, image) = (scenario_file("tiny"), bench.image());
    let args = ["ec2", "--scenario", &tiny, "--allow-cidr", "127.0.0.1/32", "--ami", &image];
    let profiles = ["iam", "list-instance-profiles", "--output", "text", "--query"];
    let profile = bench.aws(&[&profiles[..], &["InstanceProfiles[0].InstanceProfileName"]].concat());
    let role = bench.aws(&[&profiles[..], &["InstanceProfiles[0].Roles[0].RoleName"]].concat());
    let of_profile = ["--instance-profile-name", &profile];
    bench.aws(
        &[&["iam", "remove-role-from-instance-profile", "--role-name", &role], &of_profile[..]].concat(),
    );
    bench.aws(&[&["iam", "delete-instance-profile"], &of_profile[..]].concat());
    let output = bench.expect(2, &args);
    for text in ["GetInstanceProfile", &profile] {
        assert!(told(&output).contains(text), "{text}: {}", told(&output));
    }
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
    assert!(!bench.path("runs").exists(), "there is no run");
}
