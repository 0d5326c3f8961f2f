//! Clients of object stores and web servers: credentials from the environment, requests that go
//! nowhere but to the bucket's own host.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use reqwest::redirect;

use crate::config::ObjectConfig;
use crate::storage::{AllowedAddresses, Bucket, Scheme};

/// Longest wait for a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Idle connections are closed after this time.
const IDLE_TIME_MAX: Duration = Duration::from_secs(60);
/// Waits before a request is repeated: from the first to the longest, with jitter.
const RETRY_WAIT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A client for a bucket. The error is a clause that names the problem.
pub(super) fn open(bucket: &Bucket, config: &ObjectConfig) -> Result<Arc<dyn ObjectStore>, String> {
    let connector = Connector {
        reads_max: config.object_reads_max,
    };
    let options = ClientOptions::new().with_allow_http(true);
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: RETRY_WAIT.0,
            max_backoff: RETRY_WAIT.1,
            base: 2.0,
        },
        max_retries: config.object_retries_max,
        retry_timeout: Duration::from_secs(config.object_read_seconds_max),
    };
    let cannot = |error: object_store::Error| format!("cannot be opened: {error}");
    Ok(match bucket.scheme {
        Scheme::S3 => Arc::new(
            AmazonS3Builder::from_env()
                .with_bucket_name(&bucket.name)
                .with_http_connector(connector)
                .with_retry(retry)
                .build()
                .map_err(cannot)?,
        ),
        Scheme::Gs => Arc::new(
            GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(&bucket.name)
                .with_http_connector(connector)
                .with_retry(retry)
                .build()
                .map_err(cannot)?,
        ),
        Scheme::Az => Arc::new(
            MicrosoftAzureBuilder::from_env()
                .with_url(format!("abfss://{}", bucket.name))
                .with_http_connector(connector)
                .with_retry(retry)
                .build()
                .map_err(cannot)?,
        ),
        Scheme::Http | Scheme::Https => Arc::new(
            HttpBuilder::new()
                .with_url(bucket.to_string())
                .with_client_options(options)
                .with_http_connector(connector)
                .with_retry(retry)
                .build()
                .map_err(cannot)?,
        ),
    })
}

/// Makes HTTP clients that follow no redirect and resolve names to allowed addresses only.
#[derive(Debug)]
struct Connector {
    reads_max: usize,
}

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        // The only provider that is compiled in; another thread may have installed it.
        let provider = tokio_rustls::rustls::crypto::ring::default_provider();
        let _ = provider.install_default();
        let client = reqwest::Client::builder()
            .user_agent(concat!("predictsql/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .dns_resolver(Arc::new(AllowedAddresses))
            .connect_timeout(CONNECT_TIME_MAX)
            .pool_idle_timeout(IDLE_TIME_MAX)
            .pool_max_idle_per_host(self.reads_max)
            .tcp_nodelay(true)
            .build();
        let client = client.map_err(|error| object_store::Error::Generic {
            store: "HTTP",
            source: error.into(),
        })?;
        Ok(HttpClient::new(Unredirected(client)))
    }
}

/// A client whose redirects are errors of their own.
#[derive(Debug)]
struct Unredirected(reqwest::Client);

/// A server redirects a request.
#[derive(Debug, thiserror::Error)]
#[error("the server redirects to another location, which is not followed")]
pub(super) struct Redirected;

#[async_trait]
impl HttpService for Unredirected {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let response = self.0.call(request).await?;
        let status = response.status();
        if status.is_redirection() && status != reqwest::StatusCode::NOT_MODIFIED {
            return Err(HttpError::new(HttpErrorKind::Decode, Redirected));
        }
        Ok(response)
    }
}
