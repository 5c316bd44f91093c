//! Many transfers, a few at a time.

use super::error::ArtifactError;
use std::future::Future;
use tokio::task::JoinSet;

/// Transfers at a time. More do not make one link faster, and each holds a connection.
const AT_ONCE: usize = 8;

/// Does `work` with each item, a few at a time; the results are in the order of the items.
///
/// # Errors
/// The first error; what is still under way is given up.
pub(super) async fn each<T, R, W>(
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> W,
) -> Result<Vec<R>, ArtifactError>
where
    W: Future<Output = Result<R, ArtifactError>> + Send + 'static,
    R: Send + 'static,
{
    let mut items = items.into_iter().enumerate();
    let mut under_way = JoinSet::new();
    let mut results = Vec::new();
    loop {
        while under_way.len() < AT_ONCE
            && let Some((place, item)) = items.next()
        {
            let one = work(item);
            under_way.spawn(async move { (place, one.await) });
        }
        match under_way.join_next().await {
            Some(Ok((place, result))) => results.push((place, result?)),
            Some(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
            None => break,
        }
    }
    results.sort_by_key(|&(place, _)| place);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[tokio::test]
    async fn a_few_at_a_time_in_the_order_of_the_items() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = |item: u64| {
            let (now, most) = (now.clone(), most.clone());
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(5 - item % 5)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(item)
            }
        };
        let results = each(0..50, work).await.unwrap();
        assert_eq!(results, (0..50).collect::<Vec<_>>());
        assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
    }

    #[tokio::test]
    async fn the_first_error_ends_it() {
        let started = Arc::new(AtomicUsize::new(0));
        let work = |item: usize| {
            let started = started.clone();
            async move {
                started.fetch_add(1, Ordering::SeqCst);
                let error = ArtifactError::NotText { key: "x".into(), limit_bytes: 1 };
                if item == 3 { Err(error) } else { Ok(()) }
            }
        };
        each(0..1000, work).await.unwrap_err();
        assert!(started.load(Ordering::SeqCst) < 100);
    }
}
