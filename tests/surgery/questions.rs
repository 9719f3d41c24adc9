//! What is asked of a door on damaged ground, and what may be answered: the truth, nothing, or, where something older was
//! put back, what was true then.
//!
//! Invariant: an answer is a set of lines, each a fact of its own, so that a shorter answer is told from a false one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::task::JoinSet;

use coffer::door::Door;
use coffer::model::{Patience, Refusal, Ttl};
use coffer::operations::PageSize;
use coffer::operations::audit::{AnchorStreams, ExportLog};
use coffer::operations::connections::{Begun, ListConnections, ReadAccessToken};
use coffer::operations::places::{ListEnvironments, ListProjects};
use coffer::operations::rotations::ReadRotation;
use coffer::operations::secrets::{ListSecrets, ReadHistory, ReadReply, ReadSecret, Which};
use coffer::operations::tokens::{ListTokens, ReadOwnToken, TokenFacts};

use super::history::{begin_import, place, run, secret, write};

/// The tokens of the history, as their bearers have them.
#[derive(Default)]
pub struct Tokens {
    pub root: String,
    /// Lists and reads `p/e`, but for what is below `root`.
    pub reader: String,
    /// Its child, which asks for what its parent is refused as well.
    pub child: String,
    pub revoked: String,
    /// The child of the one that was revoked.
    pub orphaned: String,
    pub expired: String,
    /// An application's.
    pub app: String,
}

