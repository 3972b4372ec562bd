/**
 * The catalogue's tables, as an ordered list of migrations. `user_version` counts those that a
 * database has been through. Append only: a released migration never changes.
 *
 * Content ids and keys are text, statements are the signed bytes as received; everything else is
 * derived from those bytes and could be built again from them.
 */
export const MIGRATIONS: readonly string[] = [
  `
  -- Publishers in the order of their coming (rowid), and their identity operations.
  CREATE TABLE publishers (id INTEGER PRIMARY KEY, publisher TEXT NOT NULL UNIQUE);
  CREATE TABLE identity_ops (
    publisher TEXT NOT NULL,
    n INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    PRIMARY KEY (publisher, n)
  ) WITHOUT ROWID;

  -- One row per log. time: greatest ts so far, so that logs of one publisher can be merged.
  CREATE TABLE logs (
    id INTEGER PRIMARY KEY,
    publisher TEXT NOT NULL,
    key TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    tip TEXT NOT NULL,
    time INTEGER NOT NULL,
    proof_first BLOB,
    proof_second BLOB,
    UNIQUE (publisher, key)
  );
  CREATE TABLE heads (
    publisher TEXT NOT NULL,
    key TEXT NOT NULL,
    envelope BLOB NOT NULL,
    issued INTEGER NOT NULL,
    PRIMARY KEY (publisher, key)
  ) WITHOUT ROWID;
  CREATE TABLE records (
    id INTEGER PRIMARY KEY,
    record TEXT NOT NULL UNIQUE,
    log INTEGER NOT NULL REFERENCES logs,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    envelope BLOB NOT NULL,
    UNIQUE (log, epoch, seq)
  );
  CREATE TABLE cards (cid TEXT PRIMARY KEY, bytes BLOB NOT NULL) WITHOUT ROWID;

  -- Statements of which a later one may replace an earlier, in any order of coming.
  CREATE TABLE profiles (
    record TEXT PRIMARY KEY,
    publisher TEXT NOT NULL,
    envelope BLOB NOT NULL,
    label TEXT NOT NULL,
    display_name TEXT NOT NULL,
    handle TEXT,
    url TEXT,
    ror TEXT,
    replaces TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX profiles_by_publisher ON profiles (publisher);
  CREATE INDEX profiles_by_label ON profiles (label);
  CREATE TABLE tags (
    record TEXT PRIMARY KEY,
    publisher TEXT NOT NULL,
    name TEXT NOT NULL,
    tag TEXT NOT NULL,
    target TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX tags_by_name ON tags (publisher, name, tag);
  CREATE TABLE replaced (
    publisher TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (publisher, record)
  ) WITHOUT ROWID;
  CREATE TABLE withdrawals (
    publisher TEXT NOT NULL,
    target TEXT NOT NULL,
    record TEXT NOT NULL,
    verb INTEGER NOT NULL,
    PRIMARY KEY (publisher, target, record)
  ) WITHOUT ROWID;

  -- Models; id is that of the record's row. newest: listed by a search.
  CREATE TABLE models (
    id INTEGER PRIMARY KEY REFERENCES records,
    record TEXT NOT NULL UNIQUE,
    publisher TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    root TEXT NOT NULL,
    card TEXT NOT NULL,
    ts INTEGER NOT NULL,
    time INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    license TEXT,
    tested TEXT NOT NULL,
    withdrawn INTEGER NOT NULL DEFAULT 0,
    newest INTEGER NOT NULL DEFAULT 0
  );
  CREATE INDEX models_by_name ON models (publisher, name, time, epoch, seq, record);
  CREATE INDEX models_by_root ON models (root);
  CREATE INDEX models_by_license ON models (license) WHERE newest = 1;
  CREATE INDEX models_sorted_by_time ON models (time, id) WHERE newest = 1;
  CREATE INDEX models_sorted_by_name ON models (name, id) WHERE newest = 1;
  -- Apart, so that what a search walks through stays small. All but the first are JSON.
  CREATE TABLE model_details (
    model INTEGER PRIMARY KEY REFERENCES models,
    description TEXT NOT NULL,
    files TEXT NOT NULL,
    aliases TEXT NOT NULL,
    unreadable TEXT
  );
  CREATE TABLE model_inputs (
    axes TEXT NOT NULL,
    dtype TEXT NOT NULL,
    channels INTEGER,
    channel_step INTEGER NOT NULL,
    model INTEGER NOT NULL REFERENCES models
  );
  CREATE INDEX model_inputs_by_model ON model_inputs (model, axes, channels, dtype);
  CREATE TABLE model_tags (
    tag TEXT NOT NULL,
    model INTEGER NOT NULL REFERENCES models,
    PRIMARY KEY (tag, model)
  ) WITHOUT ROWID;
  CREATE TABLE model_aliases (
    alias TEXT NOT NULL,
    model INTEGER NOT NULL REFERENCES models,
    PRIMARY KEY (alias, model)
  ) WITHOUT ROWID;
  CREATE TABLE model_files (
    cid TEXT NOT NULL,
    model INTEGER NOT NULL REFERENCES models,
    PRIMARY KEY (cid, model)
  ) WITHOUT ROWID;
  CREATE VIRTUAL TABLE model_text USING fts5 (
    name, tags, people, description,
    content = '', contentless_delete = 1, prefix = '2 3',
    tokenize = 'unicode61 remove_diacritics 0'
  );

  CREATE TABLE trees (
    cid TEXT NOT NULL,
    n INTEGER NOT NULL,
    node BLOB NOT NULL,
    PRIMARY KEY (cid, n)
  ) WITHOUT ROWID;

  -- The node's own.
  CREATE TABLE peers (
    peer TEXT PRIMARY KEY,
    addresses TEXT NOT NULL,
    publisher TEXT,
    binding BLOB,
    seen INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    label TEXT NOT NULL,
    hash TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER
  ) WITHOUT ROWID;
  CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  `,
  `
  -- What was signed and counts for nothing: records after a cut, proofs of forks that are settled.
  CREATE TABLE evidence (
    id INTEGER PRIMARY KEY,
    publisher TEXT NOT NULL,
    key TEXT NOT NULL,
    envelope BLOB NOT NULL
  );
  CREATE INDEX evidence_by_publisher ON evidence (publisher, key);
  -- The branch of a forked identity chain that is not followed.
  CREATE TABLE identity_rivals (
    publisher TEXT NOT NULL,
    n INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    PRIMARY KEY (publisher, n)
  ) WITHOUT ROWID;

  -- replacement: the record that replaces it, so that it can be taken back; '' where not known.
  ALTER TABLE replaced RENAME TO replaced_before;
  CREATE TABLE replaced (
    publisher TEXT NOT NULL,
    record TEXT NOT NULL,
    replacement TEXT NOT NULL,
    PRIMARY KEY (publisher, record, replacement)
  ) WITHOUT ROWID;
  INSERT INTO replaced SELECT publisher, record, '' FROM replaced_before;
  DROP TABLE replaced_before;
  CREATE INDEX replaced_by ON replaced (publisher, replacement);
  CREATE INDEX withdrawals_by_record ON withdrawals (publisher, record);
  `,
  `
  -- Records that came when the time of their key was over.
  CREATE TABLE late (record TEXT PRIMARY KEY) WITHOUT ROWID;
  -- Records of others that a record names.
  CREATE TABLE mentions (
    target TEXT NOT NULL,
    record TEXT NOT NULL,
    publisher TEXT NOT NULL,
    PRIMARY KEY (target, record)
  ) WITHOUT ROWID;
  CREATE INDEX mentions_by_record ON mentions (record);
  `,
  `
  -- body: JSON.
  CREATE TABLE rosters (
    record TEXT PRIMARY KEY,
    publisher TEXT NOT NULL,
    name TEXT NOT NULL,
    envelope BLOB NOT NULL,
    body TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX rosters_by_publisher ON rosters (publisher, name);
  CREATE TABLE attestations (
    record TEXT PRIMARY KEY,
    publisher TEXT NOT NULL,
    target TEXT NOT NULL,
    root TEXT NOT NULL,
    claim TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX attestations_by_root ON attestations (root);
  CREATE INDEX attestations_by_publisher ON attestations (publisher, root);
  `,
  `
  -- A withdrawal with the verb 0 restores its target, which is a withdrawal.
  -- carded: whether its card is here, and with it what was read from it.
  ALTER TABLE models ADD COLUMN carded INTEGER NOT NULL DEFAULT 1;
  CREATE INDEX models_without_card ON models (record) WHERE carded = 0;
  CREATE INDEX models_erased ON models (record) WHERE withdrawn = 3;
  CREATE INDEX models_by_card ON models (card);
  CREATE INDEX model_files_by_model ON model_files (model);
  -- Models that are erased. since: when this node learned of it; here: its operator did it.
  CREATE TABLE erasures (
    record TEXT PRIMARY KEY,
    since INTEGER NOT NULL,
    here INTEGER NOT NULL
  ) WITHOUT ROWID;
  -- Blobs whose bytes are being deleted.
  CREATE TABLE doomed (cid TEXT PRIMARY KEY) WITHOUT ROWID;
  -- Records that were taken in on the last day on which any was; day: since 1970.
  -- kind: records of logs, or profiles without their log.
  CREATE TABLE intake (
    publisher TEXT NOT NULL,
    kind TEXT NOT NULL,
    day INTEGER NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (publisher, kind)
  ) WITHOUT ROWID;
  `,
  `
  -- Two records at one position of a log, whether or not records of it are here.
  CREATE TABLE proofs (
    publisher TEXT NOT NULL,
    key TEXT NOT NULL,
    first BLOB NOT NULL,
    second BLOB NOT NULL,
    PRIMARY KEY (publisher, key)
  ) WITHOUT ROWID;
  INSERT INTO proofs SELECT publisher, key, proof_first, proof_second FROM logs
    WHERE proof_first IS NOT NULL;
  ALTER TABLE logs DROP COLUMN proof_first;
  ALTER TABLE logs DROP COLUMN proof_second;
  `,
  `
  -- Blobs that no model names. since: when that was noticed first.
  CREATE TABLE unnamed (cid TEXT PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID;
  `,
  `
  -- What nodes say they hold: the newest statement, and the one that it changes. Large, so by row.
  CREATE TABLE holdings (
    id INTEGER PRIMARY KEY,
    publisher TEXT NOT NULL,
    key TEXT NOT NULL,
    current BLOB NOT NULL,
    base BLOB,
    UNIQUE (publisher, key)
  );
  -- When models were last used here.
  CREATE TABLE uses (record TEXT PRIMARY KEY, used INTEGER NOT NULL) WITHOUT ROWID;
  `,
]
