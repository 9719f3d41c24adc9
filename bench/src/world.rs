//! What the load is drawn from: secrets and tokens, all of them written through the API before anything is measured.
//! Paths, tokens and values are drawn uniformly, so that no cache is flattered.
//!
//! Invariant: a world is the same size on every engine, and so is every answer to a read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::{Method, Uri};
use rand::RngExt;
use rand::rngs::SmallRng;
use serde::Deserialize;
use serde_json::json;

use crate::client::{Connection, Outgoing, bearer, request};
use crate::failure::{Context, Result};
use crate::import::{self, RECORDS_PER_IMPORT, Target};
use crate::log::Count;
use crate::provider::Provider;
use crate::tls::Client;
use crate::wire::Asked;

/// Where secrets are.
pub const SECRETS: &str = "/api/v1/secrets/";
/// The project of everything that is measured.
pub const PROJECT: &str = "bench";
/// Environments that are read.
const ENVIRONMENTS: usize = 10;
/// The environment that a second node writes to, apart from those that are read.
const APART: &str = "apart";
/// Secrets in it.
const APART_SECRETS: usize = 1_000;
/// Characters of a value: with them a read's body is about 300 bytes.
const VALUE_CHARS: usize = 160;
/// Different bodies of writes.
const BODIES: usize = 256;
/// Connections of the set-up.
const SET_UP_CONNECTIONS: usize = 64;
/// Whole seconds: longer than any run.
const TOKEN_TTL: u64 = 86_400;

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Secrets that are read and written.
    pub secrets: usize,
    /// Tokens that ask.
    pub tokens: usize,
}

/// See the module.
pub struct World {
    secrets: Vec<String>,
    apart: Vec<String>,
    tokens: Vec<String>,
    bodies: Vec<Bytes>,
    /// Where access tokens are read.
    grants: Vec<String>,
    /// Bytes of the answer to reading one.
    pub access_token_bytes: usize,
    /// The records that its making must have left.
    pub made: Count,
}

/// `POST /tokens`, what is wanted of its answer.
#[derive(Deserialize)]
struct CreatedToken {
    token: String,
}

impl World {
    /// Makes places, secrets and tokens, and reads each secret once, so that what fits a cache is in it.
    pub async fn make(
        client: &Client,
        address: SocketAddr,
        root: &HeaderValue,
        size: Size,
    ) -> Result<Self> {
        let mut connection = Connection::open(client, address).await?;
        let mut post = async |path: String, name: &str| -> Result<()> {
            let body = json!({"name": name}).to_string();
            connection
                .ask(request(Method::POST, &uri(&path)?, root, body.into()))
                .await?;
            Ok(())
        };
        post("/api/v1/projects".into(), PROJECT).await?;
        let environments: Vec<String> = (0..ENVIRONMENTS).map(environment).collect();
        for name in environments.iter().map(String::as_str).chain([APART]) {
            post(format!("/api/v1/projects/{PROJECT}/environments"), name).await?;
        }
        let mut rng: SmallRng = rand::make_rng();
        let bodies: Vec<Bytes> = (0..BODIES).map(|_| fields(&mut rng)).collect();
        let secrets = (0..size.secrets).map(secret_at).collect::<Vec<_>>();
        let apart = (0..APART_SECRETS.min(size.secrets))
            .map(|at| secret(APART, at))
            .collect::<Vec<_>>();

        let all: Vec<Outgoing> = secrets
            .iter()
            .chain(&apart)
            .enumerate()
            .map(|(at, path)| {
                let body = bodies[at % BODIES].clone();
                Ok(request(Method::PUT, &uri(path)?, root, body))
            })
            .collect::<Result<_>>()?;
        let made = Count {
            places: 2 + ENVIRONMENTS as u64,
            writes: all.len() as u64,
            // The first one is init's.
            tokens: 1 + size.tokens as u64,
            reads: secrets.len() as u64,
            ..Count::default()
        };
        ask_all(client, address, all).await?;

        let wanted = json!({
            "scopes": [format!("list,read,write:{PROJECT}/**")],
            "ttl": TOKEN_TTL,
        });
        let (path, wanted) = (uri("/api/v1/tokens")?, Bytes::from(wanted.to_string()));
        let all = (0..size.tokens)
            .map(|_| request(Method::POST, &path, root, wanted.clone()))
            .collect();
        let tokens = ask_all(client, address, all)
            .await?
            .iter()
            .map(|body| {
                let created: CreatedToken =
                    serde_json::from_slice(body).context("a token's answer")?;
                Ok(created.token)
            })
            .collect::<Result<Vec<_>>>()?;
        let all = secrets
            .iter()
            .enumerate()
            .map(|(at, path)| get(path, &tokens[at % tokens.len()]))
            .collect::<Result<_>>()?;
        ask_all(client, address, all).await?;
        Ok(Self {
            secrets,
            apart,
            tokens,
            bodies,
            grants: Vec::new(),
            access_token_bytes: 0,
            made,
        })
    }

    /// Imports a grant beside each secret, and reads each access token once.
    pub async fn add_grants(
        &mut self,
        client: &Client,
        address: SocketAddr,
        root: &HeaderValue,
        provider: &Provider,
    ) -> Result<()> {
        let target = Target {
            client,
            address,
            root,
        };
        let names = || {
            let all = 0..self.secrets.len();
            all.map(|at| (environment(at % ENVIRONMENTS), import::name(at)))
        };
        target.import(provider, names()).await?;
        self.grants = names()
            .map(|(environment, name)| import::token_path(&environment, &name))
            .collect();
        let reads = self
            .grants
            .iter()
            .enumerate()
            .map(|(at, path)| get(path, &self.tokens[at % self.tokens.len()]))
            .collect::<Result<_>>()?;
        let answers = ask_all(client, address, reads).await?;
        self.access_token_bytes = answers.first().map_or(0, Bytes::len);
        self.made.reads += self.grants.len() as u64;
        self.made.connects += RECORDS_PER_IMPORT * self.grants.len() as u64;
        Ok(())
    }

