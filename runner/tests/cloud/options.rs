//! Options that most runs do not have, all at once, and options from a file.

use crate::bench::{Bench, scenario_file, told};
use serde_json::{Value, json};

/// The rules that a run has opened its security group with, as `port from block`.
fn rules(bench: &Bench) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut rules = vec![];
    for request in bench.requests("ec2:AuthorizeSecurityGroupIngress") {
        for nth in 1.. {
            let of = |name: &str| text(&request[format!("IpPermissions.{nth}.{name}")]);
            match of("IpProtocol").as_str() {
                "" => break,
                "-1" if !of("Groups.1.GroupId").is_empty() => {
                    rules.push("everything from the group".to_owned())
                }
                _ => rules.push(format!("{} from {}", of("FromPort"), of("IpRanges.1.CidrIp"))),
            }
        }
    }
    rules
}

/// What `setup` made, as the original's CDK would have written it down.
fn cdk_config(bench: &Bench) -> Value {
    let one = |args: &[&str]| bench.aws(&[args, &["--output", "text"]].concat());
    let buckets = ["s3api", "list-buckets", "--query", "Buckets[0].Name"];
    let profiles = ["iam", "list-instance-profiles", "--query", "InstanceProfiles[0].InstanceProfileName"];
    json!({"NetbenchInfraPrimaryProd": {
        "outputNetbenchInfraPrimaryProdRegion": "us-east-1",
        "outputNetbenchRunnerPrivateSrcBucket": one(&buckets),
        "outputNetbenchRunnerInstanceProfile": one(&profiles),
        "outputNetbenchSubnetTagKey": "netbench-stack",
        "outputNetbenchSubnetTagValue": "netbench",
    }})
}

#[test]
fn a_run_in_the_originals_infrastructure_with_ssh_and_partitions_is_kept_and_destroyed() {
    let bench = Bench::new();
    bench.aws(&["ec2", "create-key-pair", "--key-name", "mine"]);
    let config = bench.path("cdk config.json");
    std::fs::write(&config, cdk_config(&bench).to_string()).expect("written");
    let mut args = vec!["--cdk-config-file", "cdk config.json", "--keep", "--spot"];
    args.extend(["--key-pair", "mine", "--ssh-cidr", "192.0.2.0/24", "--server-placement", "partition"]);
    let stderr = bench.start_run("tiny", &args).expect(0);
    assert_eq!(
        rules(&bench),
        ["everything from the group", "9000 from 127.0.0.1/32", "22 from 192.0.2.0/24"]
    );
    let launches = bench.requests("ec2:RunInstances");
    assert!(launches.iter().all(|launch| launch["KeyName"] == "mine"), "{launches:?}");
    // With the file, the command finds the same bucket, from whichever directory.
    let run = bench.run_id();
    let file = std::fs::canonicalize(&config).expect("it is there");
    let destroys =
        format!("runner ec2 destroy {run} --region us-east-1 --cdk-config-file '{}'", file.display());
    assert!(
        stderr.contains("the hosts are kept until their time limit") && stderr.contains(&destroys),
        "{stderr}"
    );
    let left = bench.cloud.left_of_runs();
    assert_eq!(left.iter().filter(|thing| thing.starts_with("instances")).count(), 2, "{left:?}");
    std::fs::remove_dir_all(bench.path("runs")).expect("removed");
    let file = file.to_str().expect("a path of text");
    bench.expect(0, &["ec2", "destroy", &run, "--cdk-config-file", file]);
    assert_eq!(bench.cloud.left_of_keys_of_users(), ["mine"]);
    bench.aws(&["ec2", "delete-key-pair", "--key-name", "mine"]);
    assert_eq!(bench.cloud.left_of_runs(), [""; 0]);
}

/// Without more, the workers are reached by the caller, and ssh by nobody; the metadata service wants a token.
#[test]
fn only_what_was_asked_for_is_open() {
    let bench = Bench::new();
    bench.start_run("tiny", &[]).expect(0);
    assert_eq!(rules(&bench), ["everything from the group", "9000 from 127.0.0.1/32"]);
    for launch in bench.requests("ec2:RunInstances") {
        assert_eq!(launch["MetadataOptions.HttpTokens"], "required", "{launch:#}");
    }
}

#[test]
fn everything_that_is_created_bears_the_tags_of_its_run() {
    let bench = Bench::new();
    bench.start_run("tiny", &["--server-placement", "cluster", "--spot"]).expect(0);
    let run = bench.run_id();
    // Instances, volumes, interfaces and spot requests come into being with a launch.
    for (operation, tags) in [
        ("ec2:CreateSecurityGroup", 1),
        ("ec2:CreatePlacementGroup", 1),
        ("ec2:RunInstances", 4),
        ("ssm:PutParameter", 1),
    ] {
        let requests = bench.requests(operation);
        assert!(!requests.is_empty(), "{operation}");
        // Dry runs are for a run without a name.
        let real = requests.iter().filter(|request| request["DryRun"].is_null());
        for request in real {
            let text = request.to_string();
            assert!(text.matches(&format!("\"{run}\"")).count() >= tags, "{operation}: {request:#}");
            for key in ["netbench-owner", "netbench-created", "netbench-expires", "netbench-version"] {
                assert_eq!(text.matches(key).count(), tags, "{operation}, {key}: {request:#}");
            }
        }
    }
}

#[test]
fn all_options_may_be_in_a_file_and_those_on_the_command_line_win() {
    let bench = Bench::new();
    let file = bench.path("run.toml");
    let (scenario, image) = (scenario_file("two_clients_three_servers"), bench.image());
    let text = format!(
        "scenario = '{scenario}'\nami = ['{image}']\ninstance-type = 'c6i.large'\nserver-az = ['us-east-1a']\n\
         allow-cidr = '127.0.0.1/32'\nspot = true\nttl = '3h'\ndry-run = true\nworker = '{}'\n",
        crate::bench::worker()
    );
    std::fs::write(&file, text).expect("written");
    let file = file.to_str().expect("a path of text");
    let of_file = told(&bench.expect(0, &["ec2", "--config", file]));
    for text in
        ["3 servers (c6i.large), anywhere, in us-east-1a, spare capacity first", "ends by itself after 3h"]
    {
        assert!(of_file.contains(text), "{text}: {of_file}");
    }
    let more = ["--spot=false", "--ttl", "90m", "--server-az", "us-east-1b"];
    let both = told(&bench.expect(0, &[&["ec2", "--config", file], &more[..]].concat()));
    for text in ["3 servers (c6i.large), anywhere, in us-east-1b\n", "ends by itself after 1h 30m"] {
        assert!(both.contains(text), "{text}: {both}");
    }
}
