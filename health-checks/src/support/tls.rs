/// Makes sure that rustls has a crypto provider: clients panic without one, and also where two are compiled in and
/// the application has chosen neither. An application that has chosen keeps its choice.
pub(crate) fn ensure_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::ring::default_provider().install_default(); // somebody else was faster
    }
}
