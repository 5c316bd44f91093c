//! What an image brings with it.

use crate::api::{Account, ApiError, Cause, call};
use crate::plan::Architecture;

/// An image that hosts can be made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub id: String,
    /// What its programs are made for.
    pub architecture: Architecture,
    /// The volume that hosts boot from; none where that is no volume.
    pub root: Option<RootDevice>,
}

/// The volume that hosts boot from, as the image has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootDevice {
    /// The name under which the image knows it, such as `/dev/xvda`.
    pub name: String,
    /// Its size, in GiB.
    pub size_gib: i32,
}

impl Image {
    /// The image `id`; `None` if there is no such image in the region.
    ///
    /// # Errors
    /// If the service cannot be asked.
    pub async fn find(account: &Account, id: &str) -> Result<Option<Self>, ApiError> {
        let request = account.ec2.describe_images().image_ids(id);
        match call("DescribeImages", id, request.send()).await {
            Ok(found) => Ok(found.images().first().and_then(|image| Self::of(id, image))),
            Err(error) if matches!(error.cause, Cause::NotFound | Cause::Invalid) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn of(id: &str, image: &aws_sdk_ec2::types::Image) -> Option<Self> {
        let architecture = image.architecture()?.as_str();
        let is_arm = architecture == Architecture::Arm64.name();
        let root = image.root_device_name().and_then(|name| {
            let mappings = image.block_device_mappings().iter();
            let mut of_root = mappings.filter(|mapping| mapping.device_name() == Some(name));
            let size_gib = of_root.find_map(|mapping| mapping.ebs()?.volume_size())?;
            Some(RootDevice { name: name.to_owned(), size_gib })
        });
        let architecture = if is_arm { Architecture::Arm64 } else { Architecture::X86_64 };
        Some(Self { id: id.to_owned(), architecture, root })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::fake_service::{FakeService, Reply};

    fn service(status: u16, body: String) -> FakeService {
        FakeService::start(move |_| Reply::xml(status, &body))
    }

    /// An image with a volume of 8 GiB that is not the one it boots from, and `more`.
    fn image(more: &str) -> FakeService {
        let other = "<item><deviceName>/dev/sdb</deviceName><ebs><volumeSize>8</volumeSize></ebs></item>";
        let mappings = format!("<blockDeviceMapping>{other}{more}</blockDeviceMapping>");
        let image =
            format!("<architecture>arm64</architecture><rootDeviceName>/dev/xvda</rootDeviceName>{mappings}");
        let set = format!("<imagesSet><item>{image}</item></imagesSet>");
        service(200, format!("<DescribeImagesResponse>{set}</DescribeImagesResponse>"))
    }

    #[tokio::test]
    async fn the_root_volume_is_the_one_under_the_images_own_name() {
        let root = "<item><deviceName>/dev/xvda</deviceName><ebs><volumeSize>80</volumeSize></ebs></item>";
        let found = Image::find(&image(root).account(), "ami-1").await.unwrap().unwrap();
        assert_eq!((found.id.as_str(), found.architecture), ("ami-1", Architecture::Arm64));
        assert_eq!(found.root, Some(RootDevice { name: "/dev/xvda".to_owned(), size_gib: 80 }));
        let found = Image::find(&image("").account(), "ami-1").await.unwrap().unwrap();
        assert_eq!(found.root, None);
    }

    #[tokio::test]
    async fn an_image_that_is_not_there_is_no_error() {
        let error = "<Error><Code>InvalidAMIID.NotFound</Code><Message>no</Message></Error>";
        let service =
            service(400, format!("<Response><Errors>{error}</Errors><RequestID>1</RequestID></Response>"));
        assert_eq!(Image::find(&service.account(), "ami-1").await.unwrap(), None);
    }
}
