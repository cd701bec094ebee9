//! The socket: the only asynchronous file. A request is read here, crosses to a blocking thread
//! at the one `spawn_blocking`, and its answer is written here.

use crate::credentials::Keyring;
use crate::front::{Body, Front, INTERNAL, Origin, Route};
use crate::log::{Level, Log};
use crate::metrics::Metrics;
use crate::sigv4::Message;
use aws_json::{Exception, Response, Service};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

const JSON: &str = "application/x-amz-json-1.1";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A client that takes longer for its head or its body is gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is left running this long after `stop` is cut off.
const FAREWELL: Duration = Duration::from_secs(10);
/// How much of a body over the limit is read before it is refused. Answering at once would reset
/// the connection of a client that is still sending, and the refusal would be lost.
const DRAIN: usize = 16;

/// How to serve.
pub struct Config {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whose signatures are accepted; `None` accepts anybody's unseen.
    pub keyring: Option<Keyring>,
    /// Where requests are logged.
    pub log: Log,
    /// The largest request body.
    pub body_limit: usize,
    /// What is served besides AWS's protocol.
    pub routes: Vec<Route>,
    /// A word by which the server's own program says that a request is its own: those are logged at [`Level::Debug`] only, since
    /// waiting for something asks many times.
    pub own: Option<String>,
}

impl Config {
    /// Any credentials, every request logged to stderr, bodies up to 1 MiB.
    pub fn new(listen: SocketAddr) -> Self {
        let log = Log::stderr(Level::Info);
        Self {
            listen,
            keyring: None,
            log,
            body_limit: 1 << 20,
            routes: Vec::new(),
            own: None,
        }
    }
}

/// A server that runs until it is stopped or dropped.
pub struct Server {
    address: SocketAddr,
    running: Option<Running>,
}

