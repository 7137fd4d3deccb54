use rustls::{CertificateError, Error};

/// The words for what rustls refuses; the same for checks and for whoever asks an endpoint.
#[doc(hidden)]
pub fn words(error: &Error) -> &'static str {
    match error {
        Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "TLS failed: the certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "TLS failed: the certificate is not valid yet"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "TLS failed: the certificate is for another name"
            }
            CertificateError::UnknownIssuer => "TLS failed: the certificate's issuer is not trusted",
            // A certificate that signs itself is its own CA as a rule.
            error if format!("{error:?}").contains("CaUsedAsEndEntity") => {
                "TLS failed: the certificate is a CA's own, which is none of a server"
            }
            _ => "TLS failed: the certificate is not valid",
        },
        Error::InvalidMessage(_) => "TLS failed: what answers there does not speak TLS",
        Error::AlertReceived(_) => "TLS failed: the server refused the handshake",
        _ => "TLS failed",
    }
}