/// A question.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Question {
    /// Who reads which secret: environment, path and version.
    Read(&'static str, &'static str, &'static str, Version),
    History(&'static str),
    Rotation,
    List(&'static str),
    /// Who reads which connection's access token.
    Access(&'static str),
    Connections,
    /// The import once more, which is begun once.
    Import,
    Own(&'static str),
    Tokens(&'static str),
    Projects,
    Environments(&'static str),
    /// The whole log, line by line.
    Export,
    Anchor,
    /// A new secret, and what is read of it.
    Write,
}

/// Which version.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Version {
    Current,
    Previous,
    First,
}

use Question::{
    Access, Anchor, Connections, Environments, Export, History, Import, List, Own, Projects, Read,
    Rotation, Write,
};
use Version::{Current, First, Previous};

/// Lines, or why there are none.
pub type Answer = Result<BTreeSet<String>, &'static str>;

/// Answers by question.
pub type Answers = BTreeMap<Question, Answer>;

/// What is asked about secrets, their versions and keys, and places.
pub const OF_SECRETS: [Question; 21] = [
    Read("root", "p/e", "db/password", Current),
    Read("root", "p/e", "db/password", Previous),
    Read("root", "p/e", "api", Current),
    Read("root", "p/e", "api", First),
    Read("root", "p/e", "shredded", Current),
    Read("root", "p/e", "shredded", First),
    Read("root", "p/e", "gone", Current),
    Read("root", "p/f", "api", Current),
    Read("root", "q/e", "other", Current),
    History("api"),
    History("gone"),
    Rotation,
    List("root"),
    List("reader"),
    Projects,
    Environments("p"),
    Environments("q"),
    Access("root"),
    Access("app"),
    Connections,
    Import,
];

/// What is asked about tokens and principals.
pub const OF_TOKENS: [Question; 16] = [
    Read("root", "p/e", "api", Current),
    Read("reader", "p/e", "api", Current),
    Read("reader", "p/e", "root/inner", Current),
    Read("reader", "q/e", "other", Current),
    Read("child", "p/e", "api", Current),
    Read("child", "p/e", "root/inner", Current),
    Read("revoked", "p/e", "api", Current),
    Read("orphaned", "p/e", "api", Current),
    Read("expired", "p/e", "api", Current),
    Read("app", "p/e", "api", Current),
    Read("app", "p/e", "db/password", Current),
    Own("reader"),
    Own("orphaned"),
    Question::Tokens("root"),
    Question::Tokens("reader"),
    Question::Tokens("app"),
];

/// What is asked about the log and the change sequence.
pub const OF_LOG: [Question; 6] = [
    Read("root", "p/e", "api", Current),
    Read("expired", "p/e", "api", Current),
    Read("revoked", "p/e", "api", Current),
    Export,
    Anchor,
    Write,
];

impl Question {
    /// What nobody may ever be told any more, whatever was put back.
    pub fn is_over(self) -> bool {
        matches!(self, Read("expired", ..))
    }

    /// Whether it asks for the same as another: whoever reads a version reads the same.
    pub fn is_about(self, other: Self) -> bool {
        let what = |question| match question {
            Read(_, within, path, version) => Some((within, path, version)),
            Access(_) => Some(("p/e", "grant", Current)),
            _ => None,
        };
        self == other || what(self).is_some() && what(self) == what(other)
    }
}

impl Tokens {
    fn of(&self, who: &str) -> &str {
        match who {
            "root" => &self.root,
            "reader" => &self.reader,
            "child" => &self.child,
            "revoked" => &self.revoked,
            "orphaned" => &self.orphaned,
            "expired" => &self.expired,
            "app" => &self.app,
            other => panic!("nobody is called {other}"),
        }
    }
}

/// Every question there is.
pub async fn ask_all(door: &Door, tokens: &Arc<Tokens>) -> Answers {
    let mut answers = ask(door, tokens, &OF_SECRETS).await;
    answers.extend(ask(door, tokens, &OF_TOKENS).await);
    // What others ask meanwhile is in the log as well.
    for question in OF_LOG {
        answers.extend(ask(door, tokens, &[question]).await);
    }
    answers
}

/// These questions, all at once.
pub async fn ask(door: &Door, tokens: &Arc<Tokens>, questions: &[Question]) -> Answers {
    let mut asked = JoinSet::new();
    for question in questions.iter().copied() {
        let (door, tokens) = (door.clone(), Arc::clone(tokens));
        asked.spawn(async move {
            let answer = one(&door, &tokens, question).await;
            (question, answer.map_err(|refusal| refusal.code()))
        });
    }
    asked.join_all().await.into_iter().collect()
}

async fn one(
    door: &Door,
    tokens: &Tokens,
    question: Question,
) -> Result<BTreeSet<String>, Refusal> {
    let root = tokens.root.as_str();
    Ok(match question {
        Read(who, within, path, version) => read(door, tokens.of(who), (within, path), version)
            .await?
            .into_iter()
            .collect(),
        History(path) => {
            let found = run(
                door,
                root,
                ReadHistory {
                    name: secret("p/e", path),
                },
            )
            .await?;
            let mut lines: BTreeSet<String> = found
                .versions
                .iter()
                .map(|version| format!("{:?} {version:?}", found.id))
                .collect();
            for deleted in found.deleted {
                let (id, at) = (deleted.id, deleted.deleted_at);
                lines.insert(format!("deleted {id} {at:?}"));
                lines.extend(
                    deleted
                        .versions
                        .iter()
                        .map(|version| format!("deleted {id} {version:?}")),
                );
            }
            lines
        }
        Rotation => {
            let found = run(
                door,
                root,
                ReadRotation {
                    name: secret("p/e", "db/password"),
                },
            )
            .await?;
            [format!("{} {:?}", found.path, found.policy)].into()
        }
        List(who) => {
            let list = ListSecrets {
                place: place("p/e"),
                prefix: "".parse().expect("a prefix"),
                recursive: true,
                after: None,
                limit: PageSize::at_most(PageSize::MAX).expect("some"),
            };
            let page = run(door, tokens.of(who), list).await?;
            page.items.iter().map(|item| format!("{item:?}")).collect()
        }
        Access(who) => {
            let read = ReadAccessToken {
                name: Arc::new(secret("p/e", "grant")),
                min_ttl: Ttl::seconds(0),
                since: door.now(),
                patience: Patience::Over,
            };
            let found = run(door, tokens.of(who), read).await?;
            let token = String::from_utf8_lossy(found.access_token.expose()).into_owned();
            let (kind, ends) = (&found.token_type, found.expires_at);
            [format!(
                "{kind} {} {:?} {ends:?} {token}",
                found.version, found.granted
            )]
            .into()
        }
        Connections => {
            let list = ListConnections {
                place: place("p/e"),
                after: None,
                limit: PageSize::at_most(PageSize::MAX).expect("some"),
            };
            let page = run(door, root, list).await?;
            page.items.iter().map(|item| format!("{item:?}")).collect()
        }
        Import => match run(door, root, begin_import(door)).await? {
            Begun::Before(kept) => [format!("{kept:?}")].into(),
            Begun::Now(_) => ["it was begun twice".to_owned()].into(),
        },
        Own(who) => {
            let own = run(door, tokens.of(who), ReadOwnToken).await?;
            token_lines(&own).collect()
        }
        Question::Tokens(who) => {
            let page = run(door, tokens.of(who), ListTokens::default()).await?;
            page.tokens.iter().flat_map(token_lines).collect()
        }
        Projects => {
            let found = run(door, root, ListProjects).await?;
            found.iter().map(|project| format!("{project:?}")).collect()
        }
        Environments(project) => {
            let project = project.parse().expect("a name");
            let found = run(door, root, ListEnvironments { project }).await?;
            found
                .iter()
                .map(|environment| format!("{environment:?}"))
                .collect()
        }
        Export => export(door, root).await?,
        Anchor => {
            door.run_system("streams", AnchorStreams).await?;
            BTreeSet::new()
        }
        Write => {
            run(door, root, write("p/f", "written", "what was written")).await?;
            read(door, root, ("p/f", "written"), Current)
                .await?
                .into_iter()
                .collect()
        }
    })
}

/// A token as facts: one that is missing says less, and one that lives says so.
fn token_lines(token: &TokenFacts) -> impl Iterator<Item = String> + use<> {
    let id = token.id;
    let (parent, made, ends) = (token.parent, token.created_at, token.expires_at);
    let mut lines = vec![format!("{id} of {parent:?} from {made:?} to {ends:?}")];
    lines.extend(token.scopes.iter().map(|scope| format!("{id} may {scope}")));
    if &*token.principal != "-" {
        lines.push(format!("{id} is {}", token.principal));
    }
    if !token.revoked {
        lines.push(format!("{id} lives"));
    }
    lines.into_iter()
}

async fn read(
    door: &Door,
    by: &str,
    (within, path): (&str, &str),
    version: Version,
) -> Result<Vec<String>, Refusal> {
    let which = match version {
        Current => Which::Current,
        Previous => Which::Previous,
        First => Which::Number(1),
    };
    let read = ReadSecret {
        name: secret(within, path),
        which,
        fields: None,
        if_none_match: Vec::new(),
    };
    let ReadReply::Found(found) = run(door, by, read).await? else {
        panic!("nothing was there already");
    };
    let fields = found.fields.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.expose());
        format!(
            "{} {} {:?} {name}={value}",
            found.path, found.version, found.state
        )
    });
    Ok(fields.collect())
}

async fn export(door: &Door, root: &str) -> Result<BTreeSet<String>, Refusal> {
    run(door, root, ExportLog).await?;
    let mut lines = door.export(door.heads().await?);
    let mut text = Vec::new();
    while let Some(chunk) = lines.next_chunk().await? {
        text.extend(chunk);
    }
    let text = String::from_utf8(text).expect("records are text");
    Ok(text.lines().map(str::to_owned).collect())
}
