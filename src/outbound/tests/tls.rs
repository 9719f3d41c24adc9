//! Whose certificate is believed: one of an authority that is named, for the name that was asked for.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use super::*;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("an authority")
}

fn written(authority: &Authority) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ca.pem");
    std::fs::write(&path, authority.pem()).expect("written");
    (directory, path)
}

/// The file of some authority, and the directory it is in.
pub fn authority_file() -> (tempfile::TempDir, PathBuf) {
    written(&authority())
}

/// An endpoint on 127.0.0.1 with a certificate for this name.
async fn endpoint(authority: &Authority, name: &str) -> SocketAddr {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([name.to_owned()]).expect("a name");
    let leaf = params.signed_by(&key, authority).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .expect("a pair");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                answer(
                    stream,
                    Then::Say(http("200 OK", TOKENS).into()),
                    Arc::default(),
                )
                .await;
            }
        }
    });
    address
}

async fn asked(ca_file: Option<PathBuf>, address: SocketAddr, host: &str) -> String {
    let rules = config::Outbound {
        ca_file,
        ..rules(&["127.0.0.1"])
    };
    let resolver = Resolver::Given(Mutex::new([vec![address]].into()));
    let outbound = Outbound::with(&rules, resolver, Limits::STANDING).expect("an outbound");
    said(
        &refresh(
            &outbound,
            &format!("https://{host}:{}/token", address.port()),
        )
        .await,
    )
}

#[tokio::test]
async fn an_authority_is_believed_when_it_is_named() {
    let authority = authority();
    let (_directory, path) = written(&authority);
    let named = endpoint(&authority, "idp.example").await;
    let found = asked(Some(path.clone()), named, "idp.example").await;
    assert_eq!(found, "tokens at-1 rt-2");
    let by_address = endpoint(&authority, "127.0.0.1").await;
    let found = asked(Some(path.clone()), by_address, "127.0.0.1").await;
    assert_eq!(found, "tokens at-1 rt-2");
    // Another name, another authority, none at all: each fails before a byte of the request has left.
    let (_other_directory, other) = authority_file();
    for (ca_file, host) in [
        (Some(path), "other.example"),
        (Some(other), "idp.example"),
        (None, "idp.example"),
    ] {
        let found = asked(ca_file, named, host).await;
        assert!(
            found.starts_with("not sent: The token endpoint was not asked: "),
            "{found}"
        );
    }
}

#[tokio::test]
async fn a_machine_that_trusts_nobody_says_so() {
    let address = endpoint(&authority(), "idp.example").await;
    let outbound = Outbound(Arc::new(Reach {
        rules: rules(&["127.0.0.1"]),
        resolver: Resolver::System,
        tls: None,
        limits: Limits::STANDING,
    }));
    let found = said(&refresh(&outbound, &format!("https://{address}/token")).await);
    assert_eq!(
        found,
        "not sent: The token endpoint was not asked: this machine has no certificate authorities to trust; outbound.ca_file can name some."
    );
}

#[test]
fn a_file_that_holds_no_authority_is_named() {
    let (directory, path) = authority_file();
    let refused = |path: PathBuf| {
        let rules = config::Outbound {
            ca_file: Some(path),
            ..config::Outbound::default()
        };
        Outbound::new(&rules).err().expect("a refusal")
    };
    let absent = refused(directory.path().join("absent.pem"));
    assert!(
        absent.contains("outbound.ca_file") && absent.contains("cannot be read"),
        "{absent}"
    );
    std::fs::write(&path, "nothing").expect("written");
    let empty = refused(path);
    assert!(empty.ends_with("holds no certificate in PEM."), "{empty}");
}