    /// A body to write, another for each of some numbers.
    pub fn body(&self, at: usize) -> Bytes {
        self.bodies[at % self.bodies.len()].clone()
    }

    /// How many grants there are.
    pub fn grants(&self) -> usize {
        self.grants.len()
    }

    /// One path and one token for the bare route alone, where there is no Coffer.
    pub fn imagined() -> (Self, String, Bytes) {
        let mut rng: SmallRng = rand::make_rng();
        let path = secret(&environment(0), 0);
        let world = Self {
            secrets: vec![path.clone()],
            apart: Vec::new(),
            tokens: vec![format!("cof_app_{}_000000", "0".repeat(43))],
            bodies: Vec::new(),
            grants: Vec::new(),
            access_token_bytes: 0,
            made: Count::default(),
        };
        // About as long as a read's answer.
        let body = [fields(&mut rng), Bytes::from_static(&[b' '; 120])].concat();
        (world, path, body.into())
    }

    /// Where one secret is, and the answer to reading it: for the bare route. One read more.
    pub async fn example(
        &mut self,
        client: &Client,
        address: SocketAddr,
    ) -> Result<(String, Bytes)> {
        self.made.reads += 1;
        let mut connection = Connection::open(client, address).await?;
        let path = &self.secrets[0];
        let body = connection.ask(get(path, &self.tokens[0])?).await?;
        Ok((path.clone(), body))
    }
}

/// What is asked for, again and again.
#[derive(Clone)]
pub enum Traffic {
    /// The bare route's one path, with tokens as for a read.
    Bare(Arc<World>),
    /// Any secret by any token.
    Reads(Arc<World>),
    /// The access token of any grant by any token.
    AccessTokens(Arc<World>),
    /// A new version of any secret by any token.
    Writes(Arc<World>),
    /// A new version of any secret in an environment that nobody reads.
    WritesApart(Arc<World>),
}

impl Traffic {
    /// The next request.
    pub fn next(&self, rng: &mut SmallRng) -> Asked<'_> {
        let (method, world, path, body) = match self {
            Self::Bare(world) => ("GET", world, &world.secrets[0], &NOTHING),
            Self::Reads(world) => ("GET", world, any(&world.secrets, rng), &NOTHING),
            Self::AccessTokens(world) => ("GET", world, any(&world.grants, rng), &NOTHING),
            Self::Writes(world) => (
                "PUT",
                world,
                any(&world.secrets, rng),
                any(&world.bodies, rng),
            ),
            Self::WritesApart(world) => (
                "PUT",
                world,
                any(&world.apart, rng),
                any(&world.bodies, rng),
            ),
        };
        Asked {
            method,
            path,
            token: any::<String>(&world.tokens, rng),
            body,
        }
    }
}

static NOTHING: Bytes = Bytes::new();

fn get(path: &str, token: &str) -> Result<Outgoing> {
    Ok(request(
        Method::GET,
        &uri(path)?,
        &bearer(token)?,
        Bytes::new(),
    ))
}

fn any<'a, T>(among: &'a [T], rng: &mut SmallRng) -> &'a T {
    &among[rng.random_range(..among.len())]
}

/// Sends all of them over several connections; the answers in any order.
pub async fn ask_all(
    client: &Client,
    address: SocketAddr,
    all: Vec<Outgoing>,
) -> Result<Vec<Bytes>> {
    let count = all.len();
    let (all, taken) = (Arc::new(all), Arc::new(AtomicUsize::new(0)));
    let connections: Vec<_> = (0..SET_UP_CONNECTIONS)
        .map(|_| {
            let (client, all, taken) = (client.clone(), Arc::clone(&all), Arc::clone(&taken));
            tokio::spawn(async move {
                let mut connection = Connection::open(&client, address).await?;
                let mut answers = Vec::new();
                while let Some(request) = all.get(taken.fetch_add(1, Ordering::Relaxed)) {
                    answers.push(connection.ask(request.clone()).await?);
                }
                Ok::<_, crate::failure::Failure>(answers)
            })
        })
        .collect();
    let mut answers = Vec::with_capacity(count);
    for connection in connections {
        answers.append(&mut connection.await.context("the set-up")??);
    }
    Ok(answers)
}

fn environment(at: usize) -> String {
    format!("e{at}")
}

/// Where the secret of this number lies, of those that are read.
pub fn secret_at(at: usize) -> String {
    secret(&environment(at % ENVIRONMENTS), at)
}

fn secret(environment: &str, at: usize) -> String {
    let service = at / 10 % 1_000;
    format!("/api/v1/secrets/{PROJECT}/{environment}/service-{service:03}/key-{at:06}")
}

/// A path as it is asked for.
pub fn uri(path: &str) -> Result<Uri> {
    path.parse().context("a path of the bench's own")
}

fn fields(rng: &mut SmallRng) -> Bytes {
    json!({"fields": {"value": value(rng)}}).to_string().into()
}

/// A secret's value, or an access token.
pub fn value(rng: &mut SmallRng) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..VALUE_CHARS)
        .map(|_| char::from(*any(ALPHABET, rng)))
        .collect()
}
