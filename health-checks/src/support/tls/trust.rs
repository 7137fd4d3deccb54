//! The certificates that are trusted. Files are read again once they have been replaced, and not
//! for each connection.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::pki_types::CertificateDer;

/// A value that was made of files, with their marks at that time.
#[derive(Debug)]
pub(super) struct OfFiles<T> {
    marks: Marks,
    value: T,
}

/// The marks of several files, by which one that was replaced is noticed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Marks(Vec<Option<Mark>>);

/// A mark of a file; `None` for one that is missing. A `ConfigMap` replaces a link, which the mark of
/// its target shows.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mark {
    number: u64,
    size: u64,
    changed: Option<SystemTime>,
}

impl Marks {
    pub(super) fn of<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Self {
        Self(paths.into_iter().map(mark).collect())
    }
}

impl<T: Clone> OfFiles<T> {
    pub(super) fn new(marks: Marks, value: T) -> Self {
        Self { marks, value }
    }

    /// Returns the value, unless a file was replaced.
    pub(super) fn fresh(&self, marks: &Marks) -> Option<T> {
        (self.marks == *marks).then(|| self.value.clone())
    }
}

fn mark(path: &Path) -> Option<Mark> {
    let file = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&file);
    #[cfg(not(unix))]
    let number = 0;
    Some(Mark {
        number,
        size: file.len(),
        changed: file.modified().ok(),
    })
}

/// The time after which the store of a system without files is read again.
const AGAIN: Duration = Duration::from_mins(5);

type Certificates = Arc<[CertificateDer<'static>]>;

/// The certificates of the system, as they were read last.
static SYSTEM: Mutex<Option<(Instant, OfFiles<Certificates>)>> = Mutex::new(None);

/// Returns the files and folders of the system's certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR`
/// included). They are empty where the system keeps them elsewhere.
pub(super) fn places() -> Vec<PathBuf> {
    let of = |name| std::env::var_os(name).filter(|text| !text.is_empty());
    let (file, folders) = (of("SSL_CERT_FILE"), of("SSL_CERT_DIR"));
    if file.is_some() || folders.is_some() {
        let folders = folders.iter().flat_map(std::env::split_paths);
        return file.map(PathBuf::from).into_iter().chain(folders).collect();
    }
    #[cfg(all(unix, not(target_os = "macos")))]
    {
        let found = openssl_probe::probe();
        found.cert_file.into_iter().chain(found.cert_dir).collect()
    }
    #[cfg(not(all(unix, not(target_os = "macos"))))]
    Vec::new()
}

/// Returns the certificates that the system trusts, or else Mozilla's.
pub(super) fn system() -> io::Result<Certificates> {
    let places = places();
    let marks = Marks::of(places.iter().map(PathBuf::as_path));
    let mut last = SYSTEM.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((read, known)) = &*last
        && (!places.is_empty() || read.elapsed() < AGAIN)
        && let Some(certificates) = known.fresh(&marks)
    {
        return Ok(certificates);
    }
    let certificates: Certificates = read()?.into();
    *last = Some((
        Instant::now(),
        OfFiles::new(marks, Arc::clone(&certificates)),
    ));
    Ok(certificates)
}

fn read() -> io::Result<Vec<CertificateDer<'static>>> {
    let found = rustls_native_certs::load_native_certs();
    if !found.certs.is_empty() {
        return Ok(found.certs);
    }
    if let Some(variable) = ["SSL_CERT_FILE", "SSL_CERT_DIR"]
        .into_iter()
        .find(|name| std::env::var_os(name).is_some())
    {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            format!("{variable}: no certificate can be read there"),
        ));
    }
    Ok(webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec())
}
