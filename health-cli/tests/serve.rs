//! `health serve`: its sockets, its limits, its messages to systemd, and its shutdown.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may, and this is no executor's thread"
)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{BROKEN, CACHE, Running, Server, folder, health, run, signal, stderr, told, wait};

/// Starts a server with these arguments. Returns it with the lines that it prints for its sockets.
fn serve(folder: &tempfile::TempDir, args: &[&str], lines: usize) -> (Running, Vec<String>) {
    let mut command = health(folder.path());
    command
        .args(["serve", "--config", "health.toml"])
        .args(args);
    let mut process = Running::new(command.stdout(Stdio::piped()).stderr(Stdio::null()));
    let output = BufReader::new(process.stdout.take().unwrap());
    (
        process,
        output.lines().take(lines).map(Result::unwrap).collect(),
    )
}

fn get(mut stream: impl std::io::Read + std::io::Write, path: &str) -> String {
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[test]
fn every_form_of_an_address() {
    let folder = folder(CACHE);
    for form in [
        "{port}",
        ":{port}",
        "*:{port}",
        "[::]:{port}",
        "localhost:{port}",
        "0.0.0.0:{port}",
    ] {
        let port = free_port();
        let (_server, lines) = serve(
            &folder,
            &["--listen", &form.replace("{port}", &port.to_string())],
            1,
        );
        assert!(
            lines[0].ends_with(&format!(":{port}/ht/")),
            "{form}: {lines:?}"
        );
        let answer = get(
            TcpStream::connect(("127.0.0.1", port)).unwrap(),
            "/ht/?format=json",
        );
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{form}: {answer}");
    }
    for (form, message) in [
        ("http://127.0.0.1:8000", "expected HOST:PORT, PORT, :PORT"),
        ("nope", "expected HOST:PORT"),
        ("127.0.0.1:99999", "expected HOST:PORT"),
        ("unix:", "expected unix:/path/of/socket"),
        (
            "unix:a?mode=9x",
            "mode=9x: expected an octal mode, such as 0660",
        ),
        (
            "unix:a?mod=0660",
            "\"mod\" is unknown: expected ?mode=0660&group=www-data",
        ),
        (
            "unix:a?mode=0660&group=no-such",
            "group=no-such: there is no such group",
        ),
        ("unix:a?group=0", "group needs a mode, such as mode=0660"),
        ("systemd", "no socket was handed over"),
    ] {
        let (code, _, error) = told(&["serve", "--listen", form], &[]);
        assert!(
            code == 2 && error.contains(message),
            "{form}: {code} {error}"
        );
    }
}

#[test]
fn several_addresses_and_a_unix_socket_that_goes_in_the_end() {
    let folder = folder(CACHE);
    let socket = folder.path().join("health.sock");
    let place = format!("unix:{}", socket.display());
    for _ in 0..2 {
        let (mut server, lines) =
            serve(&folder, &["--listen", "127.0.0.1:0", "--listen", &place], 2);
        assert_eq!(lines[1], format!("{place}:/ht/"));
        assert!(get(UnixStream::connect(&socket).unwrap(), "/ht/").starts_with("HTTP/1.1 200 OK"));
        let address = lines[0]
            .strip_prefix("http://")
            .unwrap()
            .trim_end_matches("/ht/");
        assert!(
            get(TcpStream::connect(address).unwrap(), "/ht/live/").starts_with("HTTP/1.1 200 OK")
        );
        assert_eq!(
            told(&["probe", &lines[1]], &[]).0,
            0,
            "the line is what probe takes"
        );
        let second = run(
            folder.path(),
            &["serve", "--config", "health.toml", "--listen", &place],
            &[],
        );
        assert!(stderr(&second).contains("in use"), "{}", stderr(&second));
        signal(&server, "INT");
        assert_eq!(wait(&mut server).1, Some(0));
        assert!(!socket.exists());
    }
    // The next server replaces the socket that a killed process has left behind.
    let (mut server, _) = serve(&folder, &["--listen", &place], 1);
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(socket.exists());
    let (_server, _) = serve(&folder, &["--listen", &place], 1);
    assert!(get(UnixStream::connect(&socket).unwrap(), "/ht/").starts_with("HTTP/1.1 200 OK"));
}

#[test]
fn a_socket_that_was_handed_over() {
    let folder = folder(CACHE);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for more in ["", " --listen systemd"] {
        // Like systemd: file descriptor 3, and the ID of the process that receives it.
        let script = format!(
            "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve --config health.toml{more} 3<&0 </dev/null"
        );
        let mut command = std::process::Command::new("sh");
        command
            .args(["-c", &script, env!("CARGO_BIN_EXE_health")])
            .current_dir(folder.path());
        command.stdin(std::os::fd::OwnedFd::from(listener.try_clone().unwrap()));
        let mut server = Running::new(command.stdout(Stdio::piped()).stderr(Stdio::null()));
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, format!("http://{address}/ht/\n"), "{more}");
        assert!(
            get(TcpStream::connect(address).unwrap(), "/ht/").starts_with("HTTP/1.1 200 OK"),
            "{more}"
        );
    }
}

