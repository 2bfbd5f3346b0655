//! The definitions that runs started with: the text of each is kept once, under a name by its content.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::stored::StoredDefinition;
use crate::run::Definition;
use crate::store::sqlite::columns;

/// Definitions whose hash is remembered before the dead ones are forgotten.
const KNOWN_HASHES: usize = 64;

/// The names of definitions in use, each computed once.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    /// By the address of the definition.
    hashes: Mutex<HashMap<usize, Known>>,
}

/// A definition, and its name.
type Known = (Weak<Definition>, Arc<str>);

impl Definitions {
    /// The name of a definition by its content.
    pub(super) fn hash(&self, definition: &Arc<Definition>) -> Arc<str> {
        let key = Arc::as_ptr(definition) as usize;
        let mut hashes = self.hashes.lock();
        // A weak reference keeps the address from being used again: a living one is the same definition.
        if let Some((known, hash)) = hashes.get(&key)
            && known.strong_count() > 0
        {
            return hash.clone();
        }
        if hashes.len() >= KNOWN_HASHES {
            hashes.retain(|_, (known, _)| known.strong_count() > 0);
        }
        let hash: Arc<str> = definition_hash(&definition.path, &definition.text).into();
        hashes.insert(key, (Arc::downgrade(definition), hash.clone()));
        hash
    }

    /// Writes a definition, unless it is there.
    pub(super) fn write(&self, conn: &Connection, definition: &Arc<Definition>) -> rusqlite::Result<()> {
        conn.prepare_cached("INSERT OR IGNORE INTO definitions (hash, path, text) VALUES (?1, ?2, ?3)")?
            .execute(params![self.hash(definition), definition.path.as_ref(), definition.text.as_ref()])
            .map(drop)
    }
}

pub(super) fn read_definition(
    conn: &Connection,
    hash: &Arc<str>,
) -> rusqlite::Result<Option<Arc<StoredDefinition>>> {
    conn.prepare_cached("SELECT path, text FROM definitions WHERE hash = ?1")?
        .query_row([hash.as_ref()], |row| {
            let path = columns::shared(row, 0)?.unwrap_or_default();
            let text = columns::shared(row, 1)?.unwrap_or_default();
            Ok(Arc::new(StoredDefinition { hash: hash.clone(), path, text }))
        })
        .optional()
}

/// SHA-256 of path and text; the length of the path keeps the two apart.
fn definition_hash(path: &str, text: &str) -> String {
    let mut sha = Sha256::new();
    sha.update((path.len() as u64).to_le_bytes());
    sha.update(path);
    sha.update(text);
    sha.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
