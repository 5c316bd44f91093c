//! What there is of a run, by its tags and by its journal: the same that a teardown removes.

use super::{GroupKind, Teardown};
use crate::api::ApiError;
use crate::inventory::{self, Found, Group};
use crate::names::TAG_RUN;
use aws_sdk_ec2::types::{Instance, Tag};
use std::collections::BTreeSet;

impl Teardown<'_> {
    /// Everything that a teardown removes and that is there.
    pub(super) async fn look(&self) -> Result<Found, ApiError> {
        let (run, none) = (self.run_name(), BTreeSet::new());
        let (mut runs, instances, security_groups, placement_groups, report) = tokio::try_join!(
            inventory::find(self.account, Some(run), self.bucket),
            self.known_instances(&none),
            self.known_groups(GroupKind::SecurityGroup),
            self.known_groups(GroupKind::PlacementGroup),
            self.report(),
        )?;
        let mut found = runs.remove(run).unwrap_or_default();
        found.instances.extend(instances.iter().filter_map(inventory::still_there));
        for (ids, known) in
            [(&mut found.security_groups, security_groups), (&mut found.placement_groups, placement_groups)]
        {
            let mine = known.into_iter().filter(|(_, tags)| self.is_mine(tags)).map(|(id, _)| id);
            *ids = Vec::from_iter(std::mem::take(ids).into_iter().chain(mine).collect::<BTreeSet<_>>());
        }
        if self.keep_results {
            found.objects.retain(|key| !key.starts_with(&self.names.hosts_prefix()));
        }
        found.objects.extend(report);
        Ok(found)
    }

    /// Whether what bears `tags` may be this run's: it may not show its tags yet, but not those of another run.
    pub(super) fn is_mine(&self, tags: &[Tag]) -> bool {
        let owner = tags.iter().find(|tag| tag.key() == Some(TAG_RUN)).and_then(Tag::value);
        owner.is_none_or(|owner| owner == self.run_name())
    }

    /// The hosts that the journal knows, beyond those with the ids `found`.
    pub(super) async fn known_instances(&self, found: &BTreeSet<&str>) -> Result<Vec<Instance>, ApiError> {
        let missing = self.known.instances.iter().filter(|id| !found.contains(id.as_str()));
        let missing: Vec<String> = missing.cloned().collect();
        let mut instances = inventory::instances_of(self.account, &missing).await?;
        instances.retain(|instance| self.is_mine(instance.tags()));
        Ok(instances)
    }

    /// The groups that the journal knows and that can be seen, whosever they are.
    pub(super) async fn known_groups(&self, kind: GroupKind) -> Result<Vec<Group>, ApiError> {
        let known = Vec::from_iter(self.known_ids(kind).iter().cloned());
        match kind {
            GroupKind::SecurityGroup => inventory::security_groups_of(self.account, &known).await,
            GroupKind::PlacementGroup => inventory::placement_groups_of(self.account, &known).await,
        }
    }

    pub(super) fn known_ids(&self, kind: GroupKind) -> &BTreeSet<String> {
        match kind {
            GroupKind::SecurityGroup => &self.known.security_groups,
            GroupKind::PlacementGroup => &self.known.placement_groups,
        }
    }

    /// The files of the copy of the report, if it goes as well.
    async fn report(&self) -> Result<Vec<String>, ApiError> {
        match self.bucket.filter(|_| self.with_report) {
            Some(bucket) => inventory::objects(self.account, bucket, &self.names.report_prefix()).await,
            None => Ok(vec![]),
        }
    }
}
