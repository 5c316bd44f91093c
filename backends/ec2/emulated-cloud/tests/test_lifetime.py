"""The cloud as a process: how it ends, and that two do not disturb each other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from emulated_cloud import patches

from .cloud import DIRECTORY, CloudTest


class Lifetime(CloudTest):
    def test_nothing_is_left_after_sigterm(self) -> None:
        host = self.hosts()[0]
        self.send([host], "setsid sleep 1000 </dev/null >log 2>&1 &\nsleep 1000")
        pids = self.wait("both", lambda: len(self.pids(host)) >= 3 and self.pids(host))
        directory = self.directory(host)
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(20), 0)
        self.assertFalse(directory.exists())
        for pid in pids:
            self.assertFalse(os.path.exists(f"/proc/{pid}/exe"))


class Neighbours(CloudTest):
    def test_two_clouds_have_different_addresses(self) -> None:
        root = tempfile.TemporaryDirectory()
        self.addCleanup(root.cleanup)
        vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = self.ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.7.0/24")["Subnet"]["SubnetId"]
        host = self.run_instances(SubnetId=subnet)[0]
        told = next(one for one in self.cloud("hosts") if one["id"] == host)
        network = told["address"].split(".")[1]
        command = [sys.executable, "-m", "emulated_cloud", "--root", root.name, "--network"]
        refused = subprocess.run(
            [*command, network], cwd=DIRECTORY, capture_output=True, text=True, timeout=20
        )
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("in use by another emulated cloud", refused.stderr)
        other = subprocess.Popen([*command, "auto"], cwd=DIRECTORY, stdout=subprocess.PIPE, text=True)
        try:
            self.assertTrue(other.stdout.readline().startswith("listening on "))
        finally:
            other.send_signal(signal.SIGINT)
            self.assertEqual(other.wait(20), 0)
            other.stdout.close()
        # A root that was given stays.
        self.assertTrue(Path(root.name).exists())


class Patches(unittest.TestCase):
    def test_a_patch_that_no_longer_fits_is_refused(self) -> None:
        class Moto:
            def there(self) -> None:
                pass

        with self.assertRaises(patches.PatchError):
            patches.replace(Moto, "gone", None)
        with self.assertRaises(patches.PatchError):
            patches.existing(Moto, "gone")
        with self.assertRaises(patches.PatchError):
            patches.add(Moto, "there", None)
