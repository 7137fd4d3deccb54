use rustls::{CertificateError, Error};

/// Returns the message for an error of rustls, which is the same for checks and for clients of an
/// endpoint.
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
            CertificateError::UnknownIssuer => {
                "TLS failed: the certificate's issuer is not trusted"
            }
            // A self-signed certificate is usually its own CA.
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
