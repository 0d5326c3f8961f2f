//! Plain SQL before a server that is not MariaDB: a small one made of opensrv-mysql. What a client
//! gets through the proxy is what the server says.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use opensrv_mysql::{
    AsyncMysqlIntermediary, AsyncMysqlShim, Column, ColumnFlags, ColumnType, ErrorKind, InitWriter,
    OkResponse, ParamParser, QueryResultWriter, StatementMetaWriter,
};
use predictsql_tests::{Proxy, Settings, Wire};
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;

/// Answers `SELECT ...` with its text and length, `fail` with an error, and all else with OK.
struct Echo;

#[async_trait]
impl<W: AsyncWrite + Send + Unpin> AsyncMysqlShim<W> for Echo {
    type Error = io::Error;

    fn version(&self) -> String {
        "8.0.99-other".to_owned()
    }

    async fn on_prepare<'a>(
        &'a mut self,
        _query: &'a str,
        info: StatementMetaWriter<'a, W>,
    ) -> io::Result<()> {
        info.error(ErrorKind::ER_NOT_SUPPORTED_YET, b"no statements")
            .await
    }

    async fn on_execute<'a>(
        &'a mut self,
        _id: u32,
        _parameters: ParamParser<'a>,
        results: QueryResultWriter<'a, W>,
    ) -> io::Result<()> {
        results
            .error(ErrorKind::ER_NOT_SUPPORTED_YET, b"no statements")
            .await
    }

    async fn on_close<'a>(&'a mut self, _statement: u32)
    where
        W: 'async_trait,
    {
    }

    async fn on_query<'a>(
        &'a mut self,
        query: &'a str,
        results: QueryResultWriter<'a, W>,
    ) -> io::Result<()> {
        if query == "fail" {
            return results
                .error(ErrorKind::ER_NO_SUCH_TABLE, b"as asked")
                .await;
        }
        if !query.starts_with("SELECT") {
            return results.completed(OkResponse::default()).await;
        }
        let column = |name: &str, coltype| Column {
            table: "echo".to_owned(),
            column: name.to_owned(),
            coltype,
            colflags: ColumnFlags::empty(),
        };
        let columns = [
            column("text", ColumnType::MYSQL_TYPE_VAR_STRING),
            column("bytes", ColumnType::MYSQL_TYPE_LONGLONG),
        ];
        let mut rows = results.start(&columns).await?;
        rows.write_col(query)?;
        rows.write_col(query.len() as u64)?;
        rows.end_row().await?;
        rows.write_col(None::<&str>)?;
        rows.write_col(0_u64)?;
        rows.end_row().await?;
        rows.finish().await
    }

    async fn on_init<'a>(
        &'a mut self,
        _name: &'a str,
        writer: InitWriter<'a, W>,
    ) -> io::Result<()> {
        writer.ok().await
    }
}

/// Starts the server on a thread of its own, which ends with the process.
fn start() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((client, _)) = listener.accept().await {
                let (reader, writer) = client.into_split();
                tokio::spawn(AsyncMysqlIntermediary::run_on(Echo, reader, writer));
            }
        });
    });
    address
}

#[test]
fn what_another_server_says_reaches_the_client() {
    let server = start();
    let settings = Settings {
        service_account: false,
        ..Settings::default()
    };
    let proxy = Proxy::serving(&format!("mysql://{server}"), &settings).unwrap();
    let mut sessions =
        [server, proxy.address()].map(|address| Wire::login(address, "root", "", None).unwrap());
    let texts = [
        "SELECT 1".to_owned(),
        "SET x = 1".to_owned(),
        "SELECT ml.thing(a) FROM t".to_owned() + &" ".repeat(70_000),
        format!("SELECT '{}'", "long ".repeat(500_000)),
        "fail".to_owned(),
    ];
    for text in &texts[..2] {
        let [direct, proxied] = &mut sessions;
        assert_eq!(
            format!("{:?}", proxied.query(text).unwrap()),
            format!("{:?}", direct.query(text).unwrap()),
            "{text}"
        );
    }
    let [direct, proxied] = &mut sessions;
    assert_eq!(proxied.rows(&texts[3]), direct.rows(&texts[3]));
    assert_eq!(proxied.error("fail"), direct.error("fail"));
    // What predicts is refused by name where there is no service account, and the session goes on.
    let refused = proxied.error(&texts[2]);
    assert!(refused.message.contains("service account"), "{refused:?}");
    assert_eq!(proxied.rows("SELECT 2"), direct.rows("SELECT 2"));
}
