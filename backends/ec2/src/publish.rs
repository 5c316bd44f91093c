//! What is kept of a run in the bucket for whoever has a link: a status page while it lasts, and a copy of its report.
//!
//! Nothing of this fails a run, and nothing of it disturbs one. Pages go from the orchestrator to the bucket, on
//! connections of their own: no measuring host takes part, and no control connection carries a byte of it. Where the
//! orchestrator shares a wire or a processor with the hosts, that would not be enough, so from the moment the clients
//! are told to start until the first one ends no upload begins, and one that is under way is given up.

use crate::api::{Account, ApiError, Deadline, DeadlinePassed};
pub use crate::artifacts::Link;
use crate::artifacts::{self, ArtifactError, LINK_LIFE_MAX, Put, Signer};
use crate::names::RunNames;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Name of the copy of the report.
pub const REPORT: &str = "index.html";

/// Name of the status page.
pub const STATUS: &str = "status.html";

/// For the upload of a page, beyond what its length takes.
const UPLOAD_LIMIT: Duration = Duration::from_secs(10);

/// Nobody waits for a page, so a service that says no is not asked often.
const ATTEMPTS_MAX: u32 = 3;

/// Between two status pages, at least.
const APART: Duration = Duration::from_secs(3);

/// Where the pages of a run lie.
#[derive(Clone, Debug)]
pub struct Shelf {
    account: Account,
    bucket: String,
    prefix: String,
}

/// A file that a browser can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its name on the shelf.
    pub name: &'static str,
    /// What it is, as HTTP has it.
    pub content_type: &'static str,
    /// What is in it.
    pub content: Vec<u8>,
}

/// A page is not where it should be.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The service refused, or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// It took too long.
    #[error("PutObject of {resource}: {source}")]
    Deadline {
        /// What was uploaded.
        resource: String,
        /// Which deadline.
        source: DeadlinePassed,
    },
    /// A link cannot be signed.
    #[error(transparent)]
    Link(#[from] ArtifactError),
}

impl Page {
    /// A page of HTML.
    pub fn html(name: &'static str, content: impl Into<Vec<u8>>) -> Self {
        Self { name, content_type: "text/html; charset=utf-8", content: content.into() }
    }

    /// A file of JSON.
    pub fn json(name: &'static str, content: impl Into<Vec<u8>>) -> Self {
        Self { name, content_type: "application/json", content: content.into() }
    }
}

impl Shelf {
    /// The one of a run, in `bucket`.
    pub fn new(account: &Account, bucket: &str, names: &RunNames) -> Self {
        Self { account: account.clone(), bucket: bucket.to_owned(), prefix: names.report_prefix() }
    }

    /// Puts a page there; who reads it sees the old one or the new one.
    ///
    /// # Errors
    /// If the service refuses, or it takes too long.
    pub async fn put(&self, page: &Page) -> Result<(), PublishError> {
        let key = self.key(page.name);
        let put = Put {
            content_type: Some(page.content_type),
            is_changing: true,
            limit: UPLOAD_LIMIT,
            attempts_max: Some(ATTEMPTS_MAX),
            ..Put::of_bytes(&key, page.content.clone())
        };
        // Nobody waits for a second attempt that is as slow as the first.
        let limit = put.attempt_limit();
        match tokio::time::timeout(limit, artifacts::put(&self.account, &self.bucket, put)).await {
            Ok(put) => Ok(put?),
            Err(_) => Err(PublishError::Deadline {
                resource: format!("s3://{}/{key}", self.bucket),
                source: Deadline { name: "page uploaded", limit }.passed(),
            }),
        }
    }

    /// A link to a page, for as long as the service allows; the page need not be there yet.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub async fn link(&self, name: &str) -> Result<Link, PublishError> {
        let signer = Signer::new(&self.account).await;
        Ok(signer.link(&self.bucket, &self.key(name), LINK_LIFE_MAX).await?)
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }
}

/// The status page of a run that goes on. Uploads happen in the background: the newest content wins, and none comes
/// sooner than three seconds after the one before.
#[derive(Debug)]
pub struct StatusPage {
    wanted: watch::Sender<Wanted>,
}