#[test]
fn systemd_hears_of_the_start_of_what_is_wrong_and_that_it_lives() {
    let folder = folder(&format!(
        "{CACHE}[[checks]]\nkind = \"storage\"\npath = \"data\"\nevery = \"50ms\"\n"
    ));
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let path = folder.path().join("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let hear = |wanted: &str| {
        let mut buffer = [0; 1024];
        let began = Instant::now();
        loop {
            let length = manager.recv(&mut buffer).unwrap();
            let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if said.contains(wanted) {
                return;
            }
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "not heard: {wanted}"
            );
        }
    };
    let mut command = health(folder.path());
    command.args([
        "serve",
        "--config",
        "health.toml",
        "--listen",
        "127.0.0.1:0",
    ]);
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "200000")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut server = Running::new(&mut command);
    hear("READY=1");
    hear("STATUS=1 of 1 checks working");
    hear("WATCHDOG=1");
    std::fs::remove_dir_all(&data).unwrap();
    hear("STATUS=0 of 1 checks working: DefaultFileStorageHealthCheck unavailable");
    hear("WATCHDOG=1"); // the check is not in `live`
    signal(&server, "INT");
    hear("STOPPING=1");
    assert_eq!(wait(&mut server).1, Some(0));
}

/// A check in `live` fails, so that systemd has to restart the service.
#[test]
fn the_watchdog_is_not_fed_while_live_fails() {
    let folder = folder(
        "[groups.live]\nwaive = [\"storage\"]\n[[checks]]\nkind = \"storage\"\npath = \"/no/such\"\nname = \"storage\"\ngroups = [\"live\"]\n",
    );
    let path = folder.path().join("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager
        .set_read_timeout(Some(Duration::from_millis(1200)))
        .unwrap();
    let mut command = health(folder.path());
    command.args([
        "serve",
        "--config",
        "health.toml",
        "--listen",
        "127.0.0.1:0",
    ]);
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "200000")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let _server = Running::new(&mut command);
    let mut buffer = [0; 1024];
    let mut all = String::new();
    while let Ok(length) = manager.recv(&mut buffer) {
        all.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    assert!(
        all.contains("READY=1") && all.contains("storage unavailable"),
        "{all}"
    );
    assert!(!all.contains("WATCHDOG=1"), "{all}");
}

#[test]
fn who_says_nothing_keeps_nobody_out() {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(20_000);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: Some(most),
            maximum: limit.maximum,
        },
    )
    .unwrap();
    let server = Server::of(CACHE);
    let many = usize::try_from(most)
        .unwrap()
        .saturating_sub(200)
        .min(2_000);
    let silent: Vec<_> = (0..many)
        .map(|_| TcpStream::connect(&server.address).unwrap())
        .collect();
    for path in ["/ht/live/", "/ht/"] {
        let began = Instant::now();
        assert_eq!(server.get(path).0, 200);
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{path} beside {many} silent connections: {:?}",
            began.elapsed()
        );
    }
    // The oldest connections were closed, and the youngest were not.
    let read = |mut stream: &TcpStream| {
        stream
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        stream.read(&mut [0; 1]).map_err(|error| error.kind())
    };
    assert!(
        !matches!(read(&silent[0]), Err(std::io::ErrorKind::WouldBlock)),
        "{:?}",
        read(&silent[0])
    );
    let youngest = silent.last().unwrap();
    assert!(
        matches!(read(youngest), Err(std::io::ErrorKind::WouldBlock)),
        "{:?}",
        read(youngest)
    );
}

