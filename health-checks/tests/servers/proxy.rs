//! A proxy between a check and its server, which counts connections, delays data, and forgets, closes
//! or refuses connections.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A proxy on a port of its own.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    /// The number of connections that it has accepted.
    taken: Arc<AtomicUsize>,
    /// Connections with a number below this one are forgotten.
    forgotten: watch::Sender<usize>,
    listener: JoinHandle<()>,
    carriers: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Proxy {
    /// Starts a proxy that carries bytes to this port of this machine and back, each after this
    /// delay.
    pub(crate) async fn to(port: u16, delay: Duration) -> Self {
        Self::between("127.0.0.1", port, delay).await
    }

    /// Starts a proxy that listens at another address of this machine.
    pub(crate) async fn between(own: &str, port: u16, delay: Duration) -> Self {
        let listener = TcpListener::bind((own, 0)).await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let taken = Arc::new(AtomicUsize::new(0));
        let carriers = Arc::new(Mutex::new(Vec::new()));
        let (forgotten, _) = watch::channel(0);
        let count = Arc::clone(&taken);
        let watched = forgotten.clone();
        let all = Arc::clone(&carriers);
        let listener = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
                    continue;
                };
                let client = client.into_split();
                let server = server.into_split();
                let mut all = all.lock().unwrap();
                all.push(tokio::spawn(carry(
                    client.0,
                    server.1,
                    number,
                    watched.subscribe(),
                    delay,
                )));
                all.push(tokio::spawn(carry(
                    server.0,
                    client.1,
                    number,
                    watched.subscribe(),
                    delay,
                )));
            }
        });
        Self {
            port: own,
            taken,
            forgotten,
            listener,
            carriers,
        }
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }

    /// Stops carrying data for the open connections without closing them, as NAT and load balancers
    /// do.
    pub(crate) fn forget(&self) {
        self.forgotten.send_replace(self.taken());
    }

    /// Closes the open connections.
    pub(crate) fn cut(&self) {
        let mut carriers = self.carriers.lock().unwrap();
        carriers.drain(..).for_each(|carrier| carrier.abort());
    }

    /// Accepts no more connections. The open ones stay.
    pub(crate) fn close(&self) {
        self.listener.abort();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
        self.carriers
            .lock()
            .unwrap()
            .iter()
            .for_each(JoinHandle::abort);
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    number: usize,
    mut forgotten: watch::Receiver<usize>,
    delay: Duration,
) {
    let (queue, mut queued) =
        tokio::sync::mpsc::unbounded_channel::<(tokio::time::Instant, Vec<u8>)>();
    let write = async {
        while let Some((at, bytes)) = queued.recv().await {
            tokio::time::sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
    };
    let read = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match from.read(&mut buffer).await {
                Ok(read) if read > 0 => {
                    let _ =
                        queue.send((tokio::time::Instant::now() + delay, buffer[..read].to_vec()));
                }
                _ => break,
            }
        }
        drop(queue);
    };
    let is_forgotten = async { drop(forgotten.wait_for(|below| number < *below).await) };
    tokio::select! {
        ((), ()) = futures::future::join(read, write) => {}
        () = is_forgotten => std::future::pending().await, // with both halves open
    }
}

/// Returns the same URL through the proxy.
pub(crate) fn through(url: &str, proxy: &Proxy) -> String {
    url.replacen(
        &format!(":{}", crate::harness::port(url)),
        &format!(":{}", proxy.port),
        1,
    )
}