#[derive(Debug, Default)]
struct Wanted {
    /// Counts the contents; there is none at first.
    version: u64,
    html: String,
    is_quiet: bool,
    is_over: bool,
}

impl StatusPage {
    /// A page on `shelf` that appears with its first content.
    pub fn begin(runtime: &Handle, shelf: Shelf) -> Self {
        let (wanted, receiver) = watch::channel(Wanted::default());
        runtime.spawn(keep_up(shelf, receiver));
        Self { wanted }
    }

    /// From now on this is what it should show.
    pub fn show(&self, html: String) {
        self.wanted.send_modify(|wanted| {
            wanted.version += 1;
            wanted.html = html;
        });
    }

    /// Whether nothing may be uploaded.
    pub fn set_quiet(&self, is_quiet: bool) {
        self.wanted.send_modify(|wanted| wanted.is_quiet = is_quiet);
    }

    /// Whether it was to show something already.
    pub fn has_content(&self) -> bool {
        self.wanted.borrow().version > 0
    }

    /// Stops the uploads; none is under way afterwards, so that none can come after the last page.
    pub async fn end(&self) {
        self.wanted.send_modify(|wanted| wanted.is_over = true);
        self.wanted.closed().await;
    }
}

/// Uploads what is wanted until it is over. Trouble is told once.
async fn keep_up(shelf: Shelf, mut wanted: watch::Receiver<Wanted>) {
    let (mut shown, mut is_told) = (0, false);
    loop {
        let is_due = |wanted: &Wanted| wanted.is_over || !wanted.is_quiet && wanted.version != shown;
        if !wait_for(&mut wanted, is_due).await {
            return;
        }
        let (version, page) = {
            let wanted = wanted.borrow();
            if wanted.is_over {
                return;
            }
            (wanted.version, Page::html(STATUS, wanted.html.clone()))
        };
        let put = tokio::select! {
            biased;
            true = wait_for(&mut wanted, |wanted| wanted.is_quiet) => continue,
            put = shelf.put(&page) => put,
        };
        shown = version;
        match put {
            Ok(()) => {}
            Err(error) if is_told => tracing::debug!("{error}"),
            Err(error) => {
                is_told = true;
                tracing::warn!("the status page cannot be kept up to date: {error}");
            }
        }
        tokio::select! {
            _ = wait_for(&mut wanted, |wanted| wanted.is_over) => {}
            () = tokio::time::sleep(APART) => {}
        }
    }
}