#[test]
fn a_hang_up_drains_and_no_signal_leaves_a_folder_behind() {
    let drains = folder(&format!("[settings]\ndrain_delay = \"1s\"\n{CACHE}"));
    let mut server = Server::start(drains.path(), &["--config", "health.toml"]);
    signal(&server.process, "HUP");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(server.get("/ht/ready/").0, 500);
    assert_eq!(server.get("/ht/live/").0, 200);
    let (took, code) = wait(&mut server.process);
    assert!(
        code == Some(0) && took > Duration::from_millis(400),
        "{code:?} after {took:?}"
    );

    for name in ["HUP", "INT", "TERM", "QUIT", "USR1", "USR2", "ALRM"] {
        let temp = folder("");
        let mut command = health(temp.path());
        command
            .env("TMPDIR", temp.path())
            .args(["serve", "--listen", "127.0.0.1:0"]);
        let mut server = Running::new(command.stdout(Stdio::piped()).stderr(Stdio::null()));
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let made =
            |folder: &tempfile::TempDir| std::fs::read_dir(folder.path()).unwrap().count() - 1;
        assert_eq!(made(&temp), 1, "{name}");
        signal(&server, name);
        std::thread::sleep(Duration::from_millis(200));
        signal(&server, name); // a second signal skips the drain delay
        wait(&mut server);
        assert_eq!(made(&temp), 0, "{name}");
    }
}

/// `nohup` starts a program with SIGHUP ignored, and a shell without job control a background job
/// with SIGINT.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let file = folder(CACHE);
    let program = health(file.path()).get_program().to_owned();
    let ignoring = |args: &str| {
        let mut shell = Command::new("sh");
        let script = format!("trap '' HUP INT; exec \"$0\" {args}");
        shell
            .args(["-c", &script])
            .arg(&program)
            .current_dir(file.path());
        Running::new(shell.stdout(Stdio::piped()).stderr(Stdio::null()))
    };
    let never = "wait http://127.0.0.1:1/ --timeout 60s";
    let watched = "watch --config health.toml";
    for args in [
        "serve --config health.toml --listen 127.0.0.1:0",
        never,
        watched,
    ] {
        let mut process = ignoring(args);
        std::thread::sleep(Duration::from_millis(500));
        for name in ["HUP", "INT"] {
            signal(&process, name);
            std::thread::sleep(Duration::from_millis(300));
            assert_eq!(process.try_wait().unwrap(), None, "{args} after SIG{name}");
        }
        signal(&process, "TERM");
        signal(&process, "TERM");
        wait(&mut process);
    }
}

#[test]
fn stdout_that_can_not_be_written_changes_no_verdict() {
    let folder = folder(CACHE);
    std::fs::write(folder.path().join("broken.toml"), BROKEN).unwrap();
    let full = || {
        std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let check = |args: &[&str]| {
        let mut command = health(folder.path());
        let output = command
            .args(args)
            .stdout(full())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        (output.status.code(), stderr(&output))
    };
    assert_eq!(
        check(&["check", "--config", "health.toml", "--exit", "docker"]),
        (Some(0), String::new())
    );
    assert_eq!(
        check(&["check", "--config", "health.toml", "--exit", "nagios"]),
        (Some(0), String::new())
    );
    for (args, verdict) in [
        (&["check", "--config", "health.toml"][..], 0),
        (&["validate", "--config", "health.toml"], 0),
        (&["check", "--config", "broken.toml"], 1),
        (&["wait", "--config", "broken.toml", "--timeout", "1s"], 1),
        (&["schema"], 2), // its output is what the command is for
    ] {
        let (code, error) = check(args);
        assert_eq!(code, Some(verdict), "{args:?}: {error}");
        assert!(
            error.contains("stdout can't be written"),
            "{args:?}: {error}"
        );
    }
    let port = free_port();
    let mut command = health(folder.path());
    command
        .args([
            "serve",
            "--config",
            "health.toml",
            "--listen",
            &port.to_string(),
        ])
        .stdout(full())
        .stderr(full());
    let _server = Running::new(&mut command);
    let began = Instant::now();
    let stream = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(10), "{error}"),
        }
    };
    assert!(get(stream, "/ht/").starts_with("HTTP/1.1 200 OK"));
}

