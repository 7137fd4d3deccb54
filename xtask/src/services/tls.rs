//! A private CA, and the certificates that it has signed: one of a server, for 127.0.0.1, and one
//! of a client.

use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};

use super::account::Account;
use super::state::write_secret;
use crate::Outcome;

/// Writes `ca.pem`, `server.pem`, `server.key`, `client.pem` and `client.key` into a folder, unless
/// they exist.
pub(super) fn write(folder: &Path, account: Option<Account>) -> Outcome {
    if folder.join("client.key").exists() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let files = sign().map_err(|error| format!("certificates: {error}"))?;
    for (name, text) in files {
        let path = folder.join(name);
        write_secret(&path, &text)?;
        account.map_or(Ok(()), |account| account.owns(&path))?;
    }
    account.map_or(Ok(()), |account| account.owns(folder))
}

fn sign() -> Result<Vec<(String, String)>, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    // OpenSSL treats a certificate as self-signed if its issuer has the same name.
    params
        .distinguished_name
        .push(DnType::CommonName, "Health CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let mut files = vec![("ca.pem".to_owned(), issuer.pem())];
    for (file, name, usage) in [
        ("server", "127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth),
        ("client", "health", ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        files.push((
            format!("{file}.pem"),
            params.signed_by(&key, &issuer)?.pem(),
        ));
        files.push((format!("{file}.key"), key.serialize_pem()));
    }
    Ok(files)
}