/// Waits until `what` holds; false if the sender was dropped.
async fn wait_for(wanted: &mut watch::Receiver<Wanted>, what: impl FnMut(&Wanted) -> bool) -> bool {
    wanted.wait_for(what).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::fake_service::{FakeService, Reply};
    use std::time::SystemTime;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use tokio::time::timeout;

    fn shelf(service: &FakeService) -> Shelf {
        let names = RunNames::new("r1".parse().unwrap());
        Shelf::new(&service.account(), "the-bucket", &names)
    }

    #[tokio::test]
    async fn a_page_goes_where_the_link_leads() {
        let service = FakeService::start(|_| Reply::xml(200, ""));
        let shelf = shelf(&service);
        shelf.put(&Page::html(REPORT, "<p>")).await.unwrap();
        let requests = service.requests();
        assert_eq!(requests.len(), 1);
        assert!(
            requests[0].target.starts_with("/the-bucket/reports/r1/index.html"),
            "{}",
            requests[0].target
        );
        assert_eq!(requests[0].header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(requests[0].header("cache-control"), Some("no-cache"));
        let link = shelf.link(REPORT).await.unwrap();
        assert!(link.url.contains("/the-bucket/reports/r1/index.html?"), "{}", link.url);
        assert!(link.url.contains("X-Amz-Expires=604800"), "{}", link.url);
        let left = link.until.duration_since(SystemTime::now()).unwrap();
        assert!(left <= LINK_LIFE_MAX && left > LINK_LIFE_MAX - Duration::from_secs(60), "{left:?}");
        assert!(!link.may_end_earlier, "these credentials do not expire");
    }

    #[tokio::test]
    async fn a_link_does_not_promise_to_outlive_its_credentials() {
        let service = FakeService::start(|_| Reply::xml(200, ""));
        let mut shelf = shelf(&service);
        for (expiry_s, token, max_s, may_end_earlier) in [
            (Some(600), Some("t"), 600, false),
            (None, Some("t"), 604_800, true),
            (Some(9_999_999), None, 604_800, false),
        ] {
            let expiry = expiry_s.map(|seconds| SystemTime::now() + Duration::from_secs(seconds));
            let token = token.map(str::to_owned);
            let credentials = aws_sdk_s3::config::Credentials::new("key", "secret", token, expiry, "test");
            let provider = aws_sdk_s3::config::SharedCredentialsProvider::new(credentials);
            shelf.account.credentials = Some(provider);
            let link = shelf.link(STATUS).await.unwrap();
            let left = link.until.duration_since(SystemTime::now()).unwrap();
            let max = Duration::from_secs(max_s);
            assert!(left <= max && left > max - Duration::from_secs(30), "{left:?} of {max:?}");
            assert_eq!(link.may_end_earlier, may_end_earlier);
        }
    }

    #[tokio::test]
    async fn a_refusal_names_the_page() {
        let service = FakeService::start(|_| {
            Reply::xml(403, "<Error><Code>AccessDenied</Code><Message>not today</Message></Error>")
        });
        let error = shelf(&service).put(&Page::json("summary.json", "{}")).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("PutObject of s3://the-bucket/reports/r1/summary.json"), "{text}");
        assert!(text.contains("not today"), "{text}");
    }

    /// For what comes at once.
    const SOON: Duration = Duration::from_secs(10);

    /// A service that tells of each request.
    fn telling() -> (FakeService, UnboundedReceiver<()>) {
        let (tells, told) = unbounded_channel();
        let service = FakeService::start(move |_| {
            let _ = tells.send(());
            Reply::xml(200, "")
        });
        (service, told)
    }

    /// Lets the task that keeps the page up to date do what it can do now: these tests have one thread.
    async fn let_it_work() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn nothing_is_uploaded_while_it_is_to_be_quiet_and_nothing_after_the_end() {
        let (service, mut told) = telling();
        let page = StatusPage::begin(&Handle::current(), shelf(&service));
        assert!(!page.has_content());
        page.set_quiet(true);
        page.show("first".to_owned());
        // An upload that should not be would begin now, and with this content.
        let_it_work().await;
        page.show("second".to_owned());
        page.set_quiet(false);
        timeout(SOON, told.recv()).await.expect("an upload once it may be").unwrap();
        page.show("too soon after the other".to_owned());
        timeout(SOON, page.end()).await.expect("an end");
        let requests = service.requests();
        assert_eq!(requests.len(), 1, "the newest one only");
        assert!(String::from_utf8_lossy(&requests[0].body).contains("second"));
    }

    #[tokio::test]
    async fn an_upload_under_way_is_given_up_when_it_is_to_be_quiet_and_made_up_for() {
        let (asks, mut asked) = unbounded_channel();
        let (lets_answer, may_answer) = std::sync::mpsc::channel::<()>();
        let service = FakeService::start(move |_| {
            asks.send(()).unwrap();
            // The test has an end, even if it fails.
            let _ = may_answer.recv_timeout(SOON);
            Reply::xml(200, "")
        });
        let page = StatusPage::begin(&Handle::current(), shelf(&service));
        page.show("the page".to_owned());
        timeout(SOON, asked.recv()).await.expect("an upload").unwrap();
        page.set_quiet(true);
        // It is given up now, so that the answer counts for nothing.
        let_it_work().await;
        lets_answer.send(()).unwrap();
        page.set_quiet(false);
        let again = timeout(APART, asked.recv()).await;
        assert_eq!(again.expect("the same page once more, and at once"), Some(()));
        lets_answer.send(()).unwrap();
        timeout(SOON, page.end()).await.expect("an end");
    }
}