#[test]
fn endpoints_of_the_file_and_probes_of_kubernetes() {
    let folder = folder(&format!(
        "{CACHE}\n[settings]\ntoken = \"s3cret\"\n[[endpoints]]\npath = \"/ht/\"\n[[endpoints]]\npath = \"/public/\"\ntoken = false\n\
         anonymous = \"status\"\nformats = [\"json\"]\n[[endpoints]]\npath = \"/readyz\"\ngroup = \"startup\"\ntoken = false\n"
    ));
    let (_server, lines) = serve(&folder, &["--listen", "127.0.0.1:0"], 3);
    let paths: Vec<_> = lines
        .iter()
        .map(|line| line.splitn(4, '/').nth(3).unwrap())
        .collect();
    assert_eq!(paths, ["ht/", "public/", "readyz/"]);
    let address = lines[0].split('/').nth(2).unwrap();
    let ask = |path: &str| get(TcpStream::connect(address).unwrap(), path);
    for (path, status, body) in [
        ("/ht/", "404", "Not Found"),
        (
            "/ht/s3cret/?format=json",
            "200",
            r#"{"CacheBackend": "working"}"#,
        ),
        ("/public/", "200", r#"{"status": "working"}"#),
        ("/livez?format=json", "200", r#"{"status": "working"}"#),
        ("/livez/s3cret?format=json", "200", "{}"),
        (
            "/readyz?format=text",
            "200",
            "Startup                  ... working",
        ),
        ("/nowhere", "404", "Not Found"),
    ] {
        let answer = ask(path);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{path}: {answer}"
        );
        assert!(answer.trim_end().ends_with(body), "{path}: {answer}");
    }
    let (code, _, error) = support::told(
        &[
            "serve",
            "--config",
            folder.path().join("health.toml").to_str().unwrap(),
            "--path",
            "/x/",
        ],
        &[],
    );
    assert!(
        code == 2 && error.contains("--path is for a file without [[endpoints]]"),
        "{error}"
    );
}

#[test]
fn grpc_beside_http() {
    let folder = folder(CACHE);
    let (mut server, lines) = serve(
        &folder,
        &["--listen", "127.0.0.1:0", "--grpc", "127.0.0.1:0"],
        2,
    );
    let grpc = lines[1].strip_prefix("grpc://").unwrap();
    let shared = lines[0]
        .strip_prefix("http://")
        .unwrap()
        .strip_suffix("/ht/")
        .unwrap();
    let working = "working\n";
    for (url, status, service) in [
        (format!("grpc://{grpc}"), "status", 0),
        (format!("grpc://{grpc}/startup"), "startup", 0),
        (format!("grpc://{shared}/live"), "live", 0),
        (format!("grpc://{grpc}/nothing"), "", 2),
    ] {
        let (code, output, _) = told(&["probe", &url], &[]);
        assert_eq!(code, service, "{url}");
        assert!(
            output.is_empty() == status.is_empty() && output.starts_with(status),
            "{url}: {output}"
        );
        assert!(
            output.is_empty() || output.ends_with(working),
            "{url}: {output}"
        );
    }
    // A balancer that sends HTTP to the port for gRPC must not see it healthy.
    for (address, status) in [(shared, "HTTP/1.1 200 "), (grpc, "HTTP/1.1 415 ")] {
        let answer = get(TcpStream::connect(address).unwrap(), "/livez");
        assert!(answer.starts_with(status), "{address}: {answer}");
    }
    signal(&server, "TERM");
    assert_eq!(wait(&mut server).1, Some(0));
    for wrong in ["nope", "http://a:1", "127.0.0.1:99999", "systemd"] {
        let (code, _, error) = told(&["serve", "--listen", "127.0.0.1:0", "--grpc", wrong], &[]);
        assert!(
            code == 2 && error.contains("--grpc") && error.contains("expected HOST:PORT"),
            "{error}"
        );
    }
}

#[test]
fn the_mode_and_the_group_of_unix_sockets() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let folder = folder(CACHE);
    let (http, grpc) = (folder.path().join("h.sock"), folder.path().join("g.sock"));
    let group = std::fs::metadata(folder.path()).unwrap().gid();
    let place = format!("unix:{}?mode=0660&group={group}", http.display());
    let grpc_place = format!("unix:{}?mode=0606", grpc.display());
    let args = [
        "--config",
        "health.toml",
        "--listen",
        &place,
        "--grpc",
        &grpc_place,
    ];
    let mut server = Server::start(folder.path(), &args);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&http) & 0o7777, 0o660);
    assert_eq!(mode(&grpc) & 0o7777, 0o606);
    assert_eq!(std::fs::metadata(&http).unwrap().gid(), group);
    UnixStream::connect(&http).unwrap();
    signal(&server.process, "INT");
    assert_eq!(wait(&mut server.process).1, Some(0));
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "only the configuration file");
}

