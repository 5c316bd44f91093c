//! The network of the stack: a public subnet in each zone.

use super::resource::{Resource, reference};
use super::template::TemplateError;
use serde_json::json;

/// The network; each zone gets a sixteenth of it, 4091 addresses for hosts.
const NETWORK: &str = "10.42.0.0/16";

/// The network's resources, subnets sorted by zone.
pub(super) fn resources(zones: &[String]) -> Result<Vec<Resource>, TemplateError> {
    let zones = lettered(zones)?;
    let mut all = vec![
        Resource::tagged(
            "Vpc",
            "AWS::EC2::VPC",
            format!("network {NETWORK}"),
            json!({ "CidrBlock": NETWORK, "EnableDnsSupport": true, "EnableDnsHostnames": true }),
        ),
        Resource::tagged(
            "InternetGateway",
            "AWS::EC2::InternetGateway",
            "internet gateway".into(),
            json!({}),
        ),
        Resource::untagged(
            "InternetGatewayAttachment",
            "AWS::EC2::VPCGatewayAttachment",
            "the gateway's attachment to the network".into(),
            json!({ "VpcId": reference("Vpc"), "InternetGatewayId": reference("InternetGateway") }),
        ),
        Resource::tagged(
            "RouteTable",
            "AWS::EC2::RouteTable",
            "route table of the public subnets".into(),
            json!({ "VpcId": reference("Vpc") }),
        ),
        Resource::untagged(
            "DefaultRoute",
            "AWS::EC2::Route",
            "default route to the internet gateway".into(),
            json!({
                "RouteTableId": reference("RouteTable"),
                "DestinationCidrBlock": "0.0.0.0/0",
                "GatewayId": reference("InternetGateway"),
            }),
        )
        .after("InternetGatewayAttachment"),
    ];
    for (letter, zone) in zones {
        all.extend(subnet(letter, zone));
    }
    Ok(all)
}

fn subnet(letter: u8, zone: &str) -> [Resource; 2] {
    let name = char::from(letter.to_ascii_uppercase());
    let id = format!("Subnet{name}");
    let addresses = format!("10.42.{}.0/20", (letter - b'a') * 16);
    let association = json!({ "SubnetId": reference(&id), "RouteTableId": reference("RouteTable") });
    [
        Resource::tagged(
            &id,
            "AWS::EC2::Subnet",
            format!("public subnet {addresses} in {zone}"),
            json!({
                "VpcId": reference("Vpc"),
                "AvailabilityZone": zone,
                "CidrBlock": addresses,
                "MapPublicIpOnLaunch": true,
            }),
        ),
        Resource::untagged(
            format!("Subnet{name}Route"),
            "AWS::EC2::SubnetRouteTableAssociation",
            format!("association of the subnet in {zone} with the route table"),
            association,
        ),
    ]
}

/// The zones by their last letter, sorted. The letter and not the position decides about a subnet's addresses: when a
/// region gets another zone, the existing subnets must stay as they are.
fn lettered(zones: &[String]) -> Result<Vec<(u8, &str)>, TemplateError> {
    let mut lettered = Vec::new();
    for zone in zones {
        match zone.as_bytes() {
            [.., digit, letter @ b'a'..=b'p'] if digit.is_ascii_digit() => {
                lettered.push((*letter, zone.as_str()))
            }
            _ => return Err(TemplateError::Zone(zone.clone())),
        }
    }
    lettered.sort_unstable();
    if lettered.is_empty() {
        return Err(TemplateError::NoZones);
    }
    for pair in lettered.windows(2) {
        if let [(first, one), (second, other)] = pair
            && first == second
        {
            return Err(TemplateError::SameLetter((*one).to_owned(), (*other).to_owned()));
        }
    }
    Ok(lettered)
}
