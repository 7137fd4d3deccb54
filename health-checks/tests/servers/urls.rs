//! Tests forms of URLs at real servers: several hosts, Unix sockets, passwords beside the URL.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::task::JoinHandle;

use crate::harness::{Server, alone, password, port, variable};
use crate::scenario::{health, says};

fn up(server: &'static str) {
    tokio::task::block_in_place(|| Server(server).up());
}

async fn database(url: &str) -> String {
    says(&health(&format!("kind = \"database\"\nurl = \"{url}\"\n"))).await
}

/// Returns the address in a URL, which is between the login and the path.
fn place(url: &str) -> String {
    format!("127.0.0.1:{}", port(url))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_hosts_the_first_that_is_right_is_taken() {
    let _alone = alone().await;
    // This server accepts connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("127.0.0.1:{}", silent.local_addr().unwrap().port());
    for (server, name) in [("postgres", "POSTGRES_URL"), ("mariadb", "MYSQL_URL")] {
        up(server);
        let url = variable(name);
        let with = |hosts: &str| url.replacen(&place(&url), hosts, 1);
        assert_eq!(
            database(&with(&format!("127.0.0.1:1,{}", place(&url)))).await,
            "working",
            "{server}"
        );
        let began = Instant::now();
        assert_eq!(
            database(&with(&format!("{silent},{}", place(&url)))).await,
            "working",
            "{server}"
        );
        assert!(
            began.elapsed() >= Duration::from_secs(1),
            "{server}: the first has a head start"
        );
        let nobody = database(&with("127.0.0.1:1,127.0.0.1:2")).await;
        assert_eq!(nobody, "unavailable: connection refused", "{server}");
    }
    let url = variable("POSTGRES_URL");
    let hosts = url.replacen(&place(&url), &format!("127.0.0.1:1,{}", place(&url)), 1);
    for (role, said) in [
        ("any", "working"),
        ("read-write", "working"),
        ("primary", "working"),
        ("prefer-standby", "working"),
        (
            "standby",
            "unavailable: no server of the URL is what target_session_attrs asks for",
        ),
        (
            "read-only",
            "unavailable: no server of the URL is what target_session_attrs asks for",
        ),
    ] {
        assert_eq!(
            database(&format!("{hosts}?target_session_attrs={role}")).await,
            said,
            "{role}"
        );
    }
    let read_only = format!(
        "{hosts}?target_session_attrs=read-only&options=-cdefault_transaction_read_only%3Don"
    );
    assert_eq!(database(&read_only).await, "working");
}

/// Listens at a Unix socket, and forwards to a port of this machine.
fn socket(path: &Path, port: u16) -> JoinHandle<()> {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_is_an_address() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display();
    let encoded = dir.to_string().replace('/', "%2F");
    for (kind, server, name, file, urls) in [
        (
            "redis",
            "redis",
            "REDIS_URL",
            "redis",
            vec![
                "redis+unix://{dir}/redis?db=1",
                "unix://{dir}/redis",
                "redis+socket://{dir}/redis?virtual_host=1",
            ],
        ),
        (
            "cache",
            "redis",
            "REDIS_URL",
            "redis2",
            vec!["unix://:{password}@{dir}/redis2"],
        ),
        (
            "cache",
            "memcached",
            "MEMCACHED_URL",
            "memcached",
            vec!["memcached://{dir}/memcached"],
        ),
        (
            "database",
            "postgres",
            "POSTGRES_URL",
            ".s.PGSQL.5499",
            vec![
                "postgres://{login}@/{db}?host={dir}&port=5499",
                "postgres://{login}@{encoded}:5499/{db}",
                "postgresql+asyncpg://{login}@/{db}?host={dir}&port=5499",
            ],
        ),
        (
            "database",
            "mariadb",
            "MYSQL_URL",
            "mysql",
            vec!["mysql://{login}@localhost/{db}?unix_socket={dir}/mysql"],
        ),
        (
            "grpc",
            "grpc",
            "GRPC_URL",
            "grpc",
            vec!["grpc+unix://{encoded}%2Fgrpc", "unix:{dir}/grpc"],
        ),
        (
            "http",
            "s3",
            "S3_ENDPOINT_URL",
            "s3",
            vec!["http+unix://{encoded}%2Fs3/", "unix:{dir}/s3:/"],
        ),
    ] {
        up(server);
        let at = variable(name);
        let carrier = socket(&folder.path().join(file), port(&at));
        let login = at.split("://").nth(1).unwrap().split('@').next().unwrap();
        let db = at.rsplit('/').next().unwrap().split('?').next().unwrap();
        for url in urls {
            let mut text = url
                .replace("{dir}", &dir.to_string())
                .replace("{encoded}", &encoded);
            text = text.replace("{login}", login).replace("{db}", db);
            let mut more = if kind == "http" {
                "status = 400\n".to_owned()
            } else {
                String::new()
            };
            if server == "redis" && text.contains("{password}") {
                text = text.replace("{password}", password(&at));
            } else if server == "redis" {
                more = format!("password = '{}'\n", password(&at));
            }
            let check = health(&format!("kind = \"{kind}\"\nurl = \"{text}\"\n{more}"));
            assert_eq!(says(&check).await, "working", "{url}");
        }
        carrier.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_in_a_file_is_read_anew() {
    let _alone = alone().await;
    for (kind, server, name, refused) in [
        (
            "redis",
            "redis",
            "REDIS_URL",
            "unavailable: Unable to connect to Redis: Authentication error.",
        ),
        (
            "database",
            "postgres",
            "POSTGRES_URL",
            "unavailable: authentication failed",
        ),
        (
            "rabbitmq",
            "rabbitmq",
            "BROKER_URL",
            "unavailable: Unable to connect to RabbitMQ: Authentication error.",
        ),
        (
            "mail",
            "smtp",
            "SMTP_URL",
            "unavailable: authentication failed",
        ),
    ] {
        up(server);
        let url = variable(name);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "wrong").unwrap();
        let bare = url.replacen(&format!(":{}@", password(&url)), "@", 1);
        let path = file.path().display();
        let check = health(&format!(
            "kind = \"{kind}\"\nurl = \"{bare}\"\npassword_file = \"{path}\"\n"
        ));
        assert_eq!(says(&check).await, refused, "{kind}");
        std::fs::write(file.path(), format!("{}\n", password(&url))).unwrap();
        assert_eq!(says(&check).await, "working", "{kind}");
        std::fs::remove_file(file.path()).unwrap();
        assert_eq!(
            says(&check).await,
            "unavailable: password_file can't be read",
            "{kind}"
        );
    }
}