#[test]
fn grpc_at_a_unix_socket() {
    let folder = folder(CACHE);
    let path = folder.path().join("g.sock").display().to_string();
    let (mut server, lines) = serve(
        &folder,
        &["--listen", "127.0.0.1:0", "--grpc", &format!("unix:{path}")],
        2,
    );
    assert_eq!(
        lines[1],
        format!("grpc+unix://{}", path.replace('/', "%2F"))
    );
    let (code, output, error) = told(&["probe", &lines[1]], &[]);
    assert!(code == 0 && output.ends_with("working\n"), "{error}");
    signal(&server, "INT");
    assert_eq!(wait(&mut server).1, Some(0));
    assert!(
        !Path::new(&path).exists(),
        "the file of the socket is removed"
    );
}

#[test]
fn a_failure_that_lasts_is_not_logged_in_each_run() {
    let broker = format!("127.0.0.1:{}", free_port());
    let text = format!(
        "[[endpoints]]\npath = \"/ht/\"\n[[checks]]\nkind = \"kafka\"\nttl = 0\nbrokers = [\"{broker}\"]\n"
    );
    let folder = folder(&text);
    let logged = |filter: Option<&str>| {
        let port = free_port();
        let listen = port.to_string();
        let mut command = health(folder.path());
        command.args(["serve", "--config", "health.toml", "--listen", &listen]);
        if let Some(filter) = filter {
            command.env("RUST_LOG", filter);
        }
        let mut server = Running::new(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let mut line = String::new();
        let mut stdout = BufReader::new(server.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        for _ in 0..3 {
            let answer = get(TcpStream::connect(("127.0.0.1", port)).unwrap(), "/ht/");
            assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
        }
        let mut stderr = server.stderr.take().unwrap();
        signal(&server, "INT");
        let mut logged = String::new();
        stderr.read_to_string(&mut logged).unwrap();
        logged
    };
    let by_default = logged(None);
    assert!(by_default.contains("health check failed"), "{by_default}");
    assert!(
        by_default.contains("interrupted: ready fails"),
        "{by_default}"
    );
    for line in ["cause of a failed check", "health check failed"] {
        assert_eq!(by_default.matches(line).count(), 1, "{by_default}");
    }
    // Two lines of the check, one of the group, and two of the end: none of a driver.
    assert_eq!(by_default.lines().count(), 5, "{by_default}");
    let quiet = logged(Some("error"));
    assert_eq!(quiet, "", "as RUST_LOG says");
}
