use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
#[cfg(unix)]
use std::path::{Path, PathBuf};

use tokio::io::{AsyncRead, AsyncWrite};

/// A listening socket. It accepts no connections before [`serve`](crate::serve) is called.
#[derive(Debug)]
pub struct Socket(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix {
        listener: std::os::unix::net::UnixListener,
        /// The file to remove in the end, if this process created it.
        file: Option<PathBuf>,
    },
}

impl Socket {
    /// Binds the first of these addresses that is free. Port 0 means any free port.
    ///
    /// # Errors
    /// Fails if none of the addresses can be bound.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        TcpListener::bind(address).map(Self::from)
    }

    /// Binds a Unix socket at this path. Replaces an existing socket that no process listens on,
    /// because it was left behind.
    ///
    /// # Errors
    /// Fails if the path can't be bound, for instance because another process listens there.
    #[cfg(unix)]
    pub fn bind_unix(path: impl AsRef<Path>) -> io::Result<Self> {
        use std::os::unix::fs::FileTypeExt as _;
        use std::os::unix::net::{UnixListener, UnixStream};
        let path = path.as_ref();
        let is_socket =
            std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
        if is_socket
            && UnixStream::connect(path)
                .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        let file = std::path::absolute(path)?;
        Ok(Self(Kind::Unix {
            listener,
            file: Some(file),
        }))
    }

    /// Returns the address if the socket has a port.
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Kind::Unix { .. } => None,
        }
    }

    pub(crate) fn listener(&self) -> io::Result<Listener> {
        Ok(match &self.0 {
            Kind::Tcp(listener) => {
                let listener = listener.try_clone()?;
                listener.set_nonblocking(true)?;
                Listener::Tcp(tokio::net::TcpListener::from_std(listener)?)
            }
            #[cfg(unix)]
            Kind::Unix { listener, .. } => {
                let listener = listener.try_clone()?;
                listener.set_nonblocking(true)?;
                Listener::Unix(tokio::net::UnixListener::from_std(listener)?)
            }
        })
    }
}

impl From<TcpListener> for Socket {
    fn from(listener: TcpListener) -> Self {
        Self(Kind::Tcp(listener))
    }
}

#[cfg(unix)]
impl From<std::os::unix::net::UnixListener> for Socket {
    /// Takes a socket that was created elsewhere. Its file is not removed.
    fn from(listener: std::os::unix::net::UnixListener) -> Self {
        Self(Kind::Unix {
            listener,
            file: None,
        })
    }
}

/// Writes the address as URLs show it: `127.0.0.1:8000`, or `unix:/run/health.sock`.
impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Tcp(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "{address}"),
                Err(error) => write!(f, "({error})"),
            },
            #[cfg(unix)]
            Kind::Unix { listener, file } => {
                let address = listener.local_addr().ok();
                let path = file.as_deref().or_else(|| address.as_ref()?.as_pathname());
                write!(
                    f,
                    "unix:{}",
                    path.map_or_else(|| Path::new("").display(), Path::display)
                )
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Kind::Unix {
            file: Some(file), ..
        } = &self.0
        {
            let _ = std::fs::remove_file(file); // it may be gone already
        }
    }
}

/// A stream of bytes in both directions.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Io for S {}

pub(crate) enum Listener {
    Tcp(tokio::net::TcpListener),
    #[cfg(unix)]
    Unix(tokio::net::UnixListener),
}

impl Listener {
    pub(crate) async fn accept(&self) -> io::Result<Box<dyn Io>> {
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                let _ = stream.set_nodelay(true); // it may be closed already
                Box::new(stream)
            }
            #[cfg(unix)]
            Self::Unix(listener) => Box::new(listener.accept().await?.0),
        })
    }
}