struct Running {
    runtime: Runtime,
    stop: oneshot::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Listens and serves on threads of its own. When it returns, connections are accepted.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn start(config: Config, services: Vec<Arc<dyn Service>>) -> io::Result<Self> {
        let Config {
            listen,
            keyring,
            log,
            body_limit,
            routes,
            own,
        } = config;
        let listener = std::net::TcpListener::bind(listen)
            .map_err(|e| io::Error::new(e.kind(), format!("cannot listen on {listen}: {e}")))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let front = Front {
            services,
            keyring,
            log,
            metrics: Metrics::default(),
            body_limit,
            routes,
            own,
        };

        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("http")
            .enable_io()
            .enable_time()
            .build()?;
        let listener = {
            let _in_runtime = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let (stop, stopped) = oneshot::channel();
        let accepting = runtime.spawn(accept(listener, Arc::new(front), stopped));
        Ok(Self {
            address,
            running: Some(Running {
                runtime,
                stop,
                accepting,
            }),
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and the address: an endpoint URL for clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on SIGINT and SIGTERM no longer end the process but [`Signals::wait`]. To be
    /// called before anybody is told that the server is ready.
    ///
    /// # Errors
    /// The operating system does not let us watch signals.
    pub fn signals(&self) -> io::Result<Signals<'_>> {
        let running = self.running.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let _in_runtime = running.runtime.enter();
        Ok(Signals {
            runtime: &running.runtime,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Accepts no more, lets requests under way finish (for ten seconds at most), and returns.
    pub fn stop(self) {
        drop(self);
    }
}

/// What asks a process to end.
pub struct Signals<'a> {
    runtime: &'a Runtime,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals<'_> {
    /// Blocks until one comes. The server runs on: it is the caller who stops it, in due order.
    pub fn wait(mut self) {
        self.runtime.block_on(async {
            tokio::select! {
                _ = self.terminate.recv() => (),
                _ = self.interrupt.recv() => (),
            }
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(Running {
            runtime,
            stop,
            accepting,
        }) = self.running.take()
        else {
            return;
        };
        let _ = stop.send(());
        let _ = runtime.block_on(async { tokio::time::timeout(FAREWELL, accepting).await });
        runtime.shutdown_timeout(Duration::from_secs(1));
    }
}

async fn accept(listener: TcpListener, front: Arc<Front>, mut stopped: oneshot::Receiver<()>) {
    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => break,
        };
        match accepted {
            Ok((stream, peer)) => serve(stream, peer, &connections, front.clone()),
            // Out of file descriptors, most likely: some will be free again soon.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    drop(listener);
    connections.shutdown().await;
}

fn serve(stream: TcpStream, peer: SocketAddr, connections: &GracefulShutdown, front: Arc<Front>) {
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| {
                let front = front.clone();
                async move { Ok::<_, Infallible>(route(request, peer, front).await) }
            }),
        );
    let connection = connections.watch(connection);
    // A connection that ends in an error was broken by its client; there is nobody to tell.
    tokio::spawn(async move { drop(connection.await) });
}

type Answer = hyper::Response<Full<Bytes>>;

async fn route(request: Request<Incoming>, peer: SocketAddr, front: Arc<Front>) -> Answer {
    match (request.method(), request.uri().path()) {
        (&Method::POST, path) if path == "/" || front.route(path).is_some() => {
            call(request, peer, front).await
        }
        (&Method::GET | &Method::HEAD, "/health" | "/_health") => plain(
            StatusCode::OK,
            "application/json",
            "{\"status\":\"ok\"}\n".to_owned(),
        ),
        (&Method::GET | &Method::HEAD, "/metrics") => {
            plain(StatusCode::OK, TEXT, front.metrics.text())
        }
        _ => plain(
            StatusCode::NOT_FOUND,
            JSON,
            "{\"__type\":\"UnknownOperationException\",\"message\":\"There are POST / with \
             X-Amz-Target, GET /health and GET /metrics.\"}\n"
                .to_owned(),
        ),
    }
}

fn plain(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Answer::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(content_type),
    );
    answer
}

async fn call(request: Request<Incoming>, peer: SocketAddr, front: Arc<Front>) -> Answer {
    let id = uuid::Uuid::new_v4().to_string();
    let (parts, body) = request.into_parts();
    let body = match tokio::time::timeout(PATIENCE, collect(body, front.body_limit)).await {
        Ok(Ok(body)) => body,
        // Broken off or too slow: it will hardly read the answer, but it gets one.
        Ok(Err(_)) | Err(_) => {
            let slow = Exception::new("RequestTimeoutException", 408);
            let refusal = Response::refusal(slow.says("The body did not arrive."), "message");
            return respond(refusal, &id);
        }
    };
    let answered = {
        let id = id.clone();
        tokio::task::spawn_blocking(move || answer(&front, &parts, peer, body.as_deref(), &id))
            .await
    };
    // Services' panics are caught further in; this is for the front's own.
    let failed = |_| Response::refusal(INTERNAL.bare().caused_by("panic"), "message");
    respond(answered.unwrap_or_else(failed), &id)
}

fn answer(
    front: &Front,
    parts: &Parts,
    peer: SocketAddr,
    body: Option<&Vec<u8>>,
    id: &str,
) -> Response {
    let headers: Vec<(&str, &str)> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap_or("")))
        .collect();
    let message = Message {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or(""),
        headers: &headers,
        body: &[],
    };
    let body = body.map_or(Body::TooLarge, |body| Body::Whole(body));
    let origin = if peer.ip().is_loopback() {
        Origin::Near
    } else {
        Origin::Far
    };
    front.answer(&message, body, origin, id)
}

/// The whole body, wiped when dropped, or `None` for one over the limit.
async fn collect(mut body: Incoming, limit: usize) -> hyper::Result<Option<Zeroizing<Vec<u8>>>> {
    // Enough from the start: a vector that grows leaves copies behind, unwiped.
    let expected = body
        .size_hint()
        .lower()
        .try_into()
        .unwrap_or(limit)
        .min(limit);
    let mut whole = Zeroizing::new(Vec::with_capacity(expected));
    let mut seen = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        seen = seen.saturating_add(data.len());
        if seen <= limit {
            whole.extend_from_slice(&data);
        } else if seen > limit.saturating_mul(DRAIN) {
            break;
        }
    }
    Ok((seen <= limit).then_some(whole))
}

/// Hands a wiping buffer to hyper without a copy.
struct Wiping(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Wiping {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn respond(response: Response, id: &str) -> Answer {
    let mut answer = Answer::new(Full::new(Bytes::from_owner(Wiping(response.body))));
    *answer.status_mut() =
        StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(JSON));
    headers.insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-store"),
    );
    if let Ok(id) = header::HeaderValue::from_str(id) {
        headers.insert("x-amzn-requestid", id);
    }
    answer
}
