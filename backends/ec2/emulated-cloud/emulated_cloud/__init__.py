"""EC2, SSM, S3 and CloudFormation on one machine: moto, extended by what a run of netbench needs."""
