//! nginx: access control for callers from outside.

use std::fs;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use crate::support::{
    Process, Served, ask, config, free_port, get, program, recipe, replaced, run, until,
};

struct Nginx {
    address: String,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Nginx {
    /// Starts an nginx with these locations in its only server.
    fn start(locations: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let place = folder.path().display();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary
            .map(|name| format!("{name}_temp_path {place}/{name};"))
            .join("\n");
        let http =
            format!("access_log off;\n{temporary}\nserver {{ listen {address};\n{locations}\n}}");
        let whole = format!(
            "pid {place}/pid;\nerror_log {place}/error.log;\nevents {{}}\nhttp {{ {http} }}\n"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, whole).unwrap();
        let log = folder.path().join("error.log");
        let mut nginx = program("nginx", "nginx-light");
        nginx.arg("-e").arg(&log).arg("-c").arg(&file);
        run(program("nginx", "nginx-light")
            .arg("-t")
            .arg("-e")
            .arg(&log)
            .arg("-c")
            .arg(&file));
        let process = Process::start(
            nginx.args(["-g", "daemon off; master_process off;"]),
            &folder.path().join("log"),
        );
        until("nginx listens", Duration::from_secs(10), || {
            ask(&address, "/", "").ok()
        });
        Self {
            address,
            _process: process,
            _folder: folder,
        }
    }
}

/// Returns the status code that a client with this address gets.
fn status_for(client: &str, address: &str, path: &str) -> u16 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    let answer = runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(format!("{client}:0").parse().unwrap())?;
        let mut stream = socket.connect(address.parse().unwrap()).await?;
        stream
            .write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    });
    let answer = answer.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn nginx_lets_some_networks_read_the_health() {
    let served = Served::start(&config());
    let recipe = replaced(
        &recipe("nginx-networks.conf"),
        &[("127.0.0.1:8000", &served.address)],
    );
    // Everything else is public, as in a server with the application at its root.
    let nginx = Nginx::start(&format!(
        "{recipe}\nlocation / {{ proxy_pass http://{}; }}",
        served.address
    ));
    assert_eq!(status_for("127.0.0.2", &nginx.address, "/elsewhere"), 404);
    // The service also accepts the path without the final slash. nginx redirects it to the path
    // that it refuses.
    assert_eq!(status_for("127.0.0.2", &nginx.address, "/ht"), 301);
    for path in [
        "//ht/",
        "/shop/../ht/",
        "/%68t/ready/",
        "/ht/.",
        "/ht//live",
    ] {
        assert_eq!(status_for("127.0.0.2", &nginx.address, path), 403, "{path}");
    }
    for path in ["/ht/", "/ht/ready/", "/ht/?format=json"] {
        assert_eq!(status_for("127.0.0.1", &nginx.address, path), 200, "{path}");
        assert_eq!(status_for("127.0.0.2", &nginx.address, path), 403, "{path}");
    }
    let (_, json) = get(&nginx.address, "/ht/?format=json");
    assert!(
        json.starts_with("{\"CacheBackend\": \"working\", "),
        "{json}"
    );
}

#[test]
fn nginx_leaves_the_token_to_the_service() {
    let config = replaced(
        &config(),
        &[(
            "[settings]\n",
            "[settings]\ntoken = \"from-a-password-manager\"\n",
        )],
    );
    let served = Served::start(&config);
    let nginx = Nginx::start(&replaced(
        &recipe("nginx-token.conf"),
        &[("127.0.0.1:8000", &served.address)],
    ));
    let status = |path: &str, headers: &str| ask(&nginx.address, path, headers).unwrap().0;
    assert_eq!(status("/ht/", ""), 404);
    assert_eq!(status("/ht/", "Authorization: Bearer guessed\r\n"), 404);
    assert_eq!(
        status("/ht/", "Authorization: Bearer from-a-password-manager\r\n"),
        200
    );
    assert_eq!(status("/ht/from-a-password-manager/ready/", ""), 200);
}
