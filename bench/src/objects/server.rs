//! An S3 server over a folder, in a thread of this process, that waits before each answer.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use hyper::Method;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

/// The key that the server knows, and its secret.
pub const KEY: (&str, &str) = ("key-of-bench", "secret-of-bench");

/// A running server. It ends with the process.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    counts: Arc<Counts>,
}

/// Requests so far.
#[derive(Debug, Default)]
struct Counts {
    all: AtomicU64,
    heads: AtomicU64,
}

impl Server {
    /// Serves the folders of `folder` as buckets. Each answer takes `delay` longer than it would.
    ///
    /// # Errors
    /// The folder is not there, or no port is free.
    pub fn start(folder: &Path, delay: Duration) -> io::Result<Self> {
        let files =
            s3s_fs::FileSystem::new(folder).map_err(|e| io::Error::other(format!("{e:?}")))?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(KEY.0, KEY.1));
        let service = service.build();
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let of_thread = Arc::clone(&counts);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        thread::spawn(move || runtime.block_on(serve(listener, service, delay, of_thread)));
        Ok(Self { address, counts })
    }

    /// Requests so far: all, and those for a head only.
    pub fn requests(&self) -> (u64, u64) {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (of(&self.counts.all), of(&self.counts.heads))
    }
}

async fn serve(
    listener: std::net::TcpListener,
    s3: S3Service,
    delay: Duration,
    counts: Arc<Counts>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let (s3, counts) = (s3.clone(), Arc::clone(&counts));
        let service = service_fn(move |request: hyper::Request<_>| {
            let (s3, counts) = (s3.clone(), Arc::clone(&counts));
            async move {
                counts.all.fetch_add(1, Ordering::Relaxed);
                let is_head = request.method() == Method::HEAD;
                counts
                    .heads
                    .fetch_add(u64::from(is_head), Ordering::Relaxed);
                tokio::time::sleep(delay).await;
                let answer = Service::call(&s3, request).await;
                Ok::<_, Infallible>(answer.unwrap_or_else(|_| {
                    let mut failed = hyper::Response::new(s3s::Body::empty());
                    *failed.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
                    failed
                }))
            }
        });
        // A client may end its connection at any time.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
    }
}
