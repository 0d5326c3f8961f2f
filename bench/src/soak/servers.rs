//! The processes: a private store on a Unix socket, and proxies in front of it.
//! Each can be killed and started again.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mysql_async::{Conn, OptsBuilder};

use super::args::SoakArgs;
use super::error::SoakError;
use crate::relay::client::USER;
use crate::relay::programs;
use crate::relay::server::last_lines;

/// Longest wait for a server that starts, also after a crash.
const START_TIME_MAX: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(20);
/// The image root, below the folder of all servers.
pub const IMAGES: &str = "images";
const SERVICE_USER: &str = "predictsql";
const SERVICE_PASSWORD: &str = "soak";
/// What the log says where clients may come.
const READY: &str = "ready: listening on ";

/// The store. Dropping it kills it.
pub struct Store {
    program: PathBuf,
    folder: PathBuf,
    child: Child,
}

impl Store {
    /// Makes a data directory below `folder` and serves it.
    ///
    /// # Errors
    /// Programs are missing, or the store does not start.
    pub async fn start(folder: &Path) -> Result<Self, SoakError> {
        let find = |program: &str| {
            programs::find(program).ok_or_else(|| {
                SoakError::Flag(format!(
                    "{program} is missing (Debian, Ubuntu: apt-get install mariadb-server-core)"
                ))
            })
        };
        let program = find("mariadbd")?;
        programs::run(
            Command::new(find("mariadb-install-db")?)
                .arg("--no-defaults")
                .arg(flag("datadir", &folder.join("data")))
                .args(["--skip-test-db", "--skip-name-resolve"])
                .arg("--auth-root-authentication-method=normal")
                .args(as_root()),
        )?;
        let accounts = format!(
            "CREATE USER IF NOT EXISTS {USER}@localhost;\nGRANT ALL ON *.* TO {USER}@localhost;\n"
        );
        fs::write(folder.join("init.sql"), accounts)?;
        let mut store = Self {
            child: spawn(&program, folder)?,
            program,
            folder: folder.to_owned(),
        };
        store.ready().await?;
        Ok(store)
    }

    /// Kills it as a crash does.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn kill(&mut self) -> Result<(), SoakError> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again after [`kill`](Self::kill).
    ///
    /// # Errors
    /// It does not come back.
    pub async fn restart(&mut self) -> Result<(), SoakError> {
        self.child = spawn(&self.program, &self.folder)?;
        self.ready().await
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("s")
    }

    /// A session that does not go through a proxy.
    ///
    /// # Errors
    /// It is not there.
    pub async fn root(&self) -> Result<Conn, SoakError> {
        (direct(&self.socket()).await).map_err(SoakError::sql("connecting to the store"))
    }

