//! A web server, and an S3 server, over a folder, which can be told to fail.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// The key that the S3 server knows, and its secret.
pub(super) const KEY: (&str, &str) = ("key-of-tests", "secret-of-tests");

/// What the body of an error says, which is nothing for clients of the proxy.
pub(super) const SAID: &str = "inside-of-the-server";

/// What happens to a request for a path instead of its answer.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// This status.
    Status(u16),
    /// A redirect to this location.
    Redirect(String),
    /// The connection ends after half of the body.
    Cut,
    /// No answer.
    Stall,
    /// A body, and this length in its header.
    Length(u64),
}

/// A running server. It ends with the process.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// By path: what happens to the next so many requests.
    faults: Mutex<HashMap<String, (Fault, usize)>>,
    /// Methods and paths of all requests.
    requests: Mutex<Vec<(String, String)>>,
}

#[derive(Clone)]
enum Content {
    Folder(PathBuf),
    S3(S3Service),
}

impl Server {
    /// Serves the files of a folder.
    pub(super) fn web(folder: &Path) -> Self {
        Self::start(Content::Folder(folder.to_owned()))
    }

    /// Serves the folders of a folder as buckets.
    pub(super) fn s3(folder: &Path) -> Self {
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder).unwrap());
        service.set_auth(SimpleAuth::from_single(KEY.0, KEY.1));
        Self::start(Content::S3(service.build()))
    }

    fn start(content: Content) -> Self {
        let shared = Arc::new(Shared::default());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, content, of_thread));
        });
        Self { address, shared }
    }

    /// From now on this happens to the next `times` requests for a path.
    pub(super) fn fail(&self, path: &str, fault: Fault, times: usize) {
        let mut faults = self.shared.faults.lock().unwrap();
        faults.insert(path.to_owned(), (fault, times));
    }

    /// Methods of the requests for a path so far.
    pub(super) fn requests(&self, path: &str) -> Vec<String> {
        let requests = self.shared.requests.lock().unwrap();
        let of_path = requests.iter().filter(|(_, asked)| asked == path);
        of_path.map(|(method, _)| method.clone()).collect()
    }
}

impl Shared {
    fn fault(&self, path: &str) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let (fault, times) = faults.get_mut(path)?;
        *times = times.checked_sub(1)?;
        Some(fault.clone())
    }
}

async fn serve(listener: std::net::TcpListener, content: Content, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let (content, shared) = (content.clone(), Arc::clone(&shared));
        let service = service_fn(move |request| {
            let (content, shared) = (content.clone(), Arc::clone(&shared));
            async move { Ok::<_, Infallible>(answer(request, content, &shared).await) }
        });
        // A connection that ends early is part of the tests.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
    }
}

async fn answer(request: Request<Incoming>, content: Content, shared: &Shared) -> Response<Body> {
    let (method, path) = (
        request.method().to_string(),
        request.uri().path().to_owned(),
    );
    shared.requests.lock().unwrap().push((method, path.clone()));
    let fault = shared.fault(&path);
    match &fault {
        Some(Fault::Status(status)) => {
            let said = Full::new(Bytes::from(SAID)).map_err(|never| match never {});
            let answer = Response::builder().status(*status);
            return answer.body(said.boxed_unsync()).unwrap();
        }
        Some(Fault::Redirect(to)) => {
            let mut answer = with_status(302);
            answer
                .headers_mut()
                .insert(header::LOCATION, to.parse().unwrap());
            return answer;
        }
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::Cut | Fault::Length(_)) | None => {}
    }
    let whole = match content {
        Content::Folder(folder) => file(&folder.join(decoded(path.trim_start_matches('/')))),
        Content::S3(service) => Service::call(&service, request).await.unwrap().map(|body| {
            let body: Body = body.map_err(Into::into).boxed_unsync();
            body
        }),
    };
    match fault {
        Some(Fault::Cut) => cut(whole).await,
        Some(Fault::Length(bytes)) => {
            let (mut head, body) = whole.into_parts();
            head.headers.insert(header::CONTENT_LENGTH, bytes.into());
            let body = body.collect().await.unwrap().to_bytes();
            // A stream: what it holds is not compared with the header.
            let frames = stream::iter([Ok(Frame::data(body))]).chain(stream::pending());
            Response::from_parts(head, StreamBody::new(frames).boxed_unsync())
        }
        _ => whole,
    }
}

/// The path of a URL without its percent-encoding.
fn decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}

fn file(path: &Path) -> Response<Body> {
    let Ok(content) = std::fs::read(path) else {
        return with_status(404);
    };
    let modified = std::fs::metadata(path).unwrap().modified().unwrap();
    let tag = format!("\"{modified:?}\"").replace(' ', "");
    Response::builder()
        .header(header::ETAG, format!("\"{}\"", tag.replace('"', "")))
        .header(header::LAST_MODIFIED, "Wed, 21 Oct 2015 07:28:00 GMT")
        .header(header::CONTENT_LENGTH, content.len())
        .body(
            Full::new(Bytes::from(content))
                .map_err(|never| match never {})
                .boxed_unsync(),
        )
        .unwrap()
}

fn with_status(status: u16) -> Response<Body> {
    let empty = Empty::new().map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(status).body(empty).unwrap()
}

/// Half of a body, and then an error.
async fn cut(whole: Response<Body>) -> Response<Body> {
    let (head, body) = whole.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let frames = [
        Ok(Frame::data(body.slice(..body.len() / 2))),
        Err("cut".into()),
    ];
    Response::from_parts(head, StreamBody::new(stream::iter(frames)).boxed_unsync())
}
