// Migrations of the SQLite file, in order. A migration that was released is never edited: another one is added.

/** `BRSR`: tells our files from those of other applications. */
export const APPLICATION_ID = 0x42525352

/**
 * Entry ids grow with the wall clock (milliseconds × 1024, and at least the previous id plus one). A span of time is a span of
 * ids and needs no index. A call id is a UUIDv7, so its row lies a little after the time in it. An index keeps only appended
 * calls unique, because their sender may send them twice. Rows without `settled_seq` are open.
 */
const INITIAL_SCHEMA = `
  CREATE TABLE entry (
    id INTEGER PRIMARY KEY,
    call_id TEXT NOT NULL,
    appended INTEGER NOT NULL DEFAULT 0,
    organisation TEXT,
    project TEXT,
    key TEXT,
    user TEXT,
    thread TEXT,
    agent TEXT,
    task TEXT,
    operation TEXT,
    dialect TEXT NOT NULL,
    provider TEXT NOT NULL,
    requested_model TEXT NOT NULL,
    model TEXT NOT NULL,
    reserved_at_ms INTEGER NOT NULL,
    day TEXT NOT NULL,
    reserved_tokens INTEGER NOT NULL,
    reserved_cost_nano_usd INTEGER NOT NULL,
    price_version TEXT,
    cost_known INTEGER NOT NULL,
    streaming INTEGER NOT NULL,
    cap_asked INTEGER,
    cap_injected INTEGER,
    simulated INTEGER NOT NULL,
    settled_seq INTEGER,
    ending TEXT,
    certainty TEXT,
    settled_at_ms INTEGER,
    latency_ms INTEGER,
    time_to_first_token_ms INTEGER,
    answered_model TEXT,
    input_tokens INTEGER DEFAULT 0,
    cache_read_tokens INTEGER DEFAULT 0,
    cache_write_5m_tokens INTEGER DEFAULT 0,
    cache_write_1h_tokens INTEGER DEFAULT 0,
    output_tokens INTEGER DEFAULT 0,
    audio_input_tokens INTEGER DEFAULT 0,
    audio_cache_read_tokens INTEGER DEFAULT 0,
    audio_output_tokens INTEGER DEFAULT 0,
    image_input_tokens INTEGER DEFAULT 0,
    image_output_tokens INTEGER DEFAULT 0,
    web_searches INTEGER DEFAULT 0,
    billed_requests INTEGER DEFAULT 0,
    reasoning_tokens INTEGER DEFAULT 0,
    input_cost_nano_usd INTEGER DEFAULT 0,
    output_cost_nano_usd INTEGER DEFAULT 0,
    cost_nano_usd INTEGER DEFAULT 0,
    -- JSON, or the duration of the one good attempt at the provider and model above
    attempts,
    upstream_limits TEXT,
    metadata TEXT,
    -- JSON [[meter key, amount, 1 if in flight], ...]: what the call holds while it is open
    charges TEXT NOT NULL,
    -- room for what settling adds, so that rows do not outgrow their pages
    pad BLOB
  );
  CREATE UNIQUE INDEX entry_settled_seq ON entry (settled_seq) WHERE settled_seq IS NOT NULL;
  CREATE INDEX entry_open ON entry (settled_seq) WHERE settled_seq IS NULL;
  CREATE UNIQUE INDEX entry_appended ON entry (call_id) WHERE appended = 1;

  CREATE TABLE level (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    -- window: settled, reserved, ends at (null: never); bucket: used, remainder, at, taken altogether
    used INTEGER NOT NULL,
    rest INTEGER NOT NULL,
    at_ms INTEGER,
    taken INTEGER NOT NULL
  ) WITHOUT ROWID;

  CREATE TABLE rollup (
    span TEXT NOT NULL,
    key TEXT NOT NULL,
    simulated INTEGER NOT NULL,
    id NOT NULL,
    requests INTEGER NOT NULL,
    cost_nano_usd INTEGER NOT NULL,
    exact INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    upper_bound INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    cache_read_tokens INTEGER NOT NULL,
    cache_write_5m_tokens INTEGER NOT NULL,
    cache_write_1h_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    audio_input_tokens INTEGER NOT NULL,
    audio_cache_read_tokens INTEGER NOT NULL,
    audio_output_tokens INTEGER NOT NULL,
    image_input_tokens INTEGER NOT NULL,
    image_output_tokens INTEGER NOT NULL,
    PRIMARY KEY (span, key, simulated, id)
  ) WITHOUT ROWID;
  CREATE INDEX rollup_minute ON rollup (id) WHERE span = 'minute';

  CREATE TABLE refusal (reason TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;

  -- up to which settled_seq the rollups have counted
  CREATE TABLE mark (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

  CREATE TABLE document (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    value TEXT,
    version INTEGER NOT NULL,
    PRIMARY KEY (kind, id)
  ) WITHOUT ROWID;

  CREATE TABLE audit (
    version INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    before TEXT,
    after TEXT
  );
`

/** Digests of idempotency keys. Few calls have a key, and the index holds only those. */
const IDEMPOTENCY = `
  ALTER TABLE entry ADD COLUMN idempotency_key TEXT;
  ALTER TABLE entry ADD COLUMN idempotency_body TEXT;
  CREATE INDEX entry_idempotency ON entry (idempotency_key) WHERE idempotency_key IS NOT NULL;
`

/** The sum of all that drained from a bucket, which bounds refunds. */
const DRAINED = 'ALTER TABLE level ADD COLUMN drained INTEGER NOT NULL DEFAULT 0;'

/**
 * The search for open rows starts at the id `open_from`: no row below it is open, and none will be written there. The mark is
 * saved with the sums. An index of open rows would cost each call two writes.
 */
const OPEN_FROM = `
  INSERT INTO mark SELECT 'open_from', coalesce(
    (SELECT min(id) FROM entry WHERE settled_seq IS NULL), (SELECT max(id) FROM entry), 0);
  DROP INDEX entry_open;
`

/** Frees the kind `limit` for limits that are documents: until here it marked limits whose windows had been seeded. */
const LIMIT_SEEDS = "UPDATE document SET kind = 'limit-seed' WHERE kind = 'limit';"

export const MIGRATIONS: readonly string[] = [INITIAL_SCHEMA, IDEMPOTENCY, DRAINED, OPEN_FROM, LIMIT_SEEDS]