    async fn ready(&mut self) -> Result<(), SoakError> {
        let began = Instant::now();
        loop {
            if let Ok(conn) = direct(&self.socket()).await {
                let _ = conn.disconnect().await;
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failed(format!("ended with {status}")));
            }
            if began.elapsed() > START_TIME_MAX {
                return Err(self.failed("is not ready".to_owned()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn failed(&self, reason: String) -> SoakError {
        failed("mariadbd", reason, &self.folder.join("store.log"))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A session of `root` at the store itself.
///
/// # Errors
/// The store is not there.
pub async fn direct(socket: &Path) -> Result<Conn, mysql_async::Error> {
    let socket = socket.to_string_lossy().into_owned();
    let options = OptsBuilder::default()
        .socket(Some(socket))
        .user(Some("root"));
    Conn::new(options).await
}

fn spawn(program: &Path, folder: &Path) -> Result<Child, SoakError> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.join("store.log"))?;
    let child = Command::new(program)
        .arg("--no-defaults")
        .arg(flag("datadir", &folder.join("data")))
        .arg(flag("socket", &folder.join("s")))
        .arg(flag("pid-file", &folder.join("pid")))
        .arg(flag("init-file", &folder.join("init.sql")))
        .args(["--skip-networking", "--skip-log-bin"])
        .args(["--performance-schema=off", "--max-connections=300"])
        .args([
            "--innodb-buffer-pool-size=128M",
            "--innodb-log-file-size=64M",
        ])
        // What is acknowledged outlives the process: the machine goes on.
        .arg("--innodb-flush-log-at-trx-commit=2")
        .args([
            "--character-set-server=utf8mb4",
            "--innodb-lock-wait-timeout=5",
        ])
        .args(as_root())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    Ok(child)
}

/// Where the clients of a proxy find it: nowhere while it is down.
pub type Door = Arc<Mutex<Option<SocketAddr>>>;

/// A proxy. Dropping it kills it.
pub struct Proxy {
    args: SoakArgs,
    program: PathBuf,
    socket: PathBuf,
    folder: PathBuf,
    name: &'static str,
    starts: usize,
    child: Child,
    door: Door,
}

impl Proxy {
    /// Sets the catalog up with `predictsql init`.
    ///
    /// # Errors
    /// It fails.
    pub fn init(args: &SoakArgs, store: &Store) -> Result<(), SoakError> {
        let mut command = Command::new(args.program()?);
        command
            .args(["init", "--store"])
            .arg(format!("unix:{}", store.socket().display()))
            .args(["--service-user", SERVICE_USER])
            .env("PREDICTSQL_SERVICE_PASSWORD", SERVICE_PASSWORD);
        programs::run(&mut command)?;
        Ok(())
    }

    /// Starts it; its log goes to `folder`.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(
        args: &SoakArgs,
        store: &Store,
        folder: &Path,
        name: &'static str,
    ) -> Result<Self, SoakError> {
        let (program, socket) = (args.program()?, store.socket());
        let child = serve(args, &program, &socket, folder, &log_of(folder, name, 0))?;
        let mut proxy = Self {
            args: args.clone(),
            program,
            socket,
            folder: folder.to_owned(),
            name,
            starts: 0,
            child,
            door: Door::default(),
        };
        proxy.ready().await?;
        Ok(proxy)
    }

    /// Where it is to be found.
    pub fn door(&self) -> Door {
        Arc::clone(&self.door)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it as a crash does.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn kill(&mut self) -> Result<(), SoakError> {
        *self.door.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again after [`kill`](Self::kill), in another place.
    ///
    /// # Errors
    /// It does not start.
    pub async fn restart(&mut self) -> Result<(), SoakError> {
        self.starts += 1;
        let log = log_of(&self.folder, self.name, self.starts);
        self.child = serve(&self.args, &self.program, &self.socket, &self.folder, &log)?;
        self.ready().await
    }

    /// It still runs, and has done so all the time.
    ///
    /// # Errors
    /// It has ended.
    pub fn check_alive(&mut self) -> Result<(), SoakError> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.failed(format!("ended with {status}"))),
        }
    }

    async fn ready(&mut self) -> Result<(), SoakError> {
        let began = Instant::now();
        let log = log_of(&self.folder, self.name, self.starts);
        loop {
            if let Some(address) = address_in(&fs::read_to_string(&log)?) {
                *self.door.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
                return Ok(());
            }
            self.check_alive()?;
            if began.elapsed() > START_TIME_MAX {
                return Err(self.failed("is not ready".to_owned()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn failed(&self, reason: String) -> SoakError {
        let log = log_of(&self.folder, self.name, self.starts);
        failed(self.name, reason, &log)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(
    args: &SoakArgs,
    program: &Path,
    socket: &Path,
    folder: &Path,
    log: &Path,
) -> Result<Child, SoakError> {
    let output = File::create(log)?;
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("PREDICTSQL_") && name_text != "PREDICTSQL_LOG" {
            command.env_remove(name);
        }
    }
    let child = command
        .args(["serve", "--store"])
        .arg(format!("unix:{}", socket.display()))
        .args(["--listen=127.0.0.1:0", "--http=127.0.0.1:0"])
        .args(["--service-user", SERVICE_USER])
        .arg("--image-root")
        .arg(folder.join(IMAGES))
        .arg("--model-root")
        .arg(fs::canonicalize(args.zoo.join("models"))?)
        .env("PREDICTSQL_SERVICE_PASSWORD", SERVICE_PASSWORD)
        .env("PREDICTSQL_ORT_LIB", fs::canonicalize(&args.ort_library)?)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()?;
    Ok(child)
}

fn log_of(folder: &Path, name: &str, start: usize) -> PathBuf {
    folder.join(format!("{name}-{start}.log"))
}

fn address_in(log: &str) -> Option<SocketAddr> {
    let mut whole = log
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    let (_, address) = whole.find_map(|line| line.split_once(READY))?;
    let end = address.find([',', ' ', '\n'])?;
    address.get(..end)?.parse().ok()
}

fn failed(name: &'static str, reason: String, log: &Path) -> SoakError {
    let log = last_lines(&fs::read_to_string(log).unwrap_or_default());
    SoakError::Server { name, reason, log }
}

fn flag(name: &str, path: &Path) -> OsString {
    let mut flag = OsString::from(format!("--{name}="));
    flag.push(path);
    flag
}

fn as_root() -> Option<&'static str> {
    let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    root.then_some("--user=root")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_a_whole_line_tells_where_a_proxy_listens() {
        let said = "INFO http: listening on 127.0.0.1:1\nready: listening on 127.0.0.1:33";
        assert_eq!(address_in(said), None);
        let whole = format!("{said}07, store unix:/s\n");
        assert_eq!(address_in(&whole).unwrap().port(), 3307);
    }
}
