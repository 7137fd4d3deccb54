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
        let path = path.as_ref();
        remove_left_behind(path)?;
        Self::of_file(std::os::unix::net::UnixListener::bind(path)?, path)
    }

    /// Like [`bind_unix`](Self::bind_unix), with the mode of the file, such as `0o660`, whatever
    /// the umask is, and the number of its group. *Default* of the group: that of the process.
    ///
    /// The socket is created in a folder that only this user can enter, and gets its path once it
    /// has its mode and its group, so nobody else can connect before.
    ///
    /// # Errors
    /// Fails if the path can't be bound, or if the process may not give files to the group.
    #[cfg(unix)]
    pub fn bind_unix_as(path: impl AsRef<Path>, mode: u32, group: Option<u32>) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = path.as_ref();
        remove_left_behind(path)?;
        let folder = PrivateFolder::beside(path)?;
        let hidden = folder.0.join("s");
        let listener = std::os::unix::net::UnixListener::bind(&hidden)?;
        std::os::unix::fs::chown(&hidden, None, group)?;
        std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(mode))?;
        std::fs::hard_link(&hidden, path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => io::ErrorKind::AddrInUse.into(),
            _ => error,
        })?;
        Self::of_file(listener, path)
    }

    #[cfg(unix)]
    fn of_file(listener: std::os::unix::net::UnixListener, path: &Path) -> io::Result<Self> {
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

/// Removes a socket that no process listens on.
#[cfg(unix)]
fn remove_left_behind(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    use std::os::unix::net::UnixStream;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let is_refused = || {
        UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    };
    if is_socket && is_refused() {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// A folder that only this user can enter. It is removed in the end, with the socket `s` in it.
#[cfg(unix)]
struct PrivateFolder(PathBuf);

#[cfg(unix)]
impl PrivateFolder {
    fn beside(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = path.with_file_name(format!(".{}-{number}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self(folder))
    }
}

#[cfg(unix)]
impl Drop for PrivateFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.0.join("s")); // it does not exist if it can't be bound
        let _ = std::fs::remove_dir(&self.0);
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
