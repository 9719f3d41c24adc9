//! A stub of a server: TLS with a certificate of its own, one canned answer a request, and a list of what was asked.

use crate::coffer::{Coffer, TOKEN, coffer};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `GET /api/v1/status`.
    pub line: String,
    pub bearer: String,
    /// `Idempotency-Key`.
    pub key: String,
    pub body: String,
}

type Answer = Box<dyn Fn(&str) -> (u16, String) + Send + Sync>;

pub struct Stub {
    port: u16,
    directory: TempDir,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Stub {
    /// Answers each request line with a status and a body.
    pub fn new(answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["127.0.0.1".into()]).expect("a certificate");
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("ca.pem"), cert.pem()).expect("written");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions");
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("a key");
        let config = versions
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("a server");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked = Arc::new(Mutex::new(vec![]));
        let (config, answer, list): (_, Arc<Answer>, _) =
            (Arc::new(config), Arc::new(Box::new(answer)), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, answer, list) = (config.clone(), answer.clone(), list.clone());
                std::thread::spawn(move || serve(stream, config, &answer, &list));
            }
        });
        Self {
            port,
            directory,
            asked,
        }
    }

    /// Answers everything alike.
    pub fn always(status: u16, body: &str) -> Self {
        let body = body.to_owned();
        Self::new(move |_| (status, body.clone()))
    }

    /// The binary, pointed here.
    pub fn coffer(&self, arguments: &[&str]) -> Coffer {
        let ready =
            coffer(arguments).env("COFFER_ADDR", format!("https://127.0.0.1:{}", self.port));
        ready
            .env("COFFER_CACERT", self.certificate())
            .env("COFFER_TOKEN", TOKEN)
    }

    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test panicked with it").clone()
    }

    /// The only request there was.
    #[track_caller]
    pub fn asked_once(&self) -> Asked {
        let asked = self.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked[0].clone()
    }
}

/// One connection; ends when the client leaves.
fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    answer: &Answer,
    list: &Mutex<Vec<Asked>>,
) -> Option<()> {
    let connection = ServerConnection::new(config).ok()?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    loop {
        let (mut line, mut bearer, mut key) = (String::new(), String::new(), String::new());
        let mut length = 0;
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).ok()?;
            let Some((name, value)) = header.trim_end().split_once(": ") else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "authorization" => bearer = value.to_owned(),
                "idempotency-key" => key = value.to_owned(),
                "content-length" => length = value.parse().ok()?,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).ok()?;
        let (status, reply) = answer(&line);
        list.lock().ok()?.push(Asked {
            line,
            bearer,
            key,
            body: String::from_utf8(body).ok()?,
        });
        let location = if status == 302 {
            "location: https://127.0.0.1:1/\r\n"
        } else {
            ""
        };
        let head = format!(
            "HTTP/1.1 {status} X\r\nx-request-id: r1\r\n{location}content-length: {}\r\n\r\n",
            reply.len()
        );
        // An answer that is cut short on purpose says more than it holds.
        let sent = if status == 299 {
            head.replace("length: ", "length: 9")
        } else {
            head
        };
        stream
            .get_mut()
            .write_all(format!("{sent}{reply}").as_bytes())
            .ok()?;
        stream.get_mut().flush().ok()?;
        if status == 299 {
            return None;
        }
    }
}
