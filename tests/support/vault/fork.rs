//! A cluster of which there are two from some moment on, as when a backup is started beside what it was made of.

use super::*;

impl TestVault {
    /// Where the database is.
    pub fn url(&self) -> &DatabaseUrl {
        &self.ground.url
    }

    /// Stops the server, and starts one on the same folder and one on a copy of it; on SQLite.
    pub async fn forked(self) -> (Self, Self) {
        let Self {
            root,
            ground,
            running,
        } = self;
        running.stop().await;
        // What lies in the write-ahead log goes into the file.
        ground.store().await.close().await;
        let folder = tempfile::tempdir().expect("a folder");
        let copied = std::process::Command::new("cp")
            .arg("-a")
            .arg(format!("{}/.", ground.folder.path().display()))
            .arg(folder.path())
            .status();
        assert!(copied.is_ok_and(|status| status.success()), "cp");
        let copy = Ground {
            url: DatabaseUrl::Sqlite(folder.path().join("coffer.db")),
            folder,
            root_key: ground.root_key.clone(),
            clock: Arc::clone(&ground.clock),
        };
        let (running, beside) = (ground.serve().await, copy.serve().await);
        let other = Self {
            root: root.clone(),
            ground: copy,
            running: beside,
        };
        let vault = Self {
            root,
            ground,
            running,
        };
        (vault, other)
    }
}
