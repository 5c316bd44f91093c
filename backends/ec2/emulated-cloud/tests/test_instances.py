"""Launching, describing and terminating."""

from __future__ import annotations

from botocore.exceptions import ClientError

from .cloud import CloudTest, code_of


class States(CloudTest):
    """States on the way last long enough to be seen."""

    OPTIONS = ("--launch-ms", "3000", "--terminate-ms", "3000")

    def test_states_take_time_and_counts_are_kept(self) -> None:
        ids = self.run_instances(3, MinCount=1)
        self.assertEqual(len(ids), 3)
        self.assertEqual(self.state(ids[0]), "pending")
        self.wait("running", lambda: self.state(ids[2]) == "running")
        self.ec2.terminate_instances(InstanceIds=ids)
        self.assertEqual(self.state(ids[0]), "shutting-down")
        self.wait("terminated", lambda: self.state(ids[0]) == "terminated")
        # Once more is no error.
        self.ec2.terminate_instances(InstanceIds=ids)


class Instances(CloudTest):
    OPTIONS = ("--minute-ms", "300")

    def test_addresses_are_of_this_machine_and_out_of_the_subnet(self) -> None:
        vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = self.ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.7.0/24", AvailabilityZone="us-east-1b")
        interface = {
            "DeviceIndex": 0,
            "SubnetId": subnet["Subnet"]["SubnetId"],
            "AssociatePublicIpAddress": True,
        }
        ids = self.run_instances(2, NetworkInterfaces=[interface])
        found = self.ec2.describe_instances(InstanceIds=ids)["Reservations"][0]["Instances"]
        for instance in found:
            self.assertRegex(instance["PrivateIpAddress"], r"^127\.\d+\.7\.\d+$")
            self.assertEqual(instance["PublicIpAddress"], instance["PrivateIpAddress"])
            self.assertEqual(instance["Placement"]["AvailabilityZone"], "us-east-1b")
        self.assertNotEqual(found[0]["PrivateIpAddress"], found[1]["PrivateIpAddress"])

    def test_a_client_token_launches_once(self) -> None:
        first = self.run_instances(2, ClientToken="token-1")
        self.assertEqual(self.run_instances(2, ClientToken="token-1"), first)
        with self.assertRaises(ClientError) as error:
            self.run_instances(3, ClientToken="token-1")
        self.assertEqual(code_of(error), "IdempotentParameterMismatch")

    def test_refusals(self) -> None:
        for code, change in (
            ("InvalidParameterValue", {"InstanceType": "c5.enormous"}),
            ("InvalidKeyPair.NotFound", {"KeyName": "nobody's"}),
            ("InvalidParameterValue", {"MinCount": 3, "MaxCount": 2}),
            ("InvalidPlacementGroup.Unknown", {"Placement": {"GroupName": "nothing"}}),
            ("InvalidSubnetID.NotFound", {"SubnetId": "subnet-0123456789abcdef0"}),
            ("InvalidGroup.NotFound", {"SecurityGroupIds": ["sg-0123456789abcdef0"]}),
            ("DryRunOperation", {"DryRun": True}),
        ):
            with self.subTest(code), self.assertRaises(ClientError) as error:
                self.run_instances(**change)
            self.assertEqual(code_of(error), code)
        with self.assertRaises(ClientError) as error:
            self.run_instances(IamInstanceProfile={"Name": "nothing"})
        self.assertIn("profile", str(error.exception).lower())

    def test_arm_types_want_arm_images(self) -> None:
        with self.assertRaises(ClientError) as error:
            self.run_instances(InstanceType="c7g.large")
        self.assertIn("architecture", str(error.exception))
        name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
        image = self.ssm.get_parameter(Name=name)["Parameter"]["Value"]
        self.assertEqual(len(self.run_instances(InstanceType="c7g.large", ImageId=image)), 1)

    def test_types_are_described(self) -> None:
        kind = self.ec2.describe_instance_types(InstanceTypes=["c5.xlarge"])["InstanceTypes"][0]
        self.assertEqual(kind["VCpuInfo"]["DefaultVCpus"], 4)
        self.assertEqual(kind["ProcessorInfo"]["SupportedArchitectures"], ["x86_64"])
        self.assertIn("cluster", kind["PlacementGroupInfo"]["SupportedStrategies"])

    def test_the_quota_is_told(self) -> None:
        quotas = self.client("service-quotas")
        quota = quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-1216C47A")["Quota"]
        self.assertEqual(quota["Value"], 1024.0)
        with self.assertRaises(ClientError) as error:
            self.run_instances(100, InstanceType="c5.9xlarge")
        self.assertEqual(code_of(error), "VcpuLimitExceeded")

    def test_a_security_group_in_use_stays(self) -> None:
        group = self.ec2.create_security_group(GroupName="used", Description="used")["GroupId"]
        ids = self.run_instances(SecurityGroupIds=[group])
        with self.assertRaises(ClientError) as error:
            self.ec2.delete_security_group(GroupId=group)
        self.assertEqual(code_of(error), "DependencyViolation")
        self.ec2.terminate_instances(InstanceIds=ids)
        self.wait("the end", lambda: self.state(ids[0]) == "terminated")
        self.ec2.delete_security_group(GroupId=group)

    def test_an_interface_brings_the_group_and_the_public_address(self) -> None:
        vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = self.ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.9.0/24")["Subnet"]
        self.assertFalse(subnet["MapPublicIpOnLaunch"])
        group = self.ec2.create_security_group(GroupName="mine", Description="mine", VpcId=vpc)["GroupId"]
        interface = {
            "DeviceIndex": 0,
            "SubnetId": subnet["SubnetId"],
            "Groups": [group],
            "AssociatePublicIpAddress": True,
            "DeleteOnTermination": True,
        }
        ids = self.run_instances(
            NetworkInterfaces=[interface], MaintenanceOptions={"AutoRecovery": "disabled"}
        )
        self.wait("running", lambda: self.state(ids[0]) == "running")
        instance = self.ec2.describe_instances(InstanceIds=ids)["Reservations"][0]["Instances"][0]
        self.assertEqual([one["GroupId"] for one in instance["SecurityGroups"]], [group])
        self.assertEqual(instance["PublicIpAddress"], instance["PrivateIpAddress"])
        self.assertEqual(instance["SubnetId"], subnet["SubnetId"])
        eni = instance["NetworkInterfaces"][0]
        self.assertEqual([one["GroupId"] for one in eni["Groups"]], [group])
        with self.assertRaises(ClientError) as error:
            self.ec2.delete_security_group(GroupId=group)
        self.assertEqual(code_of(error), "DependencyViolation")
        self.ec2.terminate_instances(InstanceIds=ids)
        self.wait("the end", lambda: self.state(ids[0]) == "terminated")
        left = [one["id"] for one in self.cloud("left")["network_interfaces"]]
        self.assertNotIn(eni["NetworkInterfaceId"], left)
        self.ec2.delete_security_group(GroupId=group)

    def test_an_interface_is_all_there_is_of_the_network(self) -> None:
        group = self.ec2.create_security_group(GroupName="twice", Description="twice")["GroupId"]
        nowhere = "sg-0123456789abcdef0"
        for code, groups, more in (
            ("InvalidParameterCombination", [group], {"SecurityGroupIds": [group]}),
            ("InvalidGroup.NotFound", [nowhere], {}),
        ):
            with self.subTest(code), self.assertRaises(ClientError) as error:
                self.run_instances(NetworkInterfaces=[{"DeviceIndex": 0, "Groups": groups}], **more)
            self.assertEqual(code_of(error), code)

    def test_a_root_volume_that_was_asked_for_is_the_only_one_and_goes_too(self) -> None:
        image = self.ec2.describe_images(ImageIds=[self.image()])["Images"][0]
        before = {volume["id"] for volume in self.cloud("left")["volumes"]}
        volume = {"VolumeSize": 50, "VolumeType": "gp3", "DeleteOnTermination": True}
        tags = [{"ResourceType": "volume", "Tags": [{"Key": "a", "Value": "root"}]}]
        ids = self.run_instances(
            BlockDeviceMappings=[{"DeviceName": image["RootDeviceName"], "Ebs": volume}],
            TagSpecifications=tags,
        )
        [made] = [one for one in self.cloud("left")["volumes"] if one["id"] not in before]
        self.assertEqual(made["tags"], {"a": "root"})
        found = self.ec2.describe_volumes(VolumeIds=[made["id"]])["Volumes"][0]
        self.assertEqual((found["Size"], found["VolumeType"]), (50, "gp3"))
        self.ec2.terminate_instances(InstanceIds=ids)
        self.wait(
            "the volume to go",
            lambda: made["id"] not in {one["id"] for one in self.cloud("left")["volumes"]},
        )

    def test_hosts_do_not_reach_the_systemd_of_this_machine(self) -> None:
        script = "#!/bin/bash\nsystemctl show --property=Version && touch it-works\ntouch went-on\n"
        host = self.run_instances(user_data=script)[0]
        self.wait("user data", lambda: (self.directory(host) / "went-on").exists())
        self.assertFalse((self.directory(host) / "it-works").exists())

    def test_everything_of_an_instance_goes_with_it(self) -> None:
        ids = self.run_instances(
            TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "a", "Value": "b"}]}]
        )
        self.assertIn({"a": "b"}, [volume["tags"] for volume in self.cloud("left")["volumes"]])
        every = [instance["id"] for instance in self.cloud("left")["instances"]]
        self.assertIn(ids[0], every)
        self.ec2.terminate_instances(InstanceIds=every)
        kinds = ("instances", "volumes", "network_interfaces", "processes")
        self.wait("nothing left", lambda: not any(self.cloud("left")[kind] for kind in kinds))

    def test_user_data_runs_first_and_shutdown_terminates(self) -> None:
        script = '#!/bin/bash\nshutdown -h +10 "time is up"\ntouch was-here\n'
        ids = self.run_instances(user_data=script, InstanceInitiatedShutdownBehavior="terminate")
        self.wait("user data", lambda: (self.directory(ids[0]) / "was-here").exists())
        self.assertEqual(self.state(ids[0]), "running")
        self.wait("termination", lambda: self.state(ids[0]) == "terminated")

    def test_shutdown_stops_unless_it_terminates(self) -> None:
        ids = self.run_instances(user_data="#!/bin/bash\nshutdown -h now\n")
        self.wait("stop", lambda: self.state(ids[0]) == "stopped")
