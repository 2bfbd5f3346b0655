//! The definitions of runs: each text is stored once, under the hash of its content.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::stored::StoredDefinition;
use crate::run::Definition;
use crate::store::sqlite::columns;

/// So many hashes are remembered before those of dropped definitions are removed.
const KNOWN_HASHES: usize = 64;

/// The hashes of definitions in use, each computed once.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    /// By the definition's address.
    hashes: Mutex<HashMap<usize, Known>>,
}

type Known = (Weak<Definition>, Arc<str>);

impl Definitions {
    pub(super) fn hash(&self, definition: &Arc<Definition>) -> Arc<str> {
        let key = Arc::as_ptr(definition) as usize;
        let mut hashes = self.hashes.lock();
        // The weak reference keeps the address from being reused: if it is alive, it is the same definition.
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

    /// Writes a definition, unless it exists.
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

/// SHA-256 of path and text. The path's length marks where the text begins.
fn definition_hash(path: &str, text: &str) -> String {
    let mut sha = Sha256::new();
    sha.update((path.len() as u64).to_le_bytes());
    sha.update(path);
    sha.update(text);
    sha.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String can't fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
